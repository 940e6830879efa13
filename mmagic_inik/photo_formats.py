"""Photos of the extra ``formats``: HEIC, AVIF, JPEG XL and camera raw.

Their libraries are imported where a file needs them, so that all else works without.
"""

import io
import struct
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

from .errors import InputError

HEIF_EXTENSIONS = ('.heic', '.heif', '.hif')
# TIFFs and others inside, so that the extension alone tells.
RAW_EXTENSIONS = (
    *('.3fr', '.arw', '.cr2', '.cr3', '.crw', '.dng', '.erf', '.iiq', '.mos', '.mrw'),
    *('.nef', '.nrw', '.orf', '.pef', '.raf', '.rw2', '.rwl', '.sr2', '.srf', '.srw'),
)
EXTENSIONS = ('.avif', *HEIF_EXTENSIONS, '.jxl', *RAW_EXTENSIONS)
_JXL = (b'\xff\x0a', b'\x00\x00\x00\x0cJXL \r\n\x87\n')
# Major brands of single pictures and of sequences.
_HEIF_BRANDS = (b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1', b'msf1')
_AVIF_BRANDS = (b'avif', b'avis')
# Kind → module, and its name on PyPI.
_MODULES = {
    'HEIF': ('pillow_heif', 'pillow-heif'),
    'JXL': ('pillow_jxl', 'pillow-jxl-plugin'),
    'RAW': ('rawpy', 'rawpy'),
}
# What rotates a camera raw by a quarter.
_QUARTER_TURNS = (5, 6)
# sRGB's curve, as dcraw takes it: 1 / exponent, and slope of the straight part.
_SRGB_CURVE = (2.4, 12.92)
_ORIENTATION, _SHORT = 274, 3


def kind_of(path: Path, head: bytes) -> str | None:
    r"""Tell the formats of this module.

    Args:
        path (Path): Name of the file.
        head (bytes): Its first 32 bytes, at least.

    Returns:
        str, optional: ``'HEIF'``, ``'AVIF'``, ``'JXL'`` or ``'RAW'``.

    Example:
        >>> kind_of(Path('a.jpg'), b'\0\0\0\x1cftypheic\0\0\0\0mif1heic')
        'HEIF'
    """
    if head.startswith(_JXL):
        return 'JXL'
    if path.suffix.lower() in RAW_EXTENSIONS:
        return 'RAW'
    if head[4:8] != b'ftyp':
        return None
    length = int.from_bytes(head[:4], 'big')
    brands = [head[at : at + 4] for at in (8, *range(16, min(length, len(head)), 4))]
    # Both call themselves mif1, too.
    if any(brand in _AVIF_BRANDS for brand in brands):
        return 'AVIF'
    return 'HEIF' if any(brand in _HEIF_BRANDS for brand in brands) else None


def is_readable(extension: str) -> bool:
    """Whether what reads files of an extension is installed.

    Args:
        extension (str): In lower case, such as ``'.heic'``.

    Returns:
        bool: True for extensions that are none of this module's.
    """
    if extension in HEIF_EXTENSIONS:
        kind = 'HEIF'
    elif extension in RAW_EXTENSIONS:
        kind = 'RAW'
    elif extension == '.jxl':
        kind = 'JXL'
    else:
        return True
    return find_spec(_MODULES[kind][0]) is not None


def library(kind: str, path: Path) -> ModuleType:
    """What reads and writes a kind of file.

    Args:
        kind (str): From :func:`kind_of`.
        path (Path): Named if it is missing.

    Returns:
        ModuleType: For AVIF Pillow's own.

    Raises:
        InputError: Says what to install.
    """
    if kind == 'AVIF':
        return Image
    name, package = _MODULES[kind]
    try:
        module = import_module(name)
    except ImportError as error:
        raise InputError(
            f'{path} needs {package} to be read; install it with '
            "pip install 'mmagic_inik[formats]'"
        ) from error
    if kind == 'HEIF':
        module.register_heif_opener(thumbnails=False)
    return module


def read_deep(path: Path, data: bytes, kind: str | None) -> np.ndarray | None:
    """Decode what has more than 8 bits and is read by no other library.

    Args:
        path (Path): Named in errors.
        data (bytes): Its content.
        kind (str, optional): From :func:`kind_of`.

    Returns:
        np.ndarray, optional: (H, W) or (H, W, C), upright, uint16, white at 65535; of
        up to three colours and alpha. None if there are 8 bits, or another kind.

    Raises:
        InputError: If the library is missing.
        Exception: What the library raises for damaged files.
    """
    if not kind:
        return None
    module = library(kind, path)
    if kind == 'RAW':
        return _develop(module, data)
    if kind == 'HEIF':
        return _deep_heif(module, data)
    if kind == 'JXL':
        with Image.open(io.BytesIO(data), formats=('JXL',)) as image:
            return np.array(image) if image.mode == 'I;16' else None
    return None


def raw_size(path: Path) -> tuple[int, int]:
    """Width and height of a camera raw, developed and upright."""
    with library('RAW', path).imread(str(path)) as raw:
        size = raw.sizes.iwidth, raw.sizes.iheight
        return size[::-1] if raw.sizes.flip in _QUARTER_TURNS else size


def heif_bits(data: bytes) -> int:
    """Bits per sample of a HEIF file."""
    return import_module('pillow_heif').open_heif(io.BytesIO(data)).info['bit_depth']


def encode_deep_heif(pixels: np.ndarray, bits: int, **options: object) -> bytes:
    """Write a HEIF file of more than 8 bits.

    Args:
        pixels (np.ndarray): (H, W) or (H, W, C), uint16, white at 65535.
        bits (int): 10 or 12.
        **options: ``exif``, ``icc_profile``, ``xmp``, ``quality``, ``chroma``, ....

    Returns:
        bytes: The file.
    """
    heif = import_module('pillow_heif')
    white = (1 << bits) - 1
    stored = np.rint(pixels.astype(np.float32) * (white / 65535)).astype(np.uint16)
    stored <<= 16 - bits
    channels = stored.shape[2] if stored.ndim == 3 else 1
    mode = {1: 'I;16', 3: 'RGB;16', 4: 'RGBA;16'}[channels]
    image = heif.from_bytes(mode, stored.shape[1::-1], stored.tobytes())
    file, before = io.BytesIO(), heif.options.SAVE_HDR_TO_12_BIT
    # The library takes it from here alone.
    heif.options.SAVE_HDR_TO_12_BIT = bits > 10
    try:
        image.save(file, **options)
    finally:
        heif.options.SAVE_HDR_TO_12_BIT = before
    return file.getvalue()


def upright_exif(exif: bytes) -> bytes:
    r"""The same EXIF data, saying that pixels are stored upright; else to the byte.

    Args:
        exif (bytes): With or without ``Exif\0\0`` in front.

    Returns:
        bytes: Of the same length.
    """
    changed, begin = bytearray(exif), 6 if exif.startswith(b'Exif\0\0') else 0
    order = '<' if exif[begin : begin + 2] == b'II' else '>'
    at = begin + struct.unpack_from(f'{order}I', exif, begin + 4)[0]
    (count,) = struct.unpack_from(f'{order}H', exif, at)
    for place in range(at + 2, at + 2 + 12 * count, 12):
        if struct.unpack_from(f'{order}HH', exif, place) == (_ORIENTATION, _SHORT):
            struct.pack_into(f'{order}H', changed, place + 8, 1)
    return bytes(changed)


def _develop(rawpy: ModuleType, data: bytes) -> np.ndarray:
    """Make sRGB with the camera's white balance, as bright as it was exposed."""
    with rawpy.imread(io.BytesIO(data)) as raw:
        return raw.postprocess(
            output_bps=16, use_camera_wb=True, no_auto_bright=True, gamma=_SRGB_CURVE
        )


def _deep_heif(heif: ModuleType, data: bytes) -> np.ndarray | None:
    file = heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    bits = file.info['bit_depth']
    if bits <= 8:
        return None
    white = (1 << bits) - 1
    pixels = np.asarray(file) >> (16 - bits)
    return np.rint(pixels.astype(np.float32) * (65535 / white)).astype(np.uint16)
