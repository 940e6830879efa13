"""TIFFs that Pillow does not read: 16 bits, numbers with a fraction, several pages."""

import numpy as np
from cv2 import IMREAD_UNCHANGED, imdecode
from PIL import Image
from tifffile import COMPRESSION, TiffFile, TiffPage

from .orientation import as_shown, valid_orientation

# The last two are BigTIFF's.
SIGNATURES = (b'II*\x00', b'MM\x00*', b'II+\x00', b'MM\x00+')
# PhotometricInterpretation.
_RGB_OR_GREY = (1, 2)
_ORIENTATION, _REDUCED = 274, 1
_UNSIGNED, _FLOAT = 1, 3
# A page of at most so many of the photo's pixels is its thumbnail.
_THUMBNAIL = 1 / 4


def photo_pages(file: TiffFile) -> list[TiffPage]:
    """Pages that are photos: no thumbnail, and no reduced copy.

    Args:
        file (TiffFile): Of any number of pages.

    Returns:
        list[TiffPage]: One at least, in the file's order.
    """
    listed = (file.pages[n] for n in range(len(file.pages)))
    # What tifffile calls frames is read by other options.
    pages = [page for page in listed if isinstance(page, TiffPage)]
    full = [page for page in pages if not page.subfiletype & _REDUCED] or pages
    most = max(page.imagewidth * page.imagelength for page in full)
    return [
        page
        for page in full
        if page.imagewidth * page.imagelength > _THUMBNAIL * most or len(full) == 1
    ]


def orientation_of(page: TiffPage) -> int:
    """EXIF's orientation of a page, 1 to 8."""
    return valid_orientation(page.tags.valueof(_ORIENTATION))


def is_float(page: TiffPage) -> bool:
    """Whether a page holds numbers with a fraction."""
    return page.sampleformat == _FLOAT


def decode_deep(page: TiffPage, data: bytes) -> np.ndarray:
    """Decode a page of more than 8 bits.

    Args:
        page (TiffPage): Of grey or RGB, with or without alpha.
        data (bytes): Its whole file.

    Returns:
        np.ndarray: (H, W) or (H, W, C), upright, uint16, or float32 of whatever range.

    Raises:
        ValueError: If it is of another kind, cut off, or too large.
    """
    _check(page, len(data))
    planar = page.samplesperpixel > 1 and page.planarconfig == 2
    half = is_float(page) and page.bitspersample == 16
    if planar or half or page.index:
        try:
            pixels = page.asarray()
        except (ValueError, ImportError) as error:
            name = COMPRESSION(page.compression).name
            raise ValueError(
                f'its compression {name} is not read with planes of colours, half '
                'precision or several pages'
            ) from error
        pixels = np.moveaxis(pixels, 0, 2) if planar else pixels
        pixels = as_shown(pixels, orientation_of(page))
    else:
        # Which turns a TIFF, whatever it is told.
        pixels = imdecode(np.frombuffer(data, np.uint8), IMREAD_UNCHANGED)
        if pixels is None or pixels.dtype not in (np.uint16, np.float32):
            raise ValueError('no 8- or 16-bit image data')
        if pixels.ndim == 3:
            pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    if not is_float(page):
        return np.ascontiguousarray(pixels)
    pixels = np.ascontiguousarray(pixels, np.float32)
    if not np.isfinite(pixels).all():
        raise ValueError('some of its numbers are not finite')
    if np.median(pixels) > 1:
        raise ValueError(
            f'its numbers go up to {pixels.max():g}, where white must be 1'
        )
    return pixels


def _check(page: TiffPage, length: int) -> None:
    """Refuse what would come out scrambled, dark or partly black."""
    if page.samplesperpixel == 2:
        raise ValueError('grey with transparency')
    kind = page.sampleformat, page.bitspersample
    if kind not in ((_UNSIGNED, 16), (_FLOAT, 16), (_FLOAT, 32)):
        raise ValueError('no 8- or 16-bit image data, nor float16 or float32')
    if page.photometric not in _RGB_OR_GREY:
        raise ValueError('16 bits of neither RGB nor grey with black as 0')
    pixels = page.imagewidth * page.imagelength
    most = Image.MAX_IMAGE_PIXELS
    if most is not None and pixels > 2 * most:
        raise ValueError(f'its {pixels} pixels are more than a photograph has')
    ends = zip(page.dataoffsets, page.databytecounts, strict=True)
    if any(offset + count > length for offset, count in ends):
        raise ValueError('the end of the file is missing')
