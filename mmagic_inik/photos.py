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

from . import photo_formats
from .errors import InputError
from .orientation import FIRST_TRANSPOSED, valid_orientation
from .photo_formats import kind_of, raw_size, read_deep
from .tiff import SIGNATURES as TIFF_SIGNATURES
from .tiff import decode_deep, orientation_of, photo_pages

_JPEG = ('.jfif', '.jif', '.jpe', '.jpeg', '.jpg')
EXTENSIONS = (
    *('.bmp', *_JPEG, '.png', '.tif', '.tiff', '.webp'),
    *photo_formats.EXTENSIONS,
)
# Told by content, whatever the extension; Pillow would also run PostScript.
_FORMATS = ('BMP', 'JPEG', 'PNG', 'TIFF', 'WEBP')
_EXIF_ORIENTATION = 274
_PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
_PNG_END = b'IEND\xaeB`\x82'
_JPEG_SIGNATURE = b'\xff\xd8\xff'
_JPEG_END = b'\xff\xd9'
# Some programs write a few bytes behind the end.
_TAIL = 4096
# Files, with time and size, that this process has checked.
_sound_jpegs: set[tuple[Path, int, int]] = set()


def read_photo(path: str | Path) -> np.ndarray:
    """Decode a photograph completely.

    Sixteen bits are kept; grey becomes RGB, transparency is dropped, EXIF orientation
    is applied. Of several pages, the first that is no thumbnail is read; of numbers
    with a fraction, what lies outside [0, 1] is clipped. A camera raw is developed to
    sRGB with the camera's white balance.

    Args:
        path (str | Path): PNG, JPEG, TIFF, BMP, WebP or AVIF file; with the extra
            ``formats`` also HEIC, JPEG XL and camera raw.

    Returns:
        np.ndarray: (H, W, 3), RGB: uint8, or float32 in [0, 255] from files of more
        than 8 bits.

    Raises:
        InputError: Names the file if it is absent, cut off, no photograph, of more
            than 178 megapixels, or damaged, as far as its format tells; or if it needs
            a library that is not installed.
    """
    path = Path(path)
    data = _read_bytes(path)
    try:
        kind = kind_of(path, data)
        if data.startswith(_PNG_SIGNATURE):
            check_png(data)
        deep = read_deep(path, data, kind)
        if deep is not None:
            return _as_rgb(deep.astype(np.float32) / 257)
        if kind is None and data.startswith(TIFF_SIGNATURES):
            return _read_tiff(data)
        if _is_deep_png(data):
            return _read_deep_png(data)
        with Image.open(io.BytesIO(data), formats=formats_of(kind)) as image:
            if data.startswith(_JPEG_SIGNATURE):
                _check_jpeg_once(path, data)
            image.load()
            return np.array(upright(image).convert('RGB'))
    except InputError:
        raise
    except Exception as error:  # Pillow's plugins raise all kinds
        raise _unreadable(path, error) from error


def formats_of(kind: str | None) -> tuple[str, ...]:
    """As which formats Pillow may open a file.

    Args:
        kind (str, optional): From :func:`~.photo_formats.kind_of`.

    Returns:
        tuple[str, ...]: Pillow's names.
    """
    return (*_FORMATS, kind) if kind else _FORMATS


def upright(image: Image.Image) -> Image.Image:
    """An image as it is shown.

    Args:
        image (Image.Image): From Pillow.

    Returns:
        Image.Image: Turned as EXIF says; not so for JPEG XL, whose decoder turns it.
    """
    return image if image.format == 'JXL' else ImageOps.exif_transpose(image)


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
            head = file.read(64)
            file.seek(-min(_TAIL, path.stat().st_size), 2)
            tail = file.read()
        kind = kind_of(path, head)
        if kind:
            photo_formats.library(kind, path)
        if kind == 'RAW':
            return raw_size(path)
        if kind is None and head.startswith(TIFF_SIGNATURES):
            return _tiff_size(path)
        if head.startswith(_PNG_SIGNATURE) and _PNG_END not in tail:
            raise _unreadable(path, 'the end of the file is missing')
        if head.startswith(_JPEG_SIGNATURE) and _JPEG_END not in tail:
            # Cut off, or a telephone's film follows: only decoding tells.
            height, width = read_photo(path).shape[:2]
            return width, height
        with Image.open(path, formats=formats_of(kind)) as image:
            size = image.size
            # Pillow would decode a whole PNG in search of EXIF data behind the pixels.
            quick = image.format not in ('PNG', 'JXL') or (
                image.format == 'PNG' and 'exif' in image.info
            )
            tag = image.getexif().get(_EXIF_ORIENTATION, 1) if quick else 1
            turned = valid_orientation(tag) >= FIRST_TRANSPOSED
    except InputError:
        raise
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


def _is_deep_png(data: bytes) -> bool:
    """Whether there are 16 bits per sample, which Pillow would cut."""
    return data.startswith(_PNG_SIGNATURE) and data[24:25] == b'\x10'


def _read_deep_png(data: bytes) -> np.ndarray:
    # OpenCV would return an incomplete PNG half black; Pillow tells.
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        image.load()
    # Unlike IMREAD_UNCHANGED these two apply the orientation.
    pixels = cv2.imdecode(
        np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
    )
    if pixels is None or pixels.dtype != np.uint16:
        raise ValueError('no 8- or 16-bit image data')
    pixels = pixels.astype(np.float32) / 257
    return _as_rgb(pixels[..., 2::-1] if pixels.ndim == 3 else pixels)


def _read_tiff(data: bytes) -> np.ndarray:
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = photo_pages(file)[0]
        if page.bitspersample > 8:
            pixels = decode_deep(page, data)
            if tifffile.EXTRASAMPLE.ASSOCALPHA in page.extrasamples:
                pixels = _divided_by_alpha(pixels)
            if pixels.dtype == np.float32:
                return _as_rgb(np.clip(pixels, 0, 1) * np.float32(255))
            return _as_rgb(pixels.astype(np.float32) / 257)
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        image.seek(page.index)
        image.load()
        return np.array(ImageOps.exif_transpose(image).convert('RGB'))


def _divided_by_alpha(pixels: np.ndarray) -> np.ndarray:
    """Colours that their file multiplies by transparency, as they were: (H, W, 3)."""
    if pixels.ndim != 3 or pixels.shape[2] != 4:
        raise ValueError('its colours are multiplied by what is no transparency')
    white = np.float32(1 if pixels.dtype == np.float32 else 65535)
    color, alpha = np.split(pixels.astype(np.float32), [3], 2)
    # Where nothing is opaque there is no colour to tell.
    color = np.minimum(color / np.maximum(alpha, white / 65535), 1) * white
    return color.astype(pixels.dtype)


def _tiff_size(path: Path) -> tuple[int, int]:
    with tifffile.TiffFile(path) as file:
        page = photo_pages(file)[0]
        size = page.imagewidth, page.imagelength
        return size[::-1] if orientation_of(page) >= FIRST_TRANSPOSED else size


def _as_rgb(pixels: np.ndarray) -> np.ndarray:
    """The first three channels, or grey three times, in a new array."""
    if pixels.ndim == 3 and pixels.shape[2] < 3:
        pixels = pixels[..., 0]
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2)
    return np.ascontiguousarray(pixels[..., :3])


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
