"""Reading photographs so that a bad file is named and never turns into black pixels."""

import io
import struct
import zlib
from pathlib import Path

import av
import cv2
import numpy as np
import tifffile
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import InputError

EXTENSIONS = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')
# Told by content, whatever the extension; Pillow would also run PostScript.
_FORMATS = ('BMP', 'JPEG', 'PNG', 'TIFF', 'WEBP')
_EXIF_ORIENTATION = 274
_PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
_PNG_END = b'IEND\xaeB`\x82'
_JPEG_SIGNATURE = b'\xff\xd8\xff'
_JPEG_END = b'\xff\xd9'
# TIFF's PhotometricInterpretation.
_RGB_OR_GREY = (1, 2)
# The last two are BigTIFF's.
_TIFF_SIGNATURES = (b'II*\x00', b'MM\x00*', b'II+\x00', b'MM\x00+')
# Some programs write a few bytes behind the end.
_TAIL = 4096
# Files, with time and size, that this process has checked.
_sound_jpegs: set[tuple[Path, int, int]] = set()


def read_photo(path: str | Path) -> np.ndarray:
    """Decode a photograph completely.

    Sixteen bits are kept; grey becomes RGB, transparency is dropped, EXIF orientation
    is applied.

    Args:
        path (str | Path): PNG, JPEG, TIFF, BMP or WebP file.

    Returns:
        np.ndarray: (H, W, 3), RGB: uint8, or float32 in [0, 255] from 16-bit files.

    Raises:
        InputError: Names the file if it is absent, cut off, no photograph, of more
            than 178 megapixels, or damaged, as far as its format tells.
    """
    path = Path(path)
    data = _read_bytes(path)
    try:
        if data.startswith(_PNG_SIGNATURE):
            check_png(data)
        if _is_deep(data):
            return _read_deep(path, data)
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if data.startswith(_JPEG_SIGNATURE):
                _check_jpeg_once(path, data)
            image.load()
            return np.array(ImageOps.exif_transpose(image).convert('RGB'))
    except InputError:
        raise
    except Exception as error:  # Pillow's plugins raise all kinds
        raise _unreadable(path, error) from error


def photo_size(path: str | Path) -> tuple[int, int]:
    """Size of a photograph by its header and the presence of its end.

    Fast enough for thousands of files; damage inside a file shows in
    :func:`read_photo` alone.

    Args:
        path (str | Path): Image file.

    Returns:
        tuple[int, int]: Width and height in pixels, EXIF orientation applied.

    Raises:
        InputError: Names the file if it is absent, cut off, or no photograph.
    """
    path = Path(path)
    try:
        with path.open('rb') as file:
            head = file.read(32)
            file.seek(-min(_TAIL, path.stat().st_size), 2)
            tail = file.read()
        if head.startswith(_PNG_SIGNATURE) and _PNG_END not in tail:
            raise _unreadable(path, 'the end of the file is missing')
        if head.startswith(_JPEG_SIGNATURE) and _JPEG_END not in tail:
            # Cut off, or a telephone's film follows: only decoding tells.
            return read_photo(path).shape[1::-1]
        with Image.open(path, formats=_FORMATS) as image:
            size = image.size
            # Pillow has turned a TIFF's size already, and would decode a whole PNG in
            # search of EXIF data behind the pixels.
            quick = image.format != 'PNG' or 'exif' in image.info
            turned = (
                quick
                and image.format != 'TIFF'
                and image.getexif().get(_EXIF_ORIENTATION, 1) >= 5
            )
    except InputError:
        raise
    except UnidentifiedImageError as error:
        if head.startswith(_TIFF_SIGNATURES):  # Pillow knows no 16-bit RGB TIFF
            return read_photo(path).shape[1::-1]
        raise _unreadable(path, error) from error
    except Exception as error:  # Pillow's plugins raise all kinds
        raise _unreadable(path, error) from error
    return size[::-1] if turned else size


def check_png(data: bytes) -> None:
    """Raise ValueError if the end is missing or a checksum wrong.

    Pillow may overlook both.
    """
    at, kind = len(_PNG_SIGNATURE), b''
    while kind != b'IEND':
        length, kind = struct.unpack_from('>I4s', data.ljust(at + 8, b'\0'), at)
        end = at + 12 + length
        if end > len(data):
            raise ValueError('the end of the file is missing')
        checksum = int.from_bytes(data[end - 4 : end], 'big')
        if zlib.crc32(data[at + 4 : end - 4]) != checksum:
            raise ValueError('a checksum is wrong')
        at = end


