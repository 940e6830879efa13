"""What an encoder is told so that a photo is written as it was found."""

import struct
from typing import Any

from PIL import Image, JpegImagePlugin

from ..photo_formats import upright_exif

# Of lossy formats that do not tell what they were written with.
_QUALITY = 95
_CARRIED = ('exif', 'icc_profile', 'xmp')
# As Pillow calls them; lossless.
_TIFF_KEPT = {
    8: ('raw', 'tiff_lzw', 'tiff_adobe_deflate'),
    1: ('raw', 'tiff_adobe_deflate'),
}


def encoder_options(image: Image.Image, data: bytes) -> tuple[dict, list[str]]:
    """What to tell the encoder of a format, and what to tell the user.

    Args:
        image (Image.Image): Opened by Pillow.
        data (bytes): Its file.

    Returns:
        tuple[dict, list[str]]: Options, and sentences on what cannot be kept.
    """
    info = image.info
    if isinstance(image, JpegImagePlugin.JpegImageFile):  # MPO, too
        tables = image.quantization
        options: dict[str, Any] = dict(
            qtables=[tables[key] for key in sorted(tables)],
            # Which is -1 for layouts that Pillow cannot write.
            subsampling=max(0, JpegImagePlugin.get_sampling(image)),
            progressive='progressive' in info,
        )
        return options, []
    if image.format == 'TIFF':
        return tiff_options(info.get('compression', 'raw'), 8)
    if image.format == 'BMP':
        return {'dpi': info['dpi']} if 'dpi' in info else {}, []
    options = {key: info[key] for key in _CARRIED if info.get(key)}
    lossy = 'does not tell its quality: written with'
    if image.format == 'WEBP':
        if _webp_is_lossless(data):
            # Colours of transparent pixels, too.
            return dict(options, lossless=True, exact=True), []
        remark = f'lossy WebP {lossy} {_QUALITY}'
        return dict(options, quality=_QUALITY), [remark]
    if image.format == 'AVIF':
        remarks = [f'AVIF {lossy} {_QUALITY}']
        if _avif_is_deep(data):
            remarks.append('its 10 or 12 bits become 8')
        return dict(options, quality=_QUALITY), remarks
    if image.format in ('HEIF', 'JXL') and 'exif' in options:
        options['exif'] = upright_exif(options['exif'])
    if image.format == 'JXL':
        remarks = [
            'JPEG XL does not tell its quality: written without loss'
            + ('' if image.mode == 'I;16' else ', with 8 bits')
        ]
        if _jxl_has_xmp(data):
            remarks.append('its XMP is left out, which the library does not read')
        return dict(options, lossless=True), remarks
    if image.format == 'HEIF':
        return _heif_options(image, options), [
            f'HEIC {lossy} {_QUALITY}',
            *_heif_losses(image),
        ]
    return {}, []


def _jxl_has_xmp(data: bytes) -> bool:
    """Whether a container of JPEG XL has a box of XMP, plain or compressed."""
    start = 0
    while start + 8 <= len(data) and data[4:8] == b'JXL ':
        size, kind = (
            int.from_bytes(data[start : start + 4]),
            data[start + 4 : start + 8],
        )
        head = 8
        if size == 1:
            size, head = int.from_bytes(data[start + 8 : start + 16]), 16
        inner = data[start + head : start + head + 4]
        if kind == b'xml ' or (kind == b'brob' and inner == b'xml '):
            return True
        if size < head:  # the last one, to the end of the file
            break
        start += size
    return False


def tiff_options(compression: str, kept: int) -> tuple[dict, list[str]]:
    """What is lossless and common is kept.

    Args:
        compression (str): As Pillow calls it.
        kept (int): 8, or 1 for numbers with a fraction.

    Returns:
        tuple[dict, list[str]]: As :func:`encoder_options`.
    """
    deflate = 'tiff_adobe_deflate'
    if compression in _TIFF_KEPT[kept]:
        return dict(compression=compression), []
    remark = f'its compression {compression} becomes Deflate'
    # The same under an older number.
    remarks = [] if compression == 'tiff_deflate' else [remark]
    return dict(compression=deflate), remarks


def _heif_options(image: Image.Image, options: dict) -> dict:
    info = image.info
    if 'chroma' in info:
        options['chroma'] = info['chroma']
    if 'nclx_profile' in info:
        names = 'color_primaries', 'transfer_characteristics', 'matrix_coefficients'
        options |= {name: int(info['nclx_profile'][name]) for name in names}
        options['full_range_flag'] = int(info['nclx_profile']['full_range_flag'])
    return dict(options, quality=_QUALITY)


def _heif_losses(image: Image.Image) -> list[str]:
    """What a telephone stores beside the photo."""
    remarks = []
    if image.info.get('depth_images'):
        remarks.append('its depth map is left out')
    if image.info.get('aux'):
        remarks.append('its auxiliary pictures, such as HDR gain, are left out')
    return remarks


def _webp_is_lossless(data: bytes) -> bool:
    """Whether the pixels stand in a chunk ``VP8L``."""
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from('<4sI', data, at)
        if kind in (b'VP8L', b'VP8 '):
            return kind == b'VP8L'
        at += 8 + length + length % 2
    return False


def _avif_is_deep(data: bytes) -> bool:
    """By the bit high_bitdepth of AV1's configuration."""
    at = data.find(b'av1C')
    return at >= 0 and bool(data[at + 6] & 0x40)
