"""Sides that a network can take."""

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

_Side = TypeVar('_Side', int, Tensor)


def extend_sides(image: Tensor, multiple: int, least: int = 1) -> Tensor:
    """Extend an image at bottom and right.

    By reflection, or by replication where the image is smaller than the extension.

    Args:
        image (Tensor): (B, C, H, W).
        multiple (int): What the sides become multiples of.
        least (int): What they are not to be below. Default: 1.

    Returns:
        Tensor: (B, C, H', W'), or ``image`` itself where nothing is missing.

    Example:
        >>> import torch
        >>> extend_sides(torch.rand(1, 3, 5, 16), multiple=8).shape
        torch.Size([1, 3, 8, 16])
    """
    height, width = image.shape[-2:]
    if torch.jit.is_tracing():
        # What is traced is to hold for other sides, where there may be more to extend.
        rows, columns = extended_indices(height, width, multiple, least)
        taller = image.index_select(-2, rows.to(image.device))
        return taller.index_select(-1, columns.to(image.device))
    bottom, right = (_missing(side, multiple, least) for side in (height, width))
    if not bottom and not right:
        return image
    mode = 'reflect' if bottom < height and right < width else 'replicate'
    return F.pad(image, (0, right, 0, bottom), mode)


def extended_indices(
    height: int, width: int, multiple: int, least: int = 1
) -> tuple[Tensor, Tensor]:
    """Which rows and columns of an image :func:`extend_sides` puts where.

    Args:
        height (int): Of the image.
        width (int): Likewise.
        multiple (int): As in :func:`extend_sides`.
        least (int): As in :func:`extend_sides`.

    Returns:
        tuple[Tensor, Tensor]: (H',) rows and (W',) columns.

    Example:
        >>> extended_indices(3, 5, multiple=4)
        (tensor([0, 1, 2, 1]), tensor([0, 1, 2, 3, 4, 3, 2, 1]))
    """
    # Tensors all along, so that it can be traced.
    sides = [torch.as_tensor(side) for side in (height, width)]
    missing = [_missing(side, multiple, least) for side in sides]
    reflects = (missing[0] < sides[0]) & (missing[1] < sides[1])
    indices = []
    for more, side in zip(missing, sides, strict=True):
        # Of a tensor, which a trace follows.
        index = torch.arange(side + more)  # type: ignore[call-overload]
        last = side - 1
        beyond = torch.where(reflects, 2 * last - index, last)
        indices.append(torch.where(index < side, index, beyond))
    return indices[0], indices[1]


def _missing(side: _Side, multiple: int, least: int) -> _Side:
    wanted = side.clamp(min=least) if isinstance(side, Tensor) else max(side, least)
    # Of positive numbers: ONNX rounds quotients to zero.
    return (wanted + multiple - 1) // multiple * multiple - side
