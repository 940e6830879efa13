"""How much of every frequency an image holds around a pixel: what tells blur."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .padding import extend_sides

# Of squared differences of an image in [0, 1]: below what noise of a camera makes.
_LEAST = 1e-6
# Logarithms of energies from _LEAST to 1 come to lie between these, about.
_SPAN, _MIDDLE = 3.0, 3.0
_WIDE = 5


def local_energies(image: Tensor, num_bands: int, reduction: int = 1) -> Tensor:
    r"""Logarithms of the local energy of an image's frequency bands.

    Blur weakens high frequencies against low ones, whatever the contrast: the
    differences of these logarithms between bands tell its radius, as ratios of spectra
    do. Convolutions and rectifiers would have to learn to divide first.

    With the grey image :math:`g_0` and binomials :math:`b_k` of 3 × 3 taps, 2^k pixels
    apart, :math:`g_{k+1} = b_k * g_k`, and the energy of band k is
    :math:`(g_k - g_{k+1})^2`, averaged over blocks of s × s pixels and, in the second
    half of the channels, over 5 × 5 such blocks.

    Args:
        image (Tensor): (B, C, H, W) in [0, 1], of any size.
        num_bands (int): Bands K, an octave each.
        reduction (int): Factor s. Default: 1.

    Returns:
        Tensor: (B, 2K, ⌈H/s⌉, ⌈W/s⌉), log(energy + 1e-6) / 3 + 3, in the type of the
        image; computed in float32 at least.

    Example:
        >>> import torch
        >>> local_energies(torch.rand(1, 3, 9, 16), num_bands=4, reduction=4).shape
        torch.Size([1, 8, 3, 4])
    """
    wide = torch.promote_types(image.dtype, torch.float32)
    with torch.autocast(image.device.type, enabled=False):
        grey = image.to(wide).mean(1, keepdim=True)
        bands = []
        for k in range(num_bands):
            smooth = _binomial(grey, 2**k)
            bands.append((grey - smooth).square())
            grey = smooth
        energies = torch.cat(bands, 1)
        if reduction > 1:
            energies = F.avg_pool2d(extend_sides(energies, reduction), reduction)
        around = F.pad(energies, [_WIDE // 2] * 4, 'replicate')
        energies = torch.cat([energies, F.avg_pool2d(around, _WIDE, 1)], 1)
        return ((energies + _LEAST).log() / _SPAN + _MIDDLE).to(image.dtype)


def _binomial(x: Tensor, step: int) -> Tensor:
    """[1, 2, 1] / 4 along both sides, taps ``step`` pixels apart, replicated beyond."""
    x = F.pad(x, [step] * 4, 'replicate')
    x = (x[..., : -2 * step, :] + x[..., 2 * step :, :] + 2 * x[..., step:-step, :]) / 4
    return (x[..., : -2 * step] + x[..., 2 * step :] + 2 * x[..., step:-step]) / 4
