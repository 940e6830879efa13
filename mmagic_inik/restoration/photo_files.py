"""Photo files that are written as they were found: format, depth, transparency, data.

Pixels are handled upright, as a viewer shows them, and stored turned as they were, so
that the EXIF orientation, like all else beside the pixels, stays as it is.
"""

import io
import struct
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageOps, JpegImagePlugin

from ..errors import InputError
from ..photos import read_photo

_FORMATS = ('BMP', 'JPEG', 'PNG', 'TIFF', 'WEBP')
_TRANSPARENT = ('LA', 'La', 'PA', 'RGBA', 'RGBa')
_ORIENTATION, _SAMPLES = 274, 277
# Orientations that a viewer mirrors, after exchanging rows and columns from 5 on.
_LEFT_TO_RIGHT, _TOP_TO_BOTTOM, _FIRST_TRANSPOSED = (2, 3, 6, 7), (3, 4, 7, 8), 5
_WEBP_QUALITY = 95


@dataclass
class Photo:
    """A photograph and how its file stores it.

    Attributes:
        path (Path): The file.
        pixels (np.ndarray): Upright, (H, W, 3) RGB, or (H, W) if all three colours are
            equal; uint8 or uint16.
        alpha (np.ndarray, optional): Upright, (H, W), of the same type.
        kind (str): Format, told by content.
        orientation (int): EXIF's, 1 to 8.
        grey (bool): Whether the file stores one colour.
        options (dict): What to tell the encoder.
        keeps_profile (bool): Whether the colour profile holds for RGB.
        remarks (list[str]): What of the file cannot be kept.
    """

    path: Path
    pixels: np.ndarray
    alpha: np.ndarray | None
    kind: str
    orientation: int
    grey: bool
    options: dict
    keeps_profile: bool = True
    remarks: list[str] = field(default_factory=list)


def open_photo(path: str | Path) -> Photo:
    """Read a photograph completely.

    Args:
        path (str | Path): PNG, JPEG, TIFF, BMP or WebP file.

    Returns:
        Photo: From which :func:`encode_photo` makes such a file again.

    Raises:
        InputError: As :func:`~mmagic_inik.photos.read_photo`, or if it has several
            pages, transparency that would be lost, or damaged metadata.
    """
    path = Path(path)
    pixels = read_photo(path)
    try:
        if pixels.dtype == np.float32:
            # Read as value / 257.
            np.multiply(pixels, 257, out=pixels)
            photo = _open_deep(path, np.rint(pixels, out=pixels).astype(np.uint16))
        else:
            photo = _open_eight_bit(path, pixels)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # damaged metadata raises all kinds
        raise InputError(
            f'{path} has metadata that cannot be read ({error}); save it anew'
        ) from error
    red = photo.pixels[..., 0]
    if all(np.array_equal(red, photo.pixels[..., color]) for color in (1, 2)):
        photo.pixels = np.ascontiguousarray(red)
    return photo


def _open_eight_bit(path: Path, pixels: np.ndarray) -> Photo:
    # By its path, Pillow would turn some TIFFs twice.
    data = path.read_bytes()
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        kind = 'JPEG' if image.format == 'MPO' else image.format
        frames = getattr(image, 'n_frames', 1)
        if frames > 1 and image.format != 'MPO':
            raise _several_pages(path, frames)
        if kind == 'PNG':
            image.load()  # EXIF data may stand behind the pixels
        # Before it is decoded, by which Pillow turns a TIFF.
        orientation = _orientation(image.getexif())
        options, remarks = _encoder_options(image, data)
        if frames > 1:
            remarks.append(f'of its {frames} pictures the first is written')
        keeps_profile = image.mode not in ('CMYK', 'LAB')
        if image.mode not in ('1', 'L', 'LA', 'RGB', 'RGBA'):
            name = 'palette' if image.mode in ('P', 'PA') else image.mode
            remarks.append(f'its {name} colours become RGB')
        elif image.mode == '1':
            remarks.append('its black and white becomes grey')
        if kind == 'TIFF' and len(image.getbands()) < image.tag_v2.get(_SAMPLES, 1):
            remarks.append('its samples that are no colours are left out')
        if not keeps_profile and image.info.get('icc_profile'):
            remarks.append('its colour profile is left out')
        alpha = None
        if image.mode in _TRANSPARENT or 'transparency' in image.info:
            upright = ImageOps.exif_transpose(image)
            alpha = np.array(upright.convert('RGBA').getchannel('A'))
        grey = image.mode in ('1', 'L', 'LA')
        if kind == 'BMP' and alpha is not None:
            raise InputError(
                f'{path} is a BMP with transparency, which would be lost; save it as '
                'PNG first'
            )
    return Photo(
        path, pixels, alpha, kind, orientation, grey, options, keeps_profile, remarks
    )


