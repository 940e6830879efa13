"""Photo files that are written as they were found: format, depth, transparency, data.

Pixels are handled upright, as a viewer shows them, and stored turned as they were, so
that the EXIF orientation, like all else beside the pixels, stays as it is.
"""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import tifffile
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile
from tifffile import COMPRESSION

from ..errors import InputError
from ..orientation import as_shown, valid_orientation
from ..photo_formats import heif_bits, kind_of, library, read_deep
from ..photos import formats_of, read_photo, upright
from ..tiff import SIGNATURES as TIFF_SIGNATURES
from ..tiff import decode_deep, is_float, orientation_of, photo_pages
from .encoder_options import encoder_options, tiff_options

_TRANSPARENT = ('LA', 'La', 'PA', 'RGBA', 'RGBa')
_ORIENTATION, _SAMPLES = 274, 277


@dataclass
class Photo:
    """A photograph and how its file stores it.

    Attributes:
        path (Path): The file.
        pixels (np.ndarray): Upright, (H, W, 3) RGB, or (H, W) if all three colours are
            equal; uint8, uint16, or float32 in [0, 1].
        alpha (np.ndarray, optional): Upright, (H, W), of the same type.
        kind (str): Format, told by content.
        orientation (int): EXIF's, 1 to 8.
        grey (bool): Whether the file stores one colour.
        options (dict): What to tell the encoder.
        keeps_profile (bool): Whether the colour profile holds for RGB.
        remarks (list[str]): What of the file cannot be kept.
        page (int): Which of a TIFF's pages it is, from 0. Default: 0.
        excess (np.ndarray, optional): What of float pixels lay outside [0, 1], to be
            put back; of the shape of ``pixels``.
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
    page: int = 0
    excess: np.ndarray | None = None


def open_photo(path: str | Path) -> Photo:
    """Read a photograph completely.

    Args:
        path (str | Path): As for :func:`~mmagic_inik.photos.read_photo`.

    Returns:
        Photo: From which :func:`encode_photo` makes such a file again; of a camera raw,
        a TIFF of 16 bits.

    Raises:
        InputError: As :func:`~mmagic_inik.photos.read_photo`, or if it has several
            photos or moves, transparency that would be lost, or damaged metadata.
    """
    path = Path(path)
    pixels = read_photo(path)
    try:
        photo = _open(path, path.read_bytes(), pixels)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # damaged metadata raises all kinds
        raise InputError(
            f'{path} has metadata that cannot be read ({error}); save it anew'
        ) from error
    if photo.pixels.ndim == 3:
        red = photo.pixels[..., 0]
        same = (np.array_equal(red, photo.pixels[..., color]) for color in (1, 2))
        if all(same) and photo.excess is None:
            photo.pixels = np.ascontiguousarray(red)
    return photo


def _open(path: Path, data: bytes, pixels: np.ndarray) -> Photo:
    kind = kind_of(path, data)
    page = None
    if kind is None and data.startswith(TIFF_SIGNATURES):
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            pages, count = photo_pages(file), len(file.pages)
            if len(pages) > 1:
                raise _several(path, f'{len(pages)} pages')
            page = pages[0]
            photo = (
                _open_deep_tiff(path, data, page)
                if page.bitspersample > 8
                else _open_eight_bit(path, data, pixels, kind, page.index)
            )
        photo.page = page.index
        if count > 1:
            photo.remarks.append('its thumbnail is left out')
        return photo
    if pixels.dtype != np.float32:
        return _open_eight_bit(path, data, pixels, kind)
    # Read as value / 257.
    np.multiply(pixels, 257, out=pixels)
    pixels = np.rint(pixels, out=pixels).astype(np.uint16)
    if kind is None:
        return _open_deep_png(path, data, pixels)
    return _open_deep_extra(path, data, pixels, kind)


def _open_eight_bit(
    path: Path, data: bytes, pixels: np.ndarray, kind: str | None, page: int = 0
) -> Photo:
    # By its path, Pillow would turn some TIFFs twice.
    with Image.open(io.BytesIO(data), formats=formats_of(kind)) as image:
        kind = 'JPEG' if image.format == 'MPO' else str(image.format)
        frames = getattr(image, 'n_frames', 1)
        if frames > 1 and image.format not in ('MPO', 'HEIF', 'TIFF'):
            raise _several(path, f'{frames} moving pictures')
        if kind == 'TIFF':
            image.seek(page)
        if kind == 'PNG':
            image.load()  # EXIF data may stand behind the pixels
        orientation = 1
        if kind not in ('HEIF', 'JXL'):  # whose decoders turn them
            # Before it is decoded, by which Pillow turns a TIFF.
            orientation = valid_orientation(image.getexif().get(_ORIENTATION, 1))
        options, remarks = encoder_options(image, data)
        if frames > 1 and kind != 'TIFF':
            remarks.append(f'of its {frames} pictures the first is written')
        keeps_profile = image.mode not in ('CMYK', 'LAB')
        if image.mode not in ('1', 'L', 'LA', 'RGB', 'RGBA'):
            name = 'palette' if image.mode in ('P', 'PA') else image.mode
            remarks.append(f'its {name} colours become RGB')
        elif image.mode == '1':
            remarks.append('its black and white becomes grey')
        samples = (
            image.tag_v2.get(_SAMPLES, 1) if isinstance(image, TiffImageFile) else 1
        )
        if len(image.getbands()) < samples:
            remarks.append('its samples that are no colours are left out')
        if not keeps_profile and image.info.get('icc_profile'):
            remarks.append('its colour profile is left out')
        alpha = None
        if image.mode in _TRANSPARENT or 'transparency' in image.info:
            alpha = np.array(upright(image).convert('RGBA').getchannel('A'))
        grey = image.mode in ('1', 'L', 'LA')
        if kind == 'BMP' and alpha is not None:
            raise InputError(
                f'{path} is a BMP with transparency, which would be lost; save it as '
                'PNG first'
            )
    return Photo(
        path, pixels, alpha, kind, orientation, grey, options, keeps_profile, remarks
    )


def _open_deep_png(path: Path, data: bytes, pixels: np.ndarray) -> Photo:
    """Sixteen bits, which Pillow does not read in colour."""
    exif = Image.Exif()
    with Image.open(io.BytesIO(data), formats=('PNG',)) as image:
        frames = getattr(image, 'n_frames', 1)
        if frames > 1:
            raise _several(path, f'{frames} moving pictures')
        image.load()  # the data may stand behind the pixels
        if data[25] == 0 and 'transparency' in image.info:
            raise InputError(
                f'{path} is a 16-bit grey PNG with one transparent grey, which '
                'would be lost; save it with an alpha channel'
            )
        # Of eXIf alone, as OpenCV reads it; Pillow would also look into XMP.
        exif.load(image.info.get('exif', b''))
    orientation = valid_orientation(exif.get(_ORIENTATION, 1))
    grey = data[25] in (0, 4)  # colour type, see PNG's specification
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    alpha = _alpha_of(stored, orientation)
    return Photo(path, pixels, alpha, 'PNG', orientation, grey, {})


def _open_deep_tiff(path: Path, data: bytes, page: tifffile.TiffPage) -> Photo:
    """Sixteen bits, or numbers with a fraction."""
    orientation, grey = orientation_of(page), page.samplesperpixel == 1
    names = {1: 'raw', 5: 'tiff_lzw', 8: 'tiff_deflate', 32946: 'tiff_deflate'}
    compression = names.get(int(page.compression)) or COMPRESSION(page.compression).name
    fraction = f'float{page.bitspersample}' if is_float(page) else None
    options, remarks = tiff_options(compression, 8 if fraction is None else 1)
    if fraction:
        options['dtype'] = fraction
    shown = decode_deep(page, data)
    alpha = _alpha_of(shown, 1)
    pixels = np.ascontiguousarray(shown if grey else shown[..., :3])
    if page.samplesperpixel > 1 and page.planarconfig == 2:
        remarks.append('its planes of colours become one')
    excess = None
    if fraction and not 0 <= pixels.min() <= pixels.max() <= 1:
        inside = np.clip(pixels, 0, 1)
        excess, pixels = pixels - inside, inside
        share = np.count_nonzero(excess) / excess.size
        remarks.append(
            f'{100 * share:.2g} % of its numbers lie outside [0, 1]: the network saw '
            'them clipped, and the excess is put back'
        )
    parts = orientation, grey, options, True, remarks
    return Photo(path, pixels, alpha, 'TIFF', *parts, excess=excess)


def _open_deep_extra(path: Path, data: bytes, pixels: np.ndarray, kind: str) -> Photo:
    """HEIC of 10 or 12 bits, grey JPEG XL of 16, and camera raw."""
    if kind == 'RAW':
        options: dict[str, Any] = dict(compression='tiff_adobe_deflate')
        remarks = ['camera raw, developed to sRGB, becomes a TIFF of 16 bits']
        return Photo(path, pixels, None, kind, 1, False, options, False, remarks)
    # Which it was read as.
    stored = cast(np.ndarray, read_deep(path, data, kind))
    library(kind, path)
    with Image.open(io.BytesIO(data), formats=(kind,)) as image:
        frames = getattr(image, 'n_frames', 1)
        options, remarks = encoder_options(image, data)
    if frames > 1:
        remarks.append(f'of its {frames} pictures the first is written')
    if kind == 'HEIF':
        options['bits'] = heif_bits(data)
    return Photo(
        path,
        pixels,
        _alpha_of(stored, 1),
        kind,
        1,
        stored.ndim == 2,
        options,
        True,
        remarks,
    )


def _alpha_of(stored: np.ndarray, orientation: int) -> np.ndarray | None:
    if stored.ndim == 2 or stored.shape[2] != 4:
        return None
    return np.ascontiguousarray(as_shown(stored[..., 3], orientation))


def _several(path: Path, what: str) -> InputError:
    return InputError(
        f'{path} has {what}, and only single photos are restored; save them as files '
        'of their own'
    )
