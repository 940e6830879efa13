"""Sides that a network can take."""

import torch.nn.functional as F
from torch import Tensor


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
    bottom, right = (
        -(-max(side, least) // multiple) * multiple - side for side in (height, width)
    )
    if not bottom and not right:
        return image
    mode = 'reflect' if bottom < height and right < width else 'replicate'
    return F.pad(image, (0, right, 0, bottom), mode)
