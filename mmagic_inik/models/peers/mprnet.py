"""MPRNet: three stages that see quarters, halves and the whole of an image.

Zamir et al.: "Multi-Stage Progressive Image Restoration", CVPR 2021; the network that
JDRL (Li et al., 2022) retrains for defocus. No layer has a bias, and one PReLU with a
single slope serves the whole network.

Channel attention averages over what a stage sees, so that a result depends on where the
image is divided. Where the equations enlarge and then mix channels by a 1 × 1
convolution, here channels are mixed first, at a quarter of the cost: both are linear
and the weights of bilinear interpolation sum up to one.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...ops import using_references
from ...registry import MODELS
from ..base_module import BaseModule
from ..padding import extend_sides
from .layers import scaled

# At 1, 1/2 and 1/4 of the size; the last stage adds _EXTRA to the first of them.
_WIDTHS = (96, 144, 192)
_EXTRA = 32
# Rows that a band of a block computes without gradients, for want of memory.
_BAND_ROWS = 64


@MODELS.register_module()
class MPRNet(BaseModule):
    """The multi-stage network, 20,127,073 parameters; RGB as released.

    Args:
        width (float): Share of the released channels, in multiples of 4; released
            weights fit 1 alone. Default: 1.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.

    Raises:
        ValueError: If ``width`` is not positive.

    Example:
        >>> import torch
        >>> MPRNet()(torch.rand(1, 3, 5, 7)).shape
        torch.Size([1, 3, 5, 7])
    """

    def __init__(self, width: float = 1.0, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        prelu = nn.PReLU()
        *widths, extra = scaled((*_WIDTHS, _EXTRA), width)
        base, wide = widths[0], widths[0] + extra
        self.shallow = nn.ModuleList(
            nn.Sequential(_conv3(3, base), _CAB(base, prelu)) for _ in range(3)
        )
        self.encoders = nn.ModuleList(
            [_Encoder(widths, prelu, fuses=False), _Encoder(widths, prelu, fuses=True)]
        )
        self.decoders = nn.ModuleList(_Decoder(widths, prelu) for _ in range(2))
        self.supervisions = nn.ModuleList(_Supervision(base) for _ in range(2))
        self.merges = nn.ModuleList([_conv3(2 * base, base), _conv3(2 * base, wide)])
        self.last = _OriginalResolution(widths, wide, prelu)
        self.tail = _conv3(wide, 3)

    def forward(self, image: Tensor) -> Tensor:
        """Restore an image.

        Args:
            image (Tensor): Blurred image, (B, 3, H, W), RGB in [0, 1], any size.

        Returns:
            Tensor: Image of the third stage, same shape, not clipped.
        """
        return self.forward_scales(image)[0]

    def forward_scales(self, image: Tensor) -> list[Tensor]:
        """Images of all stages, for training.

        Args:
            image (Tensor): As of :meth:`forward`.

        Returns:
            list[Tensor]: Of the stages 3, 2 and 1, each of the shape of ``image``.
        """
        height, width = image.shape[-2:]
        x = extend_sides(image, 8)
        # Top and bottom halves one behind the other in the batch.
        halves = torch.cat(x.chunk(2, 2))
        # What is no longer needed goes: a photo's worth of features is a gigabyte.
        encoded, decoded, carried, first = self._quarters(halves)
        z = self.merges[0](torch.cat([self.shallow[1](halves), carried], 1))
        encoded = self.encoders[1](z, encoded, decoded)
        del z, decoded, carried
        encoded = [torch.cat(level.chunk(2), 2) for level in encoded]
        decoded = self.decoders[1](encoded)
        carried, second = self.supervisions[1](decoded[0], x)
        z = self.merges[1](torch.cat([self.shallow[2](x), carried], 1))
        del carried
        third = self.tail(self.last(z, encoded, decoded)) + x
        return [out[..., :height, :width] for out in (third, second, first)]

    def _quarters(
        self, halves: Tensor
    ) -> tuple[list[Tensor], list[Tensor], Tensor, Tensor]:
        """Stage 1: encoder's and decoder's features, those to carry on, the image."""
        quarters = torch.cat(halves.chunk(2, 3))
        encoded = self.encoders[0](self.shallow[0](quarters))
        encoded = [torch.cat(level.chunk(2), 3) for level in encoded]
        decoded = self.decoders[0](encoded)
        carried, image = self.supervisions[0](decoded[0], halves)
        return encoded, decoded, carried, torch.cat(image.chunk(2), 2)


class _CAB(nn.Module):
    """x + attention(conv(PReLU(conv(x)))), the attention a factor per channel.

    Without gradients, the convolutions go through the image in bands of rows, so that
    a large photo needs room for input and result alone.
    """

    def __init__(self, channels: int, prelu: nn.PReLU) -> None:
        super().__init__()
        self.conv1, self.conv2 = (_conv3(channels, channels) for _ in range(2))
        self.prelu = prelu
        self.squeeze = nn.Conv2d(channels, channels // 4, 1, bias=False)
        self.excite = nn.Conv2d(channels // 4, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        whole = torch.is_grad_enabled() or using_references()
        y = self._body(x) if whole else self._body_in_bands(x)
        mean = y.mean((2, 3), keepdim=True)
        factor = self.excite(F.relu(self.squeeze(mean))).sigmoid()
        if torch.is_grad_enabled():
            return torch.addcmul(x, y, factor)
        return y.mul_(factor).add_(x)

    def _body(self, x: Tensor) -> Tensor:
        return self.conv2(self.prelu(self.conv1(x)))

    def _body_in_bands(self, x: Tensor) -> Tensor:
        height = x.shape[2]
        out: Tensor | None = None
        for start in range(0, height, _BAND_ROWS):
            end = min(start + _BAND_ROWS, height)
            # The two convolutions see two rows further.
            first, last = max(start - 2, 0), min(end + 2, height)
            band = self._body(x[:, :, first:last])
            if (first, last) == (0, height):
                return band
            out = band.new_empty(x.shape) if out is None else out
            # What the band's own padding has touched is within these two rows.
            out[:, :, start:end] = band[:, :, start - first : end - first]
        return x if out is None else out


class _Encoder(nn.Module):
    """Three levels of two blocks; the second stage's adds what the first's had."""

    def __init__(self, widths: list[int], prelu: nn.PReLU, fuses: bool) -> None:
        super().__init__()
        self.levels = nn.ModuleList(_two_blocks(width, prelu) for width in widths)
        self.downs = nn.ModuleList(map(_conv1, widths[:-1], widths[1:]))
        if fuses:
            self.from_encoder = nn.ModuleList(map(_conv1, widths, widths))
            self.from_decoder = nn.ModuleList(map(_conv1, widths, widths))

    def forward(
        self,
        x: Tensor,
        encoded: list[Tensor] | None = None,
        decoded: list[Tensor] | None = None,
    ) -> list[Tensor]:
        """Features of every level, finest first."""
        outputs = []
        for level, blocks in enumerate(self.levels):
            if level:
                # Of even sides, bilinear interpolation is the mean of 2 × 2.
                x = self.downs[level - 1](F.avg_pool2d(x, 2))
            x = blocks(x)
            if encoded is not None and decoded is not None:
                x += self.from_encoder[level](encoded[level])
                x += self.from_decoder[level](decoded[level])
            outputs.append(x)
        return outputs


class _Decoder(nn.Module):
    """Three levels of two blocks; what it takes from the encoder passes one more."""

    def __init__(self, widths: list[int], prelu: nn.PReLU) -> None:
        super().__init__()
        self.levels = nn.ModuleList(_two_blocks(width, prelu) for width in widths)
        self.skips = nn.ModuleList(_CAB(width, prelu) for width in widths[:-1])
        self.ups = nn.ModuleList(map(_Up, widths[1:], widths[:-1]))

    def forward(self, encoded: list[Tensor]) -> list[Tensor]:
        """Features of every level, finest first."""
        outputs = [self.levels[2](encoded[2])]
        for level in (1, 0):
            x = self.ups[level](outputs[-1]) + self.skips[level](encoded[level])
            outputs.append(self.levels[level](x))
        return outputs[::-1]


class _Supervision(nn.Module):
    """An image J of features f, and f weighted by what J shows: W₁f σ(W₃J) + f."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.features = _conv1(channels, channels)
        self.image = _conv1(channels, 3)
        self.mask = _conv1(3, channels)

    def forward(self, f: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        image = self.image(f) + x
        mask = self.mask(image).sigmoid_()
        return torch.addcmul(f, self.features(f), mask), image


class _OriginalResolution(nn.Module):
    """Stage 3: three chains of eight blocks, and the second stage's features."""

    def __init__(self, widths: list[int], channels: int, prelu: nn.PReLU) -> None:
        super().__init__()
        self.chains = nn.ModuleList(
            nn.Sequential(
                *(_CAB(channels, prelu) for _ in range(8)), _conv3(channels, channels)
            )
            for _ in range(3)
        )
        self.from_encoder, self.from_decoder = (
            nn.ModuleList(
                nn.Sequential(*_ups_from(level, widths), _conv1(widths[0], channels))
                for level in range(len(widths))
            )
            for _ in range(2)
        )

    def forward(
        self, z: Tensor, encoded: list[Tensor], decoded: list[Tensor]
    ) -> Tensor:
        for level, chain in enumerate(self.chains):
            before, z = z, chain(z)
            # In place, for a photo's worth of 128 channels is a gigabyte.
            z += before
            z += self.from_encoder[level](encoded[level])
            z += self.from_decoder[level](decoded[level])
        return z


class _Up(nn.Module):
    """Doubles the sides bilinearly and maps the channels."""

    def __init__(self, source: int, width: int) -> None:
        super().__init__()
        self.conv = _conv1(source, width)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(
            self.conv(x), scale_factor=2, mode='bilinear', align_corners=False
        )


def _ups_from(level: int, widths: list[int]) -> list[_Up]:
    """From a level of the second stage to the full size."""
    return [_Up(widths[k], widths[k - 1]) for k in range(level, 0, -1)]


def _two_blocks(channels: int, prelu: nn.PReLU) -> nn.Sequential:
    return nn.Sequential(_CAB(channels, prelu), _CAB(channels, prelu))


def _conv3(source: int, width: int) -> nn.Conv2d:
    return nn.Conv2d(source, width, 3, padding=1, bias=False)


def _conv1(source: int, width: int) -> nn.Conv2d:
    return nn.Conv2d(source, width, 1, bias=False)
