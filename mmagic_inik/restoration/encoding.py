"""Photo files written as they were found, with other pixels."""

import io
import os
import re
import shutil
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageFile
from psutil import pid_exists

from ..errors import InputError
from ..orientation import as_stored
from ..photo_formats import encode_deep_heif
from .carry_over import (
    carry_over_jpeg,
    carry_over_png,
    carry_over_raw,
    carry_over_tiff,
)
from .photo_files import Photo

# As Pillow calls them → TIFF's number.
_TIFF_COMPRESSIONS = {'raw': 1, 'tiff_lzw': 5, 'tiff_adobe_deflate': 8}
# A file that is being written: of which, and by which process.
_PART = re.compile(r'\.(.+)\.(\d+)\.part')
# A PNG row as the difference to the one above.
_PNG_UP = 2


def encode_photo(photo: Photo, restored: np.ndarray) -> bytes:
    """Make a file like the photo's own, with other pixels.

    Args:
        photo (Photo): From :func:`open_photo`.
        restored (np.ndarray): Of shape and type of ``photo.pixels``.

    Returns:
        bytes: Content of the file.

    Raises:
        InputError: If the photo's file has gone meanwhile, or what it holds beside the
            pixels is damaged.
    """
    pixels = restored if photo.excess is None else restored + photo.excess
    if pixels.ndim == 2 and not photo.grey:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if photo.alpha is not None:
        pixels = np.dstack([pixels, photo.alpha])
    pixels = np.ascontiguousarray(as_stored(pixels, photo.orientation))
    try:
        original = photo.path.read_bytes()
    except OSError as error:
        raise InputError(
            f'{photo.path} cannot be read again for its metadata ({error.strerror}); '
            'leave it in place while it is restored'
        ) from error
    try:
        return _encode(photo, pixels, original)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's plugins and damaged metadata raise all kinds
        raise InputError(
            f'{photo.path} cannot be written as it was ({error}); save it as PNG first'
        ) from error


def encode_array(pixels: np.ndarray, extension: str) -> bytes:
    """Make a file of pixels alone.

    Args:
        pixels (np.ndarray): (H, W, 3) RGB or (H, W); uint8, uint16, or float32 in
            [0, 1].
        extension (str): ``'.png'``, ``'.tif'``, ``'.tiff'``, ``'.jpg'`` or ``'.jpeg'``.

    Returns:
        bytes: Content of the file, without loss but for JPEG, of quality 95.

    Raises:
        InputError: If such a file does not hold such pixels.
    """
    kind = pixels.dtype.name
    if extension in ('.tif', '.tiff'):
        return _tiff(pixels, 'raw', 'float32' if kind == 'float32' else None)
    if extension == '.png' and kind != 'float32':
        return _png(pixels)
    if extension in ('.jpg', '.jpeg') and kind == 'uint8':
        return _pillow(pixels, 'JPEG', quality=95)
    raise InputError(
        f'an array of {kind} is not written as {extension}; name a .tif, or for uint8 '
        'and uint16 a .png, or for uint8 a .jpg'
    )


def write_photo(photo: Photo, restored: np.ndarray, target: Path) -> None:
    """Write a photo's file with other pixels; what is not kept becomes a remark of it.

    Args:
        photo (Photo): From :func:`open_photo`.
        restored (np.ndarray): Of shape and type of ``photo.pixels``.
        target (Path): Where to.

    Raises:
        InputError: As :func:`encode_photo` and :func:`write_whole`.
    """
    content = encode_photo(photo, restored)
    if not write_whole(target, content, like=photo.path):
        photo.remarks.append('its time and permissions cannot be kept there')


