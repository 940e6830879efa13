r"""ConvIR: convolutions whose filters the image itself makes, at three scales.

Cui, Ren, Cao, Knoll: "Revitalizing Convolutional Network for Image Restoration", TPAMI
2024; the parts follow its release, which has no code for defocus. A dynamic filter D of
dilation d has T taps for each of eight groups of channels, the same at all pixels:

.. math::
    D(X) = \lambda_l \, [(1 + \alpha) (f \star X) - \alpha m] + (1 + \lambda_h) X, \quad
    f = \tanh(\mathrm{norm}(W \, \mathrm{mean}(X)))

with m the mean of X over all pixels, each row or each column, for filters of 3 × 3,
1 × 3 and 3 × 1 taps. Padding is by reflection, so that the network needs sides of 256
pixels: smaller images are extended. All means are over the whole image, so that tiles
change the result everywhere.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...registry import MODELS
from ..base_module import BaseModule
from ..padding import extend_sides
from .layers import scaled

SIZES = {'S': 4, 'B': 8, 'L': 16}
_WIDTHS = (32, 64, 128)
_POOLS = (8, 4, 2)
_GROUPS = 8
# Least rows of a level of the deepest stage: the dilation and one.
_DEEPEST = 4


@MODELS.register_module()
class ConvIR(BaseModule):
    """S, B and L: 5,530,505, 8,630,665 and 14,830,985 parameters; RGB as released.

    Args:
        size (str): ``'S'``, ``'B'`` or ``'L'``: 4, 8 or 16 blocks per stage.
            Default: ``'S'``.
        dilations (tuple[int, int, int]): Of the filters on the image reduced 8, 4 and 2
            times. Default: (7, 9, 11), as of all released tasks but deraining, whose
            are (3, 7, 9).
        norm_eval (bool): Whether training, too, normalises the filters by the running
            statistics, which then stay as they are. The statistics of a batch are those
            of one value per image: of a batch of one image there are none.
            Default: False, as released.
        width (float): Share of the released channels, in multiples of 8; released
            weights fit 1 alone. Default: 1.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.

    Raises:
        ValueError: If an argument cannot be; in training, of a batch of one image
            without ``norm_eval``.

    Example:
        >>> import torch
        >>> ConvIR('S').eval()(torch.rand(1, 3, 5, 7)).shape
        torch.Size([1, 3, 5, 7])
    """

    def __init__(
        self,
        size: str = 'S',
        dilations: tuple[int, int, int] = (7, 9, 11),
        norm_eval: bool = False,
        width: float = 1.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if size not in SIZES:
            raise ValueError(f'size must be in {tuple(SIZES)}, got {size!r}')
        if len(dilations) != len(_POOLS) or min(dilations) < 1:
            raise ValueError(f'dilations must be three positive, got {dilations}')
        self.norm_eval = norm_eval
        # Reflection needs a row more than it takes.
        needed = max(p * (d + 1) for p, d in zip(_POOLS, dilations, strict=True))
        self.min_size = _DEEPEST * needed
        widths = first, second, third = scaled(_WIDTHS, width, _GROUPS)
        self.ins = nn.ModuleList(
            [_conv(3, first), _conv(first, second, 2), _conv(second, third, 2)]
        )
        self.encoders, self.decoders = (
            nn.ModuleList(_stage(c, SIZES[size], dilations) for c in widths)
            for _ in range(2)
        )
        # Of the coarser two scales, finer first.
        self.shallow = nn.ModuleList(_ShallowFeatures(c) for c in widths[1:])
        self.fusions = nn.ModuleList(
            nn.Conv2d(2 * c, c, 3, padding=1) for c in widths[1:]
        )
        self.ups = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(source, c, 4, 2, 1), nn.GELU())
            for source, c in zip(widths[1:], widths[:-1], strict=True)
        )
        self.merges = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * c, c, 1), nn.GELU()) for c in widths[:-1]
        )
        self.outs = nn.ModuleList(nn.Conv2d(c, 3, 3, padding=1) for c in widths)

    def train(self, mode: bool = True) -> 'ConvIR':
        """As of every module, except what ``norm_eval`` holds back."""
        super().train(mode)
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, image: Tensor) -> Tensor:
        """Restore an image.

        Args:
            image (Tensor): Blurred image, (B, 3, H, W), RGB in [0, 1], any size.

        Returns:
            Tensor: Same shape, not clipped.
        """
        return self.forward_scales(image)[0]

    def forward_scales(self, image: Tensor) -> list[Tensor]:
        """Images of all scales, for training.

        Args:
            image (Tensor): As of :meth:`forward`.

        Returns:
            list[Tensor]: (B, 3, ⌈H/s⌉, ⌈W/s⌉) for s = 1, 2, 4.

        Raises:
            ValueError: In training, see above.
        """
        if self.training and not self.norm_eval and len(image) == 1:
            raise ValueError(
                'ConvIR cannot normalise its filters over a batch of one image; '
                'give train_dataloader.batch_size=2 or more, or norm_eval=True'
            )
        height, width = image.shape[-2:]
        outputs = list(self.predictions(extend_sides(image, 32, self.min_size)))
        return [
            out[..., : -(-height // 2**level), : -(-width // 2**level)]
            for level, out in enumerate(outputs[::-1])
        ]

    def predictions(self, image: Tensor) -> Iterator[Tensor]:
        """Images of one scale after the other.

        Args:
            image (Tensor): (B, 3, H, W), sides multiples of 32 and at least
                ``min_size``.

        Yields:
            Tensor: Those of 1/4, 1/2 and 1 of the size.
        """
        # Nearest neighbour, no mean.
        images = [image[..., :: 2**level, :: 2**level] for level in range(3)]
        z, skips = image, []
        for level, (enter, stage) in enumerate(
            zip(self.ins, self.encoders, strict=True)
        ):
            z = enter(z)
            if level:
                seen = self.shallow[level - 1](images[level])
                z = self.fusions[level - 1](torch.cat([z, seen], 1))
            z = stage(z)
            skips.append(z)
        skips.pop()
        for level in (2, 1, 0):
            if level < 2:
                z = torch.cat([self.ups[level](z), skips.pop()], 1)
                z = self.merges[level](z)
            z = self.decoders[level](z)
            yield self.outs[level](z) + images[level]


class MultiScaleModule(nn.Module):
    """conv(GELU(X + ↑y₈ + ↑y₄ + ↑y₂)) of multi-shape filters on the reduced X.

    Args:
        channels (int): Of input and output.
        dilations (tuple[int, int, int]): At 1/8, 1/4 and 1/2 of the size.
    """

    def __init__(self, channels: int, dilations: tuple[int, int, int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_plain(channels) for _ in _POOLS)
        self.filters = nn.ModuleList(MultiShapeFilter(channels, d) for d in dilations)
        self.merge = _plain(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        total, y = x, None
        for pool, conv, dynamic in zip(_POOLS, self.convs, self.filters, strict=True):
            reduced = F.avg_pool2d(x, pool)
            if y is not None:
                reduced = reduced + _enlarged(y, reduced)
            y = dynamic(conv(reduced))
            total = total + _enlarged(y, x)
        return self.merge(F.gelu(total))


class MultiShapeFilter(nn.Module):
    """Sum of a square filter and of γ times two strips one after another + β X.

    Args:
        channels (int): Of input and output.
        dilation (int): Of all taps.
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.square = DynamicFilter(channels, (3, 3), dilation)
        self.horizontal = DynamicFilter(channels, (1, 3), dilation)
        self.vertical = DynamicFilter(channels, (3, 1), dilation)
        self.gamma = nn.Parameter(torch.zeros(channels, 1, 1))
        self.beta = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        strips = self.vertical(self.horizontal(x))
        return self.gamma * strips + self.beta * x + self.square(x)


