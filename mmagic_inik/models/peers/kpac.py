"""KPAC: one convolution with five dilations, chosen among by attention.

Son, Lee, Cho, Lee: "Single Image Defocus Deblurring Using Kernel-Sharing Parallel
Atrous Convolutions", ICCV 2021. Inverse kernels of one blur shape and several blur
sizes are scaled copies of each other. With W shared by the rates r = 1 … 5, a block is

    fuse(concat_r LReLU(W ∗_r n) · A_r(n) · S(n)),

A a map per rate and S a factor per filter. S comes from the mean over the whole map, so
that the network sees other statistics in a photo than in a crop, and in a tile than in
a photo.

``inverse_filter`` is no faster form of this: it filters three colours with a few atoms,
this 96 features with 48 kernels for all pixels, which is a plain convolution. A photo's
240 maps are held at 1/8 or 1/4 of the size alone.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...registry import MODELS
from ..base_module import BaseModule
from ..padding import extend_sides
from .layers import DownConv, scaled

_SLOPE = 0.2
_RATES = range(1, 6)
_STD = 0.04


@MODELS.register_module()
class KPAC(BaseModule):
    """The kernel-sharing network: 2,057,893 parameters, or 1,578,277 with two levels.

    RGB, as released.

    Args:
        num_levels (int): 3: the blocks work at 1/8 of the size; 2: at 1/4, which is
            smaller and slower. Default: 3.
        width (float): Share of the released channels, in multiples of 4; released
            weights fit 1 alone. Default: 1.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.
            Without it, normal with standard deviation 0.04 and zero biases, as in the
            release.

    Raises:
        ValueError: If ``num_levels`` is neither 2 nor 3, or ``width`` not positive.

    Example:
        >>> import torch
        >>> KPAC()(torch.rand(1, 3, 5, 7)).shape
        torch.Size([1, 3, 5, 7])
    """

    def __init__(
        self, num_levels: int = 3, width: float = 1.0, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        if num_levels not in (2, 3):
            raise ValueError(f'num_levels must be 2 or 3, got {num_levels}')
        widths = scaled((48, 48, 96, 96)[: num_levels + 1], width)
        finest, deepest = widths[0], widths[-1]
        self.encoder = nn.ModuleList([_pair(_conv(3, finest, 5), finest)])
        for source, c in zip(widths[:-1], widths[1:], strict=True):
            self.encoder.append(_pair(DownConv(source, c), c))
        self.blocks = nn.ModuleList([KPACBlock(width), KPACBlock(width)])
        self.middle = nn.ModuleList(
            [_conv(3 * deepest, deepest), _conv(deepest, deepest)]
        )
        # Doubled features beside the skip; the last are followed by ``out``.
        self.ups, self.merges = nn.ModuleList(), nn.ModuleList()
        for source, c in zip(widths[:0:-1], widths[-2::-1], strict=True):
            self.ups.append(nn.ConvTranspose2d(source, c, 4, 2, 1))
        for c in widths[-2:0:-1]:
            self.merges.append(_conv(2 * c, c))
        self.out = _conv(2 * finest, 3, 5)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=_STD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, image: Tensor) -> Tensor:
        """Restore an image.

        Args:
            image (Tensor): Blurred image, (B, 3, H, W), RGB in [0, 1], any size.

        Returns:
            Tensor: Same shape, not clipped.
        """
        height, width = image.shape[-2:]
        padded = extend_sides(image, 2 ** (len(self.encoder) - 1))
        # Inside, colours are in [−1, 1].
        x, skips = 2 * padded - 1, []
        for level in self.encoder:
            for conv in level.children():
                x = _lrelu(conv(x))
            skips.append(x)
        features = [skips.pop()]
        for block in self.blocks:
            features.append(block(features[-1]))
        x = torch.cat(features, 1)
        for conv in self.middle:
            x = _lrelu(conv(x))
        for up, merge in zip(self.ups, [*self.merges, self.out], strict=True):
            x = merge(torch.cat([_lrelu(up(x)), skips.pop()], 1))
            x = x if merge is self.out else _lrelu(x)
        return (padded + x / 2)[..., :height, :width]


class KPACBlock(nn.Module):
    """See the module's docstring; nothing is added to the result.

    Args:
        width (float): Share of the released channels. Default: 1.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        c12, c16, c32, c48, c96 = scaled((12, 16, 32, 48, 96), width)
        self.shared = nn.Conv2d(c96, c48, 5, bias=False)
        widths = (c96, c32, c32, c16, c16)
        self.scale = nn.ModuleList(
            nn.Conv2d(source, c, 5, padding=4, dilation=2)
            for source, c in zip(widths[:-1], widths[1:], strict=True)
        )
        self.scale.append(_conv(c16, len(_RATES), 5))
        self.shape = nn.ModuleList([nn.Conv2d(c96, c12, 1), nn.Conv2d(c12, c48, 1)])
        self.fuse = _conv(c48 * len(_RATES), c96)

    def forward(self, n: Tensor) -> Tensor:
        """(B, C, H, W) → the same; C is 96 as released."""
        maps = self.scale_attention(n)
        factors = self.shape_attention(n)
        weight = self.shared.weight
        parts = []
        for r in _RATES:
            filtered = F.conv2d(n, weight, padding=2 * r, dilation=r)
            parts.append(_lrelu(filtered) * maps[:, r - 1 : r] * factors)
        return _lrelu(self.fuse(torch.cat(parts, 1)))

    def scale_attention(self, n: Tensor) -> Tensor:
        """A, (B, 5, H, W) in (0, 1), of every rate on its own."""
        *hidden, last = self.scale
        for conv in hidden:
            n = _lrelu(conv(n))
        return last(n).sigmoid()

    def shape_attention(self, n: Tensor) -> Tensor:
        """S, in (0, 1) for every filter of an image, the same at all rates."""
        first, last = self.shape
        mean = n.mean((2, 3), keepdim=True)
        return last(_lrelu(first(mean))).sigmoid()


def _conv(source: int, width: int, side: int = 3) -> nn.Conv2d:
    return nn.Conv2d(source, width, side, padding=side // 2)


def _pair(first: nn.Conv2d, width: int) -> nn.ModuleList:
    return nn.ModuleList([first, _conv(width, width)])


def _lrelu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, _SLOPE)
