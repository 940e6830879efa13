"""AIFNet: a defocus map, and a deblurring network that reads the image by levels of it.

Ruan, Chen, Li, Lam: "AIFNet: All-in-Focus Image Restoration Network Using a Light
Field-Based Dataset", IEEE TCI 7, 2021. A network on VGG-19's features (that of DMENet,
CVPR 2019) gives the defocus map d; 29 copies of the image, weighted by
1 − |d − t| at the levels t = 0, 1/28 … 1, go through an encoder and decoder. Of the
training nothing but the data was published, neither losses nor schedule.

The count of parameters is the released code's with the shifts of its norms, which it
declares as not trainable: 41,557,358, of which 1,590,794 are heads that serve training
alone. The paper has 41.55 M. The published test code cuts sides to multiples of 16;
here they are extended as everywhere else.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...registry import MODELS
from ..base_module import BaseModule
from ..padding import extend_sides
from .layers import DownConv, scaled

_SLOPE = 0.2
_NUM_LEVELS = 29
# Convolutions of VGG-19's five stages.
_VGG = (2, 2, 4, 4, 4)
# ImageNet's, of images in BGR and [0, 255].
_MEANS = (103.939, 116.779, 123.68)


@MODELS.register_module()
class AIFNet(BaseModule):
    """The all-in-focus network, 41,557,358 parameters; RGB as released.

    Args:
        width (float): Share of the released channels, in multiples of 4; released
            weights fit 1 alone. Default: 1.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.
            Without it, He's normal one, Glorot's uniform one before sigmoids, zero
            biases; the release's encoder began with VGG-19's weights of ImageNet.

    Raises:
        ValueError: If ``width`` is not positive.

    Example:
        >>> import torch
        >>> AIFNet().eval()(torch.rand(1, 3, 5, 7)).shape
        torch.Size([1, 3, 5, 7])
    """

    levels: Tensor

    def __init__(self, width: float = 1.0, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.defocus = DefocusMapNet(width)
        self.deblur = DeblurNet(3 * _NUM_LEVELS, width)
        levels = torch.arange(_NUM_LEVELS) / (_NUM_LEVELS - 1)
        self.register_buffer('levels', levels.view(-1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Restore an image.

        Args:
            image (Tensor): Blurred image, (B, 3, H, W), RGB in [0, 1], any size.

        Returns:
            Tensor: Sharp image in (0, 1), same shape.
        """
        height, width = image.shape[-2:]
        padded = extend_sides(image, 16)
        restored = self.deblur(self.by_level(padded, self.defocus(padded)))
        return restored[..., :height, :width]

    def forward_maps(self, image: Tensor) -> dict[str, Tensor | list[Tensor]]:
        """Restore an image, and give the maps that training can supervise.

        Args:
            image (Tensor): As of :meth:`forward`.

        Returns:
            dict[str, Tensor | list[Tensor]]: ``restored`` as of :meth:`forward`;
            ``defocus``, (B, 1, H, W) in (0, 1); ``auxiliary``, five of the same at
            1/16, 1/8, 1/4, 1/2 and 1 of the size, rounded up.
        """
        height, width = image.shape[-2:]
        padded = extend_sides(image, 16)
        d, maps = self.defocus.maps(padded)
        return dict(
            restored=self.deblur(self.by_level(padded, d))[..., :height, :width],
            defocus=d[..., :height, :width],
            auxiliary=[
                m[..., : -(-height // 2**k), : -(-width // 2**k)]
                for k, m in zip((4, 3, 2, 1, 0), maps, strict=True)
            ],
        )

    def by_level(self, image: Tensor, d: Tensor) -> Tensor:
        """z: the image, weighted by how near the map is to each level.

        Args:
            image (Tensor): (B, 3, H, W).
            d (Tensor): Defocus map, (B, 1, H, W) in [0, 1].

        Returns:
            Tensor: (B, 87, H, W), the colours of one level after another.
        """
        # Half precision does not tell the levels apart.
        weights = 1 - (d.to(image) - self.levels.to(image)).abs()
        return (weights.unsqueeze(2) * image.unsqueeze(1)).flatten(1, 2)


class DefocusMapNet(nn.Module):
    """VGG-19's convolutions, a decoder and five heads at its stages.

    Args:
        width (float): Share of the released channels. Default: 1.
    """

    means: Tensor

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        c32, c64, c128, c256, c512 = scaled((32, 64, 128, 256, 512), width)
        self.encoder = nn.ModuleList()
        source = 3
        stages = (c64, c128, c256, c512, c512)
        for count, channels in zip(_VGG, stages, strict=True):
            widths = (source, *[channels] * count)
            convs = map(_edge_conv, widths[:-1], widths[1:])
            self.encoder.append(nn.ModuleList(convs))
            source = channels
        # Each reads what comes from below and a skip of as many channels.
        self.decoder = nn.ModuleList(
            _cbls(2 * source, *[channels] * 3)
            for source, channels in ((c512, c256), (c256, c128), (c128, c64))
        )
        self.decoder.append(_cbls(2 * c64, c64))
        self.refinement = nn.ModuleList(_Refinement(c64) for _ in range(7))
        self.final = nn.Sequential(
            *_cbls(c64, c64, c32), _edge_conv(c32, 1), nn.Sigmoid()
        )
        heads = ((c512, c256), (c256, c128), (c128, c64), (c64, c32), (c64, c32))
        self.auxiliary = nn.ModuleList(
            nn.Sequential(
                CBL(source, channels),
                _edge_conv(channels, 1),
                ShiftNorm(1),
                nn.Sigmoid(),
            )
            for source, channels in heads
        )
        means = torch.tensor(_MEANS).view(3, 1, 1)
        self.register_buffer('means', means, persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                _init(module, sigmoid=module.out_channels == 1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W), RGB in [0, 1], sides multiples of 16 → d, (B, 1, H, W)."""
        return self._refined(self._stages(image)[-1])

    def maps(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """As ``forward``, and the maps of the heads, coarsest first."""
        stages = self._stages(image)
        maps = [head(n) for head, n in zip(self.auxiliary, stages, strict=True)]
        return self._refined(stages[-1]), maps

    def _stages(self, image: Tensor) -> list[Tensor]:
        x, skips = 255 * image.flip(1) - self.means.to(image), []
        for depth, stage in enumerate(self.encoder):
            x = F.max_pool2d(x, 2) if depth else x
            for conv in stage.children():
                x = F.relu(conv(x), inplace=True)
            skips.append(x)
        stages = [skips.pop()]
        for stage in self.decoder:
            up = F.interpolate(stages[-1], scale_factor=2, mode='nearest')
            stages.append(stage(torch.cat([up, skips.pop()], 1)))
        return stages

    def _refined(self, n: Tensor) -> Tensor:
        for unit in self.refinement:
            n = unit(n)
        return self.final(n)


class DeblurNet(nn.Module):
    """An encoder and decoder of its own, padded by zeros.

    Args:
        in_channels (int): Of z.
        width (float): Share of the released channels. Default: 1.
    """

    def __init__(self, in_channels: int, width: float = 1.0) -> None:
        super().__init__()
        widths = c64, c128, c256, c512 = scaled((64, 128, 256, 512), width)
        self.first = _zero_conv(in_channels, c64)
        self.downs = nn.ModuleList(map(DownConv, widths[:-1], widths[1:]))
        # Behind a reduction; those at 1/8 of the size have twice the reach.
        self.encoder = nn.ModuleList(
            nn.ModuleList(_zero_conv(c, c, dilation) for _ in range(count))
            for c, count, dilation in ((c128, 2, 1), (c256, 2, 1), (c512, 3, 2))
        )
        # Of a skip and what comes from below; then those that follow the doubling.
        self.merges = nn.ModuleList(
            _zero_conv(2 * source, c)
            for source, c in ((c512, c256), (c256, c128), (c128, c64))
        )
        self.decoder = nn.ModuleList(
            nn.ModuleList(_zero_conv(c, c) for _ in range(count))
            for c, count in ((c256, 2), (c128, 1), (c64, 1))
        )
        self.out = _zero_conv(c64, 3)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                _init(module, sigmoid=module is self.out)

    def forward(self, z: Tensor) -> Tensor:
        """(B, in_channels, H, W), sides multiples of 8 → (B, 3, H, W) in (0, 1)."""
        x, skips = _lrelu(self.first(z)), []
        for down, level in zip(self.downs, self.encoder, strict=True):
            x = _lrelu(down(x))
            skips.append(x)
            for conv in level.children():
                x = _lrelu(conv(x))
        for merge, level in zip(self.merges, self.decoder, strict=True):
            x = doubled(_lrelu(merge(torch.cat([x, skips.pop()], 1))))
            for conv in level.children():
                x = _lrelu(conv(x))
        return self.out(x).sigmoid()


class ShiftNorm(nn.BatchNorm2d):
    """Batch norm that shifts and does not scale.

    The running variance is PyTorch's, unbiased; the release's is biased.

    Args:
        channels (int): Of its input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-5, momentum=0.1)
        del self.weight
        self.register_buffer('weight', torch.ones(channels), persistent=False)


class CBL(nn.Sequential):
    """Convolution, batch norm, leaky ReLU.

    Args:
        source (int): Input channels.
        width (int): Output channels.
        side (int): Of the kernel. Default: 3.
    """

    def __init__(self, source: int, width: int, side: int = 3) -> None:
        super().__init__(
            _edge_conv(source, width, side),
            ShiftNorm(width),
            nn.LeakyReLU(_SLOPE, inplace=True),
        )


class _Refinement(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.residual = CBL(channels, channels, 1)
        self.convs = _cbls(*[channels] * 3)

    def forward(self, n: Tensor) -> Tensor:
        return self.convs(n) + self.residual(n)


def doubled(x: Tensor) -> Tensor:
    """TensorFlow 1's bilinear doubling, with neither corners nor centres aligned.

    Args:
        x (Tensor): (B, C, H, W).

    Returns:
        Tensor: (B, C, 2 H, 2 W); along an axis, the pixels and the means of each with
        the next.
    """
    height, width = x.shape[-2:]
    padded = F.pad(x, (0, 1, 0, 1), 'replicate')
    size = (2 * height + 1, 2 * width + 1)
    wide = F.interpolate(padded, size, mode='bilinear', align_corners=True)
    return wide[..., :-1, :-1]


def _cbls(*widths: int) -> nn.Sequential:
    return nn.Sequential(*map(CBL, widths[:-1], widths[1:]))


def _edge_conv(source: int, width: int, side: int = 3) -> nn.Conv2d:
    # Of one pixel, symmetric padding is replication.
    return nn.Conv2d(source, width, side, padding=side // 2, padding_mode='replicate')


def _zero_conv(source: int, width: int, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(source, width, 3, padding=dilation, dilation=dilation)


def _lrelu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, _SLOPE)


def _init(conv: nn.Conv2d, sigmoid: bool) -> None:
    if sigmoid:
        nn.init.xavier_uniform_(conv.weight)
    else:
        nn.init.kaiming_normal_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