class DynamicFilter(nn.Module):
    """D of the module's docstring; only that of 3 × 3 taps is normalised.

    Args:
        channels (int): Of input and output, a multiple of eight.
        sides (tuple[int, int]): Taps by height and width, 3 or 1 each.
        dilation (int): Pixels between taps.
    """

    def __init__(self, channels: int, sides: tuple[int, int], dilation: int) -> None:
        super().__init__()
        taps = sides[0] * sides[1]
        self.sides = sides
        self.dilation = dilation
        self.predictor = nn.Conv2d(channels, _GROUPS * taps, 1, bias=False)
        self.norm = nn.BatchNorm2d(_GROUPS * taps) if min(sides) > 1 else None
        if self.norm is not None:
            nn.init.kaiming_normal_(self.predictor.weight, mode='fan_out')
        self.low, self.high, self.alpha = (
            nn.Parameter(torch.zeros(channels, 1, 1)) for _ in range(3)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        batch, channels = x.shape[:2]
        f = self.predictor(x.mean((2, 3), keepdim=True))
        f = (f if self.norm is None else self.norm(f)).tanh()
        # (B C, 1, height, width): the channels of a group share one kernel.
        kernels = f.view(batch * _GROUPS, 1, *self.sides)
        kernels = kernels.repeat_interleave(channels // _GROUPS, 0)
        pad_y, pad_x = (self.dilation if side > 1 else 0 for side in self.sides)
        padded = F.pad(x, (pad_x, pad_x, pad_y, pad_y), 'reflect')
        low = F.conv2d(
            padded.flatten(0, 1).unsqueeze(0),
            kernels,
            dilation=self.dilation,
            groups=batch * channels,
        ).view_as(x)
        # Over the dimensions that have taps.
        dims = [dim for dim, side in zip((2, 3), self.sides, strict=True) if side > 1]
        centered = (1 + self.alpha) * low - self.alpha * x.mean(dims, keepdim=True)
        return self.low * centered + (1 + self.high) * x


class _ShallowFeatures(nn.Sequential):
    """Features of a reduced image, normalised over the image itself."""

    def __init__(self, channels: int) -> None:
        quarter, half = channels // 4, channels // 2
        super().__init__(
            nn.Sequential(nn.Conv2d(3, quarter, 3, padding=1), nn.GELU()),
            nn.Sequential(nn.Conv2d(quarter, half, 1), nn.GELU()),
            nn.Sequential(nn.Conv2d(half, half, 3, padding=1), nn.GELU()),
            nn.Conv2d(half, channels, 1),
            nn.InstanceNorm2d(channels, affine=True),
        )


class _Block(nn.Module):
    """x + conv(GELU(conv(x))); the last of a stage has its module between them."""

    def __init__(
        self, channels: int, dilations: tuple[int, int, int] | None = None
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.module = (
            None if dilations is None else MultiScaleModule(channels, dilations)
        )
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.gelu(self.conv1(x))
        return x + self.conv2(y if self.module is None else self.module(y))


def _stage(
    channels: int, blocks: int, dilations: tuple[int, int, int]
) -> nn.Sequential:
    plain = (_Block(channels) for _ in range(blocks - 1))
    return nn.Sequential(*plain, _Block(channels, dilations))


def _conv(source: int, width: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(source, width, 3, stride, padding=1), nn.GELU())


def _plain(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=1, bias=False)


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[-2:], mode='bilinear', align_corners=True)
