r"""DRBNet: residual modules with a kernel per pixel, from coarse to fine.

Ruan, Chen, Li, Lam: "Learning to Deblur using Light Field Generated and Real Defocus
Images", CVPR 2022. At the levels l = 3, 2, 1, 0 (1/8, 1/4, 1/2, 1 of the size), with
decoder features :math:`g_l` and an image :math:`u_l`,

.. math::
    h = [g_l, a_l(u_l)], \quad e_l = u_l + K_l(h) \star u_l + r_l(h)

where :math:`K_l` has 7 × 7 taps per pixel that the colours share (a correlation,
padded by replication, neither normalised nor activated), :math:`u_3` is the mean of the
blurred image over 8 × 8 blocks and :math:`u_l` the pixels of :math:`e_{l+1}` doubled.
Images are in [−1, 1] inside.

``inverse_filter`` could compute :math:`K \star u` as 49 atoms of one tap, with 49 times
the products: ``pixel_filter`` adds 49 shifted images instead.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...ops import pixel_filter
from ...registry import MODELS
from ..base_module import BaseModule
from ..padding import extend_sides
from .layers import scaled

_SLOPE = 0.1
_TAPS = 7
# Of image features, kernel branch and residual branch, coarsest level first.
_WIDTHS = (
    ((64, 128, 256), (256, 128), (256, 64)),
    ((64, 128, 128), (128, 128), (128, 64)),
    ((64, 64, 64), (64, 64), (64, 64)),
    ((64, 64, 32), (64, 64), (64, 64)),
)


@MODELS.register_module()
class DRBNet(BaseModule):
    """The single-image network, 11,689,616 parameters; RGB as released.

    Args:
        clamp (bool): Whether the result is clamped to [0, 1], as in the release, where
            values beyond get no gradient. Default: True.
        width (float): Share of the released channels, in multiples of 4; released
            weights fit 1 alone. Default: 1.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.

    Raises:
        ValueError: If ``width`` is not positive.

    Example:
        >>> import torch
        >>> DRBNet()(torch.rand(1, 3, 5, 7)).shape
        torch.Size([1, 3, 5, 7])
    """

    def __init__(
        self, clamp: bool = True, width: float = 1.0, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        self.clamp = clamp
        widths = scaled((32, 64, 128, 256), width)
        deepest = widths[-1]
        self.encoder = nn.ModuleList(
            nn.Sequential(
                _conv(source, c, stride=2 if level else 1),
                _conv(c, c),
                _conv(c, c),
            )
            for level, (source, c) in enumerate(
                zip((3, *widths[:-1]), widths, strict=True)
            )
        )
        self.bottleneck = nn.Sequential(
            _conv(deepest, deepest),
            _ResBlock(deepest),
            _ResBlock(deepest),
            _conv(deepest, deepest),
        )
        self.ups = nn.ModuleList(map(_Up, widths[:0:-1], widths[-2::-1]))
        self.residuals = nn.ModuleList(
            _ResidualModule(c, *(scaled(part, width) for part in parts))
            for c, parts in zip(widths[::-1], _WIDTHS, strict=True)
        )

    def forward(self, image: Tensor) -> Tensor:
        """Restore an image.

        Args:
            image (Tensor): Blurred image, (B, 3, H, W), RGB in [0, 1], any size.

        Returns:
            Tensor: Same shape.
        """
        height, width = image.shape[-2:]
        restored = self.estimates(2 * extend_sides(image, 8) - 1)[-1]
        if self.clamp:
            restored = restored.clamp(-1, 1)
        return (restored[..., :height, :width] + 1) / 2

    def features(self, image: Tensor) -> list[Tensor]:
        """What the decoder gives the residual modules.

        Args:
            image (Tensor): (B, 3, H, W) in [−1, 1], sides multiples of 8.

        Returns:
            list[Tensor]: g₃ … g₀, as released (B, 256, H/8, W/8) to (B, 32, H, W).
        """
        x, skips = image, []
        for level in self.encoder:
            x = level(x)
            skips.append(x)
        outputs = [self.bottleneck(skips.pop())]
        for up in self.ups:
            outputs.append(up(outputs[-1], skips.pop()))
        return outputs

    def estimates(self, image: Tensor) -> list[Tensor]:
        """The images of all levels.

        Args:
            image (Tensor): (B, 3, H, W) in [−1, 1], sides multiples of 8.

        Returns:
            list[Tensor]: e₃ … e₀, (B, 3, H/8, W/8) to (B, 3, H, W), in [−1, 1] where
            the network is trained, not clamped.
        """
        u = F.avg_pool2d(image, 8)
        found = []
        # Taken off the list, so that a level's features are freed when it is done.
        features = self.features(image)[::-1]
        for module in self.residuals:
            found.append(module(features.pop(), u))
            u = F.interpolate(found[-1], scale_factor=2, mode='nearest')
        return found


class _ResidualModule(nn.Module):
    """e = u + K ⋆ u + r.

    Args:
        channels (int): Of the decoder features.
        image_widths (tuple[int, ...]): Channels of the image features' convolutions.
        kernel_widths (tuple[int, ...]): Of the kernel branch before its last one.
        residual_widths (tuple[int, ...]): Of the residual branch, likewise.
    """

    def __init__(
        self,
        channels: int,
        image_widths: tuple[int, ...],
        kernel_widths: tuple[int, ...],
        residual_widths: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.image = _chain(3, *image_widths)
        merged = channels + image_widths[-1]
        self.kernel = _chain(merged, *kernel_widths)
        self.kernel.append(nn.Conv2d(kernel_widths[-1], _TAPS**2, 1))
        self.residual = _chain(merged, *residual_widths)
        # Its last convolution is activated, too.
        self.residual.append(_conv(residual_widths[-1], 3, 1))

    def kernels(self, merged: Tensor) -> Tensor:
        """(B, 49, H, W), taps row by row, of decoder and image features."""
        return self.kernel(merged)

    def forward(self, g: Tensor, u: Tensor) -> Tensor:
        """(B, C, H, W) features and (B, 3, H, W) image → image."""
        h = torch.cat([g, self.image(u)], 1)
        padded = F.pad(u, [_TAPS // 2] * 4, 'replicate')
        filtered = pixel_filter(padded, self.kernels(h))
        return u + filtered + self.residual(h)


class _Up(nn.Module):
    """Doubles the sides, maps the channels, adds what the encoder had there."""

    def __init__(self, source: int, width: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(source, width, 4, stride=2, padding=1)
        self.blocks = nn.Sequential(_ResBlock(width), _ResBlock(width))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.blocks(F.leaky_relu(self.up(x), _SLOPE) + skip)


class _ResBlock(nn.Module):
    """x + conv(LeakyReLU(conv(x))), nothing behind the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.leaky_relu(self.conv1(x), _SLOPE))


def _conv(source: int, width: int, side: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(source, width, side, stride, padding=side // 2),
        nn.LeakyReLU(_SLOPE, inplace=True),
    )


def _chain(*widths: int) -> nn.Sequential:
    return nn.Sequential(
        *(_conv(*pair) for pair in zip(widths[:-1], widths[1:], strict=True))
    )
