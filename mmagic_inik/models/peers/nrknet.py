r"""NRKNet: a truncated Neumann series with recursive kernels.

Quan, Wu, Ji: "Neumann Network With Recursive Kernels for Single Image Defocus
Deblurring", CVPR 2023. Defocus is a linear operator A whose kernel at a pixel mixes 22
atoms, the delta and 21 that each filter the one before with three taps a direction:

.. math::
    A(t) = \sum_{k=0}^{21} \omega_k \, M_k \, a_k(t) + b, \quad
    a_0 = t, \quad a_k = f_k * a_{k-1}, \quad t_j = t_{j-1} - A(t_{j-1})

with maps :math:`\omega` that a U-Net and a ConvLSTM predict at three scales, from
coarse to fine, and 3 × 3 colour matrices :math:`M_k`. The result is the image and the
*last* term of each scale's series, 3, 2 and 1 terms long.

``inverse_filter`` does not compute this: its atoms are the same for all colours and its
image is padded once, where here every colour has taps of its own and every step of the
recursion reflects the border anew. The recursion needs 6 products per pixel and atom
in place of (2k + 1)², and holds one atom at a time.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...registry import MODELS
from ..base_module import BaseModule
from ..duplex_conv_lstm import resize
from ..layers import PointConv2d, ReflectConv2d, ResBlock
from ..padding import extend_sides
from .layers import scaled

STATISTICS = ('batch', 'running')
# Terms of the series at 1/4, 1/2 and 1 of the size.
_TERMS = (3, 2, 1)
_STRIDES = (4, 2, 1)


@MODELS.register_module()
class NRKNet(BaseModule):
    """The Neumann network, 6,094,107 parameters.

    The released weights expect BGR images; converted ones are of the same network on
    RGB images.

    Args:
        num_atoms (int): Recursive atoms besides the delta. Default: 21.
        statistics (str): What the one normalisation uses outside training. ``'batch'``:
            mean and variance of the image itself at its scale, as the released test
            script does, which never leaves training mode. ``'running'``: the averages
            of training, which mix the three scales; the release validated with them.
            Default: ``'batch'``.
        width (float): Share of the released channels, in multiples of 4, but for
            the ConvLSTM that makes the weights; released weights fit 1 alone.
            Default: 1.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.

    Raises:
        ValueError: If ``num_atoms`` or ``width`` is not positive or ``statistics`` is
            unknown.

    Example:
        >>> import torch
        >>> NRKNet()(torch.rand(1, 3, 5, 7)).shape
        torch.Size([1, 3, 5, 7])
    """

    def __init__(
        self,
        num_atoms: int = 21,
        statistics: str = 'batch',
        width: float = 1.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_atoms < 1:
            raise ValueError(f'num_atoms must be positive, got {num_atoms}')
        widths = scaled((64, 128, 256), width)
        self.unet = _UNet(widths)
        self.weights = _WeightPredictor(widths[0], num_atoms + 1, statistics)
        self.blur = RecursiveBlur(num_atoms)

    def forward(self, image: Tensor) -> Tensor:
        """Restore an image.

        Args:
            image (Tensor): Blurred image y, (B, 3, H, W), RGB in [0, 1], any size.

        Returns:
            Tensor: y + t₁(full) + up(t₂(half)) + up(t₃(quarter)), same shape, not
            clipped.
        """
        height, width = image.shape[-2:]
        y = restored = extend_sides(image, 16)
        for y_s, omega, terms in self._scales(y):
            *_, last = self._series(y_s, omega, terms)
            restored = restored + resize(last, y)
        return restored[..., :height, :width]

    def forward_scales(self, image: Tensor) -> list[Tensor]:
        """The result and the sums of every scale, for training.

        Args:
            image (Tensor): As of :meth:`forward`.

        Returns:
            list[Tensor]: The result; then y + t₁ + … of the scales 1, 1/2 and 1/4,
            (B, 3, ⌈H/s⌉, ⌈W/s⌉).
        """
        return self.forward_reblurred(image, None)[0]

    def forward_reblurred(
        self, image: Tensor, sharp: Tensor | None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """As :meth:`forward_scales`, and what A makes of the sharp image.

        Args:
            image (Tensor): As of :meth:`forward`.
            sharp (Tensor, optional): Its sharp version, same shape; None: nothing is
                reblurred.

        Returns:
            tuple[list[Tensor], list[Tensor]]: The former; and A(sharp image) at the
            scales 1, 1/2 and 1/4.
        """
        y = restored = extend_sides(image, 16)
        sums, reblurred = [], []
        for stride, (y_s, omega, terms) in zip(_STRIDES, self._scales(y), strict=True):
            series = list(self._series(y_s, omega, terms))
            restored = restored + resize(series[-1], y)
            sums.append(y_s + sum(series))
            if sharp is not None:
                x_s = extend_sides(sharp, 16)[..., ::stride, ::stride]
                reblurred.append(self.blur(x_s, omega))
        sides = image.shape[-2:]
        return (
            _cropped([restored, *sums[::-1]], sides),
            _cropped(reblurred[::-1], sides),
        )

    def _scales(self, y: Tensor) -> Iterator[tuple[Tensor, Tensor, int]]:
        """Image, weights and number of terms of every scale, coarsest first."""
        state = None
        for stride, terms in zip(_STRIDES, _TERMS, strict=True):
            # Nearest neighbour, no mean.
            y_s = y[..., ::stride, ::stride]
            omega, state = self.weights(self.unet(y_s), state)
            yield y_s, omega, terms

    def _series(self, y: Tensor, omega: Tensor, terms: int) -> Iterator[Tensor]:
        t = y
        for _ in range(terms):
            t = t - self.blur(t, omega)
            yield t


class RecursiveBlur(nn.Module):
    """The operator A.

    Args:
        num_atoms (int): Besides the delta.
    """

    def __init__(self, num_atoms: int) -> None:
        super().__init__()
        # Of both ends and of the centre, per atom and colour.
        self.logits = nn.Parameter(torch.rand(num_atoms, 3, 2))
        # (C_out, k, C): it also mixes the colours of the atoms.
        start = PointConv2d(3 * (num_atoms + 1), 3)
        self.mixing = nn.Parameter(start.weight.detach().view(3, num_atoms + 1, 3))
        self.bias = nn.Parameter(start.bias.detach())

    def atoms(self, t: Tensor) -> Iterator[Tensor]:
        """a₀ = t, a₁, …, each filtered from the one before.

        Args:
            t (Tensor): (B, 3, H, W).

        Yields:
            Tensor: Same shape.
        """
        yield t
        p, q = self.logits.unbind(-1)
        # (K, 3, 3): of every atom and colour, symmetric, with the sum one.
        taps = torch.stack([p, q, p], -1).softmax(-1).to(t.dtype)
        ends, centers = taps[..., 0, None, None], taps[..., 1, None, None]
        for end, center in zip(ends, centers, strict=True):
            for dim in (-1, -2):
                t = _filtered(t, end, center, dim)
            yield t

    def forward(self, t: Tensor, omega: Tensor) -> Tensor:
        """Blur an image.

        Args:
            t (Tensor): (B, 3, H, W).
            omega (Tensor): Weights, (B, num_atoms + 1, H, W).

        Returns:
            Tensor: Shape and type of ``t``.
        """
        with torch.autocast(t.device.type, enabled=False):
            mixing, bias = self.mixing.to(t.dtype), self.bias.to(t.dtype)
            out = bias.view(-1, 1, 1).expand_as(t)
            for k, atom in enumerate(self.atoms(t)):
                mixed = F.conv2d(atom, mixing[:, k, :, None, None])
                out = torch.addcmul(out, omega[:, k : k + 1].to(t.dtype), mixed)
            return out


def _filtered(t: Tensor, end: Tensor, center: Tensor, dim: int) -> Tensor:
    """Three taps along a dimension; a border of one pixel is reflected."""
    pads = (1, 1, 0, 0) if dim == -1 else (0, 0, 1, 1)
    padded = F.pad(t, pads, 'reflect')
    size = t.shape[dim]
    neighbours = padded.narrow(dim, 0, size) + padded.narrow(dim, 2, size)
    return torch.addcmul(center * t, end, neighbours)


class _WeightPredictor(nn.Module):
    """ω = u r + u, u from a ConvLSTM at half resolution that runs over the scales."""

    def __init__(self, channels: int, num_maps: int, statistics: str) -> None:
        super().__init__()
        if statistics not in STATISTICS:
            raise ValueError(f'statistics must be in {STATISTICS}, got {statistics!r}')
        self.statistics = statistics
        self.conv = ReflectConv2d(channels, num_maps)
        self.norm = nn.BatchNorm2d(num_maps)
        self.gates = nn.Conv2d(channels + num_maps, 4 * num_maps, 5, padding=2)

    def forward(
        self, feature: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Weights of a scale.

        Args:
            feature (Tensor): (B, channels, H, W).
            state (tuple[Tensor, Tensor], optional): h and c of the scale before,
                (B, num_maps, H/4, W/4); None: zero.

        Returns:
            tuple[Tensor, tuple[Tensor, Tensor]]: ω, (B, num_maps, H, W), and h and c,
            (B, num_maps, H/2, W/2).
        """
        r = F.relu(self._normalised(self.conv(feature)))
        a = F.avg_pool2d(feature, 2)
        if state is None:
            h = c = a.new_zeros(len(a), r.shape[1], *a.shape[2:])
        else:
            h, c = (resize(s, a) for s in state)
        i, f, o, g = self.gates(torch.cat([a, h], 1)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        u = F.interpolate(h, scale_factor=2, mode='nearest')
        return u * r + u, (h, c)

    def _normalised(self, x: Tensor) -> Tensor:
        if self.training or self.statistics == 'running':
            return self.norm(x)
        # Of every image alone: the release tests them one by one.
        weight, bias = self.norm.weight, self.norm.bias
        return F.instance_norm(x, weight=weight, bias=bias, eps=self.norm.eps)


class _UNet(nn.Module):
    """Features of an image; skips are added."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.downs = nn.ModuleList(
            ReflectConv2d(source, width, stride=2 if level else 1)
            for level, (source, width) in enumerate(
                zip((3, *widths[:-1]), widths, strict=True)
            )
        )
        self.encoders = nn.ModuleList(ResBlock(width) for width in widths)
        self.bottleneck = nn.ModuleList(
            [ReflectConv2d(widths[-1], widths[-1]), ResBlock(widths[-1])]
        )
        self.decoders = nn.ModuleList(ResBlock(width) for width in widths[::-1])
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(source, width, 4, 2, 1, bias=False)
            for source, width in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W), sides multiples of 4 → (B, widths[0], H, W)."""
        x, skips = image, []
        for down, encoder in zip(self.downs, self.encoders, strict=True):
            x = encoder(down(x, relu=True), overwrite=True)
            skips.append(x)
        conv, block = self.bottleneck
        x = block(conv(x, relu=True), overwrite=True)
        for decoder, up in zip(self.decoders, self.ups, strict=False):
            x = F.relu(up(decoder(skips.pop() + x)))
        return self.decoders[-1](skips.pop() + x)


def _cropped(images: list[Tensor], sides: torch.Size) -> list[Tensor]:
    """What belongs to an image of those sides, of reductions of its extended form."""
    full = images[0].shape[-2:] if images else sides
    crops = []
    for image in images:
        stride = full[0] // image.shape[-2]
        height, width = (-(-side // stride) for side in sides)
        crops.append(image[..., :height, :width])
    return crops