def _open_deep(path: Path, pixels: np.ndarray) -> Photo:
    """Sixteen bits, which Pillow does not read in colour."""
    data = path.read_bytes()
    remarks, options = [], {}
    if data.startswith(b'\x89PNG'):
        kind, exif = 'PNG', Image.Exif()
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if getattr(image, 'n_frames', 1) > 1:
                raise _several_pages(path, image.n_frames)
            image.load()  # the data may stand behind the pixels
            if data[25] == 0 and 'transparency' in image.info:
                raise InputError(
                    f'{path} is a 16-bit grey PNG with one transparent grey, which '
                    'would be lost; save it with an alpha channel'
                )
            # Of eXIf alone, as OpenCV reads it; Pillow would also look into XMP.
            exif.load(image.info.get('exif', b''))
        orientation = _orientation(exif)
        grey = data[25] in (0, 4)  # colour type, see PNG's specification
    else:
        kind = 'TIFF'
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            if len(file.pages) > 1:
                raise _several_pages(path, len(file.pages))
            page = file.pages.first
            orientation = _orientation(page.tags.valueof(_ORIENTATION) or 1)
            grey = page.samplesperpixel == 1
            names = {1: 'raw', 5: 'tiff_lzw', 8: 'tiff_deflate', 32946: 'tiff_deflate'}
            compression = names.get(int(page.compression), page.compression.name)
        options, remarks = _tiff_options(compression)
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    alpha = None
    if stored.ndim == 3 and stored.shape[2] == 4:
        alpha = np.ascontiguousarray(_as_shown(stored[..., 3], orientation))
    return Photo(path, pixels, alpha, kind, orientation, grey, options, True, remarks)


def _encoder_options(image: Image.Image, data: bytes) -> tuple[dict, list[str]]:
    """What to tell the encoder of a format, and what to tell the user."""
    if image.format in ('JPEG', 'MPO'):
        tables = image.quantization
        options = dict(
            qtables=[tables[key] for key in sorted(tables)],
            # Which is -1 for layouts that Pillow cannot write.
            subsampling=max(0, JpegImagePlugin.get_sampling(image)),
            progressive='progressive' in image.info,
        )
        return options, []
    if image.format == 'TIFF':
        return _tiff_options(image.info.get('compression', 'raw'))
    info = image.info
    if image.format == 'BMP':
        return {'dpi': info['dpi']} if 'dpi' in info else {}, []
    if image.format == 'WEBP':
        options = {k: info[k] for k in ('exif', 'icc_profile', 'xmp') if k in info}
        if _webp_is_lossless(data):
            # Colours of transparent pixels, too.
            return dict(options, lossless=True, exact=True), []
        remark = f'lossy WebP does not tell its quality: written with {_WEBP_QUALITY}'
        return dict(options, quality=_WEBP_QUALITY), [remark]
    return {}, []


def _tiff_options(compression: str) -> tuple[dict, list[str]]:
    """``compression`` is as Pillow calls it; what is lossless and common is kept."""
    deflate = 'tiff_adobe_deflate'
    if compression in ('raw', 'tiff_lzw', deflate):
        return dict(compression=compression), []
    remark = f'its compression {compression} becomes Deflate'
    # The same under an older number.
    remarks = [] if compression == 'tiff_deflate' else [remark]
    return dict(compression=deflate), remarks


def _webp_is_lossless(data: bytes) -> bool:
    """Whether the pixels stand in a chunk ``VP8L``."""
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from('<4sI', data, at)
        if kind in (b'VP8L', b'VP8 '):
            return kind == b'VP8L'
        at += 8 + length + length % 2
    return False


def _several_pages(path: Path, count: int) -> InputError:
    return InputError(
        f'{path} has {count} pages or frames, and only single photos are restored; '
        'save them as files of their own'
    )


def _orientation(tags: Image.Exif | int) -> int:
    value = tags if isinstance(tags, int) else tags.get(_ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def _as_shown(stored: np.ndarray, orientation: int) -> np.ndarray:
    if orientation >= _FIRST_TRANSPOSED:
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
    return upright.swapaxes(0, 1) if orientation >= _FIRST_TRANSPOSED else upright


def _mirrored(pixels: np.ndarray, orientation: int) -> np.ndarray:
    if orientation in _LEFT_TO_RIGHT:
        pixels = pixels[:, ::-1]
    return pixels[::-1] if orientation in _TOP_TO_BOTTOM else pixels
