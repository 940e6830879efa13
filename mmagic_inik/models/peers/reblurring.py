r"""JDRL's reblurring network: a mixture of isotropic kernels per pixel.

Li, Ren, Shu, Zuo: "Learning Single Image Defocus Deblurring with Misaligned Training
Pairs", 2022. From the restored image Ŝ and the blurred one B, one network gives the
shares m of eight images, another the profiles of seven kernels of 3² to 15² taps:

.. math::
    R = m_0 \hat S + \sum_{r=1}^{7} m_r (k_r * \hat S), \quad
    k_r(a, b) = \mathrm{softmax}\,(|v|(\sqrt{a^2 + b^2}))

with |v| linear between whole radii and 0 beyond r, which leaves the corners a weight:
the softmax runs over all taps. Frames are padded by zeros.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...ops import pixel_filter
from ...registry import MODELS
from ..base_module import BaseModule

_RADII = range(1, 8)


@MODELS.register_module()
class ReblurNet(BaseModule):
    """Blurs a restored image again, for training alone; 474,987 parameters.

    Args:
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.
            Without it, Xavier's normal one and zero biases, as in the release.

    Example:
        >>> import torch
        >>> image = torch.rand(1, 3, 20, 24)
        >>> ReblurNet()(image, image).shape
        torch.Size([1, 3, 20, 24])
    """

    def __init__(self, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.shares = _Predictor(len(_RADII) + 1)
        # Values at the radii 0 … r of every kernel, one behind another.
        self.profiles = _Predictor(sum(r + 1 for r in _RADII))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, restored: Tensor, blurred: Tensor) -> Tensor:
        """Blur an image as another one is.

        Args:
            restored (Tensor): Ŝ, (B, 3, H, W).
            blurred (Tensor): B, same shape.

        Returns:
            Tensor: R, same shape.
        """
        both = torch.cat([restored, blurred], 1)
        shares = self.shares(both).softmax(1).to(restored.dtype)
        kernels = isotropic_kernels(self.profiles(both))
        out = shares[:, :1] * restored
        for r, kernel in zip(_RADII, kernels, strict=True):
            filtered = pixel_filter(F.pad(restored, [r] * 4), kernel)
            out = torch.addcmul(out, shares[:, r : r + 1], filtered)
        return out


def isotropic_kernels(profiles: Tensor) -> list[Tensor]:
    """Kernels of radius 1, 2, … from their values at whole radii.

    Args:
        profiles (Tensor): (B, 2 + 3 + …, H, W).

    Returns:
        list[Tensor]: (B, (2r + 1)², H, W) for every r, positive, sum one.
    """
    kernels = []
    pieces = profiles.split([r + 1 for r in _RADII], 1)
    for r, v in zip(_RADII, pieces, strict=True):
        blend = _blend(r).to(v)
        logits = torch.einsum('tk,bkhw->bthw', blend, v.abs())
        kernels.append(logits.softmax(1))
    return kernels


@cache
def _blend(r: int) -> Tensor:
    """Shares of the values at the radii 0 … r in every tap: (taps, r + 1)."""
    offsets = torch.arange(-r, r + 1, dtype=torch.float64)
    radius = torch.cartesian_prod(offsets, offsets).norm(dim=1, keepdim=True)
    shares = (1 - (radius - torch.arange(r + 1)).abs()).clamp(min=0)
    return torch.where(radius > r, 0.0, shares)


class _Predictor(nn.Module):
    """Eight 3 × 3 convolutions, six of them in three residual blocks."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(6, 64, 3, padding=1)
        self.blocks = nn.ModuleList(_Block() for _ in range(3))
        self.last = nn.Conv2d(64, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.last(x)


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(64, 64, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(x)))
