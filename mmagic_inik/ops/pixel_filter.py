r"""Filtering with a kernel of its own at every pixel, shared by the colours.

.. math::
    x_c(i, j) = \sum_{p, q} K_{p M + q}(i, j) \, y_c(i + p, j + q)

``y`` is padded already, so that the two sides decide what lies beyond the border. The
plain form holds all M² shifted images at once; the fast one adds one after another, in
bands of rows that stay in a processor's cache, and keeps y and K alone for training.

``inverse_filter`` computes the same of M² atoms with a single one each, M² times as
many products.
"""

from collections.abc import Iterator
from math import isqrt
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .references import using_references

# Pixels per band on a CPU: with three colours in float32, 200 kB.
_BAND = 16384


def pixel_filter_reference(y: Tensor, kernels: Tensor) -> Tensor:
    """The sum over all shifted images at once.

    This is what :func:`pixel_filter`, which takes and returns the same, is tested
    against.
    """
    side = _side(y, kernels)
    shifted = F.unfold(y, side).unflatten(-1, kernels.shape[-2:])
    shifted = shifted.unflatten(1, (y.shape[1], side * side))
    return torch.einsum('bckhw,bkhw->bchw', shifted, kernels)


def pixel_filter(y: Tensor, kernels: Tensor) -> Tensor:
    """Filter an image with a kernel of its own at every pixel.

    It is a correlation: the first tap is that of the upper left. Under autocast, ``y``
    and the result keep their type.

    Args:
        y (Tensor): Image, padded by M − 1 rows and columns in all: (B, C, H + M − 1,
            W + M − 1).
        kernels (Tensor): (B, M², H, W), taps row by row.

    Returns:
        Tensor: (B, C, H, W), of the type of ``y``.

    Raises:
        ValueError: If the number of taps is no square, or does not fit the padding.

    Example:
        >>> import torch
        >>> from mmagic_inik.ops import pixel_filter
        >>> y = torch.rand(1, 3, 7, 9)
        >>> kernels = torch.zeros(1, 9, 5, 7)
        >>> kernels[:, 4] = 1
        >>> torch.equal(pixel_filter(y, kernels), y[..., 1:-1, 1:-1])
        True
    """
    _side(y, kernels)
    if using_references() or torch.compiler.is_compiling():
        with torch.autocast(y.device.type, enabled=False):
            return pixel_filter_reference(y, kernels.to(y.dtype))
    return _ShiftAndAdd.apply(y, kernels)


class _ShiftAndAdd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, kernels: Tensor) -> Tensor:
        ctx.save_for_backward(y, kernels)
        out = y.new_zeros(*y.shape[:2], *kernels.shape[-2:])
        for rows, taps in _bands(y, kernels):
            band = out[:, :, rows]
            for k, seen in enumerate(_shifted(y, kernels, rows)):
                band.addcmul_(taps[:, k : k + 1], seen)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        y, kernels = ctx.saved_tensors
        needs_y, needs_kernels = ctx.needs_input_grad
        grad_y = torch.zeros_like(y) if needs_y else None
        grad_kernels = torch.empty_like(kernels) if needs_kernels else None
        for rows, taps in _bands(y, kernels):
            part = grad[:, :, rows]
            if grad_kernels is not None:
                for k, seen in enumerate(_shifted(y, kernels, rows)):
                    grad_kernels[:, k, rows] = (part * seen).sum(1)
            if grad_y is not None:
                for k, to in enumerate(_shifted(grad_y, kernels, rows)):
                    to.addcmul_(taps[:, k : k + 1], part)
        return grad_y, grad_kernels


def _bands(y: Tensor, kernels: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Rows of every band, and its kernels in the type of the image."""
    batch, _, height, width = kernels.shape
    count = max(1, _BAND // (batch * width)) if y.is_cpu else height
    for start in range(0, height, count):
        rows = slice(start, min(start + count, height))
        yield rows, kernels[:, :, rows].to(y.dtype)


def _shifted(y: Tensor, kernels: Tensor, rows: slice) -> Iterator[Tensor]:
    """What the taps of a band see, tap by tap; views of ``y``."""
    side, width = isqrt(kernels.shape[1]), kernels.shape[-1]
    for p in range(side):
        for q in range(side):
            yield y[:, :, rows.start + p : rows.stop + p, q : q + width]


def _side(y: Tensor, kernels: Tensor) -> int:
    side = isqrt(kernels.shape[1])
    expected = [s + side - 1 for s in kernels.shape[-2:]]
    if side * side != kernels.shape[1] or list(y.shape[-2:]) != expected:
        raise ValueError(
            f'kernels {tuple(kernels.shape)} want M² taps and an image padded by '
            f'M − 1, got {tuple(y.shape)}'
        )
    return side
