"""1x1 convolution of coarse features whose result is enlarged by pixel shuffling.

A shuffle of channels that lie one behind another gathers every pixel from s² far
places. With the channels last in memory, and the s² pixels' in the order in which
pixels follow each other, rows of s pixels are copied as they are; and what convolves
the fine image may join the coarse convolution, in place of a pass of its own and one to
add it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .precision import autocast, compute
from .references import using_references


def enlarging_conv_reference(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    s: int,
    fine: Tensor | None = None,
    fine_weight: Tensor | None = None,
) -> Tensor:
    """Convolve, shuffle, convolve the fine image, add: each in a pass of its own.

    This is what :func:`enlarging_conv`, which takes and returns the same, is tested
    against.
    """
    y = F.pixel_shuffle(compute(F.conv2d, *autocast(features, weight, bias)), s)
    if fine is None or fine_weight is None:
        return y
    return y + compute(F.conv2d, *autocast(fine, fine_weight))


def enlarging_conv(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    s: int,
    fine: Tensor | None = None,
    fine_weight: Tensor | None = None,
) -> Tensor:
    """pixel_shuffle(conv(features), s) + conv(fine), all convolutions 1x1.

    Args:
        features (Tensor): (B, K, h, w).
        weight (Tensor): (D s², K, 1, 1), in the order of ``F.pixel_shuffle``.
        bias (Tensor, optional): (D s²,).
        s (int): Factor by which the result is larger.
        fine (Tensor, optional): (B, J, s h, s w). Default: None, nothing is added.
        fine_weight (Tensor, optional): (D, J, 1, 1), with ``fine``.

    Returns:
        Tensor: (B, D, s h, s w), in autocast's type under autocast; on a CPU with the
        channels last in memory.

    Example:
        >>> import torch
        >>> from mmagic_inik.ops import enlarging_conv
        >>> weight = torch.arange(4.0).view(4, 1, 1, 1)
        >>> enlarging_conv(torch.ones(1, 1, 1, 1), weight, None, 2)
        tensor([[[[0., 1.],
                  [2., 3.]]]])
    """
    if (
        not features.is_cpu
        or using_references()
        # Exporters have an operation for shuffling; a compiler fuses by itself.
        or torch.jit.is_tracing()
        or torch.compiler.is_compiling()
    ):
        args = features, weight, bias, s, fine, fine_weight
        return enlarging_conv_reference(*args)
    joined = _by_pixel(weight, s)
    if fine is not None and fine_weight is not None:
        features, fine = autocast(features, fine)
        features = torch.cat([features, F.pixel_unshuffle(fine, s)], 1)
        joined = torch.cat([joined, _of_one_pixel(fine_weight, s)], 1)
    features = features.contiguous(memory_format=torch.channels_last)
    moved = None if bias is None else _by_pixel(bias, s)
    y = compute(F.conv2d, *autocast(features, joined, moved))
    rows = y.permute(0, 2, 3, 1).unflatten(-1, (s, s, -1)).transpose(2, 3)
    return rows.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


def _by_pixel(weight: Tensor, s: int) -> Tensor:
    """Of channel, pixel → of pixel, channel."""
    return weight.unflatten(0, (-1, s * s)).transpose(0, 1).flatten(0, 1)


def _of_one_pixel(weight: Tensor, s: int) -> Tensor:
    """A convolution of one pixel's J channels as one of all s² pixels', unshuffled.

    (D, J, 1, 1) → (s² D, J s², 1, 1), zero where pixels differ.
    """
    same = torch.eye(s * s, dtype=weight.dtype, device=weight.device)
    of_all = torch.einsum('dj,pq->pdjq', weight[..., 0, 0], same)
    return of_all.flatten(2, 3).flatten(0, 1)[..., None, None]