def _check_jpeg_once(path: Path, data: bytes) -> None:
    """Check a file when this process reads it first: it takes as long as decoding."""
    status = path.stat()
    version = path, status.st_mtime_ns, status.st_size
    if version not in _sound_jpegs:
        _check_jpeg(data)
        _sound_jpegs.add(version)


def _check_jpeg(data: bytes) -> None:
    """Raise if FFmpeg calls the data corrupt.

    libjpeg would go on behind damage and fill what is missing with grey. A flipped bit
    that leaves a valid file shows in neither.
    """
    decoder = av.CodecContext.create('mjpeg', 'r')
    decoder.options = {'err_detect': 'explode'}
    decoder.thread_count = 1  # in a data loader's worker
    try:
        decoder.decode(av.Packet(data))
    except av.error.InvalidDataError:
        raise ValueError('its JPEG data is corrupt') from None
    except av.error.FFmpegError:
        # A kind that FFmpeg does not know, such as CMYK with halved colours.
        return


def _is_deep(data: bytes) -> bool:
    """Whether a file may hold more than 8 bits per sample, which Pillow would cut."""
    if data.startswith(_PNG_SIGNATURE):
        return data[24:25] == b'\x10'
    if not data.startswith(_TIFF_SIGNATURES):
        return False
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return file.pages.first.bitspersample > 8


def _read_deep(path: Path, data: bytes) -> np.ndarray:
    if data.startswith(_PNG_SIGNATURE):
        try:
            # OpenCV would return an incomplete PNG half black; Pillow tells.
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                image.load()
        except Exception as error:  # Pillow's plugins raise all kinds
            raise _unreadable(path, error) from error
    else:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            _check_deep_tiff(path, page, len(data))
            if tifffile.EXTRASAMPLE.ASSOCALPHA in page.extrasamples:
                return _divided_by_alpha(path, data)
    # Unlike IMREAD_UNCHANGED these two apply a PNG's orientation.
    pixels = _decoded(path, data, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    pixels = pixels.astype(np.float32) / 257
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2)
    return np.ascontiguousarray(pixels[..., 2::-1])


def _divided_by_alpha(path: Path, data: bytes) -> np.ndarray:
    """Colours that their file multiplies by transparency, as they were: (H, W, 3)."""
    pixels = _decoded(path, data, cv2.IMREAD_UNCHANGED)
    if pixels.ndim != 3 or pixels.shape[2] != 4:
        raise _unreadable(path, 'its colours are multiplied by what is no transparency')
    blue_green_red, alpha = np.split(pixels.astype(np.float32), [3], 2)
    # Where nothing is opaque there is no colour to tell.
    color = np.minimum(blue_green_red / np.maximum(alpha, 1), 1) * 255
    return np.ascontiguousarray(color[..., ::-1])


def _decoded(path: Path, data: bytes, flags: int) -> np.ndarray:
    """What OpenCV makes of a file of 16 bits: uint16."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None or pixels.dtype != np.uint16:
        raise _unreadable(path, 'no 8- or 16-bit image data')
    return pixels


def _check_deep_tiff(path: Path, page: tifffile.TiffPage, length: int) -> None:
    """Refuse what OpenCV would return scrambled, dark or partly black."""
    if page.samplesperpixel > 1 and page.planarconfig == 2:
        raise _unreadable(path, 'its colours lie in separate planes')
    if page.samplesperpixel == 2:
        raise _unreadable(path, 'grey with transparency')
    if page.bitspersample != 16 or page.sampleformat != 1:
        raise _unreadable(path, 'no 8- or 16-bit image data')
    if page.photometric not in _RGB_OR_GREY:
        raise _unreadable(path, '16 bits of neither RGB nor grey with black as 0')
    pixels = page.imagewidth * page.imagelength
    if pixels > 2 * Image.MAX_IMAGE_PIXELS:
        raise _unreadable(path, f'its {pixels} pixels are more than a photograph has')
    ends = zip(page.dataoffsets, page.databytecounts, strict=True)
    if any(offset + count > length for offset, count in ends):
        raise _unreadable(path, 'the end of the file is missing')


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, why: object) -> InputError:
    if isinstance(why, UnidentifiedImageError):
        why = 'its content is no known image format'
    elif isinstance(why, Image.DecompressionBombError):
        why = 'it claims more pixels than a photograph has'
    elif isinstance(why, OSError) and why.strerror:
        why = why.strerror
    return InputError(
        f'{path} cannot be read as a photograph ({why}); replace or remove it'
    )
