"""Photographs as a browser can show them at any size: tiles of halved copies.

Level k is the photograph at 1 / 2^k of its size. What is shown has 8 bits; the files
hold it as NumPy arrays, of which a tile reads its own rows alone.
"""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..errors import InputError

# Pixels a side. Smaller ones ask more often, larger ones are drawn in vain.
TILE = 256
# Rows that are reduced to 8 bits at a time.
_ROWS = 256
# Where a profile says for which colours it holds.
_PROFILE_COLORS = slice(16, 20)


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an array as NumPy does.

    Unlike a file mapped into memory, which would end the process on a full disk.

    Args:
        path (Path): File.
        array (np.ndarray): Of any type.

    Raises:
        InputError: If there is no room.
    """
    array = np.ascontiguousarray(array)
    header = io.BytesIO()
    facts = np.lib.format.header_data_from_array_1_0(array)
    np.lib.format.write_array_header_1_0(header, facts)
    write_file(path, header.getvalue(), array.data)


def write_file(path: Path, *parts: bytes | memoryview) -> None:
    """Write a file of our own, in parts.

    Args:
        path (Path): File.
        *parts (bytes | memoryview): All of it.

    Raises:
        InputError: If there is no room.
    """
    try:
        with path.open('wb') as file:
            for part in parts:
                file.write(part)
    except OSError as error:
        raise no_room(path, error) from error


def no_room(path: Path, error: OSError) -> InputError:
    """Why a working file cannot be written, and what to do.

    Args:
        path (Path): File of a photo's folder.
        error (OSError): What was raised.

    Returns:
        InputError: Names the folder for temporary files, not the file, which nobody
        knows.
    """
    temp = path.parents[3]  # of the server's, the page's, the photo's
    return InputError(
        f'there is no room for this photo in {temp} ({error.strerror}); remove photos '
        'from the page, or start it with another --temp'
    )


def as_shown(pixels: np.ndarray) -> np.ndarray:
    """Reduce to 8 bits.

    Args:
        pixels (np.ndarray): (H, W, 3) or (H, W), uint8, uint16 or float32 in [0, 1].

    Returns:
        np.ndarray: The same in uint8, rounded.
    """
    if pixels.dtype == np.uint8:
        return pixels
    scale = np.float32(255 if pixels.dtype == np.float32 else 1 / 257)
    shown = np.empty(pixels.shape, np.uint8)
    for top in range(0, len(pixels), _ROWS):
        rows = slice(top, top + _ROWS)
        shown[rows] = np.rint(pixels[rows] * scale)
    return shown


def write_levels(pixels: np.ndarray, folder: Path, name: str) -> None:
    """Write a photograph and its halved copies, down to a single tile.

    Args:
        pixels (np.ndarray): As :func:`as_shown` takes them.
        folder (Path): Where to; files are ``NAME_LEVEL.npy``.
        name (str): Of the picture.

    Raises:
        InputError: If there is no room.
    """
    level = 0
    shown = as_shown(pixels)
    while True:
        write_array(folder / f'{name}_{level}.npy', shown)
        if max(shown.shape[:2]) <= TILE:
            return
        height, width = shown.shape[:2]
        # Even sides, so that every level lies exactly upon the others.
        even = cv2.copyMakeBorder(
            shown, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE
        )
        half = even.shape[1] // 2, even.shape[0] // 2
        shown, level = cv2.resize(even, half, interpolation=cv2.INTER_AREA), level + 1


def top_level(width: int, height: int) -> int:
    """Number of the level that is a single tile.

    Args:
        width (int): Of the photograph, in pixels.
        height (int): Likewise.

    Returns:
        int: From 0.

    Example:
        >>> top_level(6000, 4000)
        5
    """
    return max(0, (-(-max(width, height) // TILE) - 1).bit_length())


def read_tile(
    folder: Path,
    name: str,
    level: int,
    row: int,
    column: int,
    profile: bytes | None = None,
) -> bytes | None:
    """Encode a tile.

    Args:
        folder (Path): Where :func:`write_levels` wrote.
        name (str): Of the picture; ``'sizes'`` is drawn in colours.
        level (int): See above.
        row (int): Of the tile, from 0.
        column (int): Likewise.
        profile (bytes, optional): ICC profile of the photograph. Default: None, sRGB.

    Returns:
        bytes, optional: PNG of ``TILE`` pixels a side, transparent beyond the
        photograph; None if there is no such tile.
    """
    path = folder / f'{name}_{level}.npy'
    if min(level, row, column) < 0 or not path.is_file():
        return None
    pixels = np.load(path, mmap_mode='r')
    rows, columns = (slice(k * TILE, (k + 1) * TILE) for k in (row, column))
    part = np.array(pixels[rows, columns])
    return _png(part, name, profile, TILE) if part.size else None


def read_thumbnail(
    folder: Path, name: str, level: int, profile: bytes | None = None
) -> bytes | None:
    """Encode a whole level.

    Args:
        folder (Path): As for :func:`read_tile`.
        name (str): Likewise.
        level (int): From :func:`top_level`.
        profile (bytes, optional): As for :func:`read_tile`.

    Returns:
        bytes, optional: PNG; None while there is no such level.
    """
    path = folder / f'{name}_{level}.npy'
    return _png(np.load(path), name, profile, 0) if path.is_file() else None


def _png(part: np.ndarray, name: str, profile: bytes | None, side: int) -> bytes:
    """Pixels as a PNG, extended to a square with transparency if need be."""
    if name == 'sizes':
        part, profile = paint(part), None
    kind = profile[_PROFILE_COLORS] if profile else None
    if part.ndim == 2 and kind == b'RGB ':
        part = np.repeat(part[..., None], 3, 2)
    fits = kind == (b'GRAY' if part.ndim == 2 else b'RGB ')
    height, width = part.shape[:2]
    if min(height, width) < side:
        layers = [part] if part.ndim == 2 else [*part.transpose(2, 0, 1)]
        layers.append(np.full((height, width), 255, np.uint8))
        margins = (0, side - height), (0, side - width)
        part = np.dstack([np.pad(layer, margins) for layer in layers])
    file = io.BytesIO()
    # Level 1: a third larger than 6, and five times as fast.
    Image.fromarray(part).save(
        file, 'PNG', compress_level=1, icc_profile=profile if fits else None
    )
    return file.getvalue()


def paint(shares: np.ndarray) -> np.ndarray:
    """The map's colours: cividis, which the colour-blind read, too.

    Args:
        shares (np.ndarray): (H, W) uint8.

    Returns:
        np.ndarray: (H, W, 3) uint8 RGB.
    """
    colors = cv2.applyColorMap(np.ascontiguousarray(shares), cv2.COLORMAP_CIVIDIS)
    return np.ascontiguousarray(colors[..., ::-1])