def write_whole(path: Path, content: bytes, like: Path | None = None) -> bool:
    """Write a file that appears complete or not at all.

    Args:
        path (Path): File; its folder is made if need be.
        content (bytes): All of it.
        like (Path, optional): File whose time of modification, permissions and extended
            attributes it gets, as far as its file system has them. Default: None.

    Returns:
        bool: Whether it got them.

    Raises:
        InputError: If it cannot be written.
    """
    part, kept = path.with_name(f'.{path.name}.{os.getpid()}.part'), True
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(content)
            try:
                if like is not None:
                    shutil.copystat(like, part)
            except OSError:
                kept = False
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f'{path} cannot be written ({error.strerror}); give an --out with room '
            'that you may write to'
        ) from error
    return kept


def remove_parts(targets: Iterable[Path]) -> None:
    """Remove what killed processes left of files that :func:`write_whole` was writing.

    Args:
        targets (Iterable[Path]): Files that will be written; another's part is left.
    """
    names = defaultdict(set)
    for target in targets:
        names[target.parent].add(target.name)
    for folder in filter(Path.is_dir, names):
        for path in list(folder.iterdir()):
            part = _PART.fullmatch(path.name)
            if part and part[1] in names[folder] and not pid_exists(int(part[2])):
                path.unlink(missing_ok=True)


def _encode(photo: Photo, pixels: np.ndarray, original: bytes) -> bytes:
    if photo.kind == 'PNG':
        return carry_over_png(_png(pixels), original)
    if photo.kind == 'JPEG':
        encoded = _pillow(pixels, 'JPEG', **photo.options)
        return carry_over_jpeg(encoded, original, photo.keeps_profile)
    if photo.kind in ('TIFF', 'RAW'):
        encoded = _tiff(pixels, **photo.options)
        if photo.kind == 'RAW':
            return carry_over_raw(encoded, original)
        return carry_over_tiff(encoded, original, photo.keeps_profile, photo.page)
    if photo.kind == 'HEIF' and pixels.dtype == np.uint16:
        return encode_deep_heif(pixels, **photo.options)
    return _pillow(pixels, photo.kind, **photo.options)


def _pillow(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    block = ImageFile.MAXBLOCK
    if options.get('progressive'):
        # Such a JPEG must fit into one buffer.
        ImageFile.MAXBLOCK = max(block, 2 * pixels.nbytes)
    try:
        Image.fromarray(pixels).save(file, kind, **options)
    finally:
        ImageFile.MAXBLOCK = block
    return file.getvalue()


def _png(pixels: np.ndarray) -> bytes:
    """Pillow writes no 16-bit colour, and OpenCV no grey with transparency."""
    if pixels.dtype == np.uint8:
        return _pillow(pixels, 'PNG')
    height, width = pixels.shape[:2]
    rows = pixels.astype('>u2').reshape(height, -1).view(np.uint8)
    filtered = np.full((height, 1 + rows.shape[1]), _PNG_UP, np.uint8)
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    head = struct.pack('>IIBBBBB', width, height, 16, color_type, 0, 0, 0)
    chunks = [(b'IHDR', head), (b'IDAT', zlib.compress(filtered.data)), (b'IEND', b'')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(data))
        + kind
        + data
        + struct.pack('>I', zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _tiff(pixels: np.ndarray, compression: str, dtype: str | None = None) -> bytes:
    """Pillow writes no 16-bit colour, and OpenCV no grey with transparency."""
    if dtype is not None:
        return _float_tiff(pixels.astype(dtype), compression)
    if pixels.dtype == np.uint8:
        return _pillow(pixels, 'TIFF', compression=compression)
    if pixels.ndim == 3:
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    options = [cv2.IMWRITE_TIFF_COMPRESSION, _TIFF_COMPRESSIONS[compression]]
    done, data = cv2.imencode('.tif', pixels, options)
    if not done:
        raise ValueError('OpenCV cannot encode it')
    return data.tobytes()


def _float_tiff(pixels: np.ndarray, compression: str) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        pixels,
        byteorder='<',
        photometric='rgb' if pixels.ndim == 3 else 'minisblack',
        extrasamples=['unassalpha'] if pixels.shape[2:] == (4,) else None,
        compression=None if compression == 'raw' else 'zlib',
        metadata=None,
        software=False,
    )
    return file.getvalue()
