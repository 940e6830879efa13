"""Frequency bands of an image: their energy, which tells blur, and their sign."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .padding import extend_sides

# Of squared differences of an image in [0, 1]: below what noise of a camera makes.
_LEAST = 1e-6
# Of the same, of a camera at low light: what is weaker than this stays weak.
_NOISE = 1e-5
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
    with torch.autocast(image.device.type, enabled=False):
        energies = _bands(image, num_bands).square()
        if reduction > 1:
            energies = F.avg_pool2d(extend_sides(energies, reduction), reduction)
        energies = torch.cat([energies, _around(energies)], 1)
        return ((energies + _LEAST).log() / _SPAN + _MIDDLE).to(image.dtype)


def normalised_bands(image: Tensor, num_bands: int, reduction: int = 1) -> Tensor:
    """An image's frequency bands, divided by how strong they are around.

    A wide blur leaves little of an edge but its sign: which side of it a pixel is on is
    told as loudly as by a sharp edge.

    Args:
        image (Tensor): (B, C, H, W) in [0, 1], of any size.
        num_bands (int): Bands K, as of :func:`local_energies`.
        reduction (int): Factor s: the strength is averaged over 5 × 5 blocks of s × s
            pixels, and interpolated. Default: 1.

    Returns:
        Tensor: (B, K, H', W'), the next sides that are multiples of s, about as large
        as white noise of variance one, smaller where there is nothing but noise; in the
        type of the image, computed in float32 at least.

    Example:
        >>> import torch
        >>> normalised_bands(torch.rand(1, 3, 9, 16), num_bands=4, reduction=4).shape
        torch.Size([1, 4, 12, 16])
    """
    with torch.autocast(image.device.type, enabled=False):
        bands = extend_sides(_bands(image, num_bands), reduction)
        energies = _around(F.avg_pool2d(bands.square(), reduction))
        scale = (energies + _NOISE).rsqrt()
        if reduction > 1:
            scale = F.interpolate(scale, scale_factor=reduction, mode='bilinear')
        return (bands * scale).to(image.dtype)


def _bands(image: Tensor, num_bands: int) -> Tensor:
    """Octaves of the grey image, (B, K, H, W), finest first."""
    grey = image.to(torch.promote_types(image.dtype, torch.float32))
    grey = grey.mean(1, keepdim=True)
    bands = []
    for k in range(num_bands):
        smooth = _binomial(grey, 2**k)
        bands.append(grey - smooth)
        grey = smooth
    return torch.cat(bands, 1)


def _around(x: Tensor) -> Tensor:
    """Mean over _WIDE × _WIDE places around every one."""
    return F.avg_pool2d(F.pad(x, [_WIDE // 2] * 4, 'replicate'), _WIDE, 1)


def _binomial(x: Tensor, step: int) -> Tensor:
    """[1, 2, 1] / 4 along both sides, taps ``step`` pixels apart, replicated beyond."""
    x = F.pad(x, [step] * 4, 'replicate')
    x = (x[..., : -2 * step, :] + x[..., 2 * step :, :] + 2 * x[..., step:-step, :]) / 4
    return (x[..., : -2 * step] + x[..., 2 * step :] + 2 * x[..., step:-step]) / 4
