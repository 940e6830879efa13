"""EXIF's orientations: pixels as stored, and as a viewer shows them."""

import numpy as np

# What a viewer mirrors, after exchanging rows and columns from 5 on.
_LEFT_TO_RIGHT, _TOP_TO_BOTTOM, FIRST_TRANSPOSED = (2, 3, 6, 7), (3, 4, 7, 8), 5


def as_shown(stored: np.ndarray, orientation: int) -> np.ndarray:
    """Turn pixels from how a file stores them to how they are shown.

    Args:
        stored (np.ndarray): (H, W) or (H, W, C).
        orientation (int): EXIF's, 1 to 8.

    Returns:
        np.ndarray: A view; (W, H) or (W, H, C) from orientation 5 on.
    """
    if orientation >= FIRST_TRANSPOSED:
        stored = stored.swapaxes(0, 1)
    return _mirrored(stored, orientation)


def as_stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """Turn pixels from how they are shown to how a file stores them.

    Args:
        upright (np.ndarray): (H, W) or (H, W, C).
        orientation (int): EXIF's, 1 to 8.

    Returns:
        np.ndarray: A view; (W, H) or (W, H, C) from orientation 5 on.
    """
    upright = _mirrored(upright, orientation)
    return upright.swapaxes(0, 1) if orientation >= FIRST_TRANSPOSED else upright


def valid_orientation(value: object) -> int:
    """What a file says, or 1 where that is no orientation."""
    return next((known for known in range(1, 9) if known == value), 1)


def _mirrored(pixels: np.ndarray, orientation: int) -> np.ndarray:
    if orientation in _LEFT_TO_RIGHT:
        pixels = pixels[:, ::-1]
    return pixels[::-1] if orientation in _TOP_TO_BOTTOM else pixels
