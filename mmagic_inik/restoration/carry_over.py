"""What a photo file holds beside its pixels, carried over to newly encoded pixels.

Byte for byte, since no library writes back all that it reads: EXIF with a maker's
notes, XMP, IPTC, colour profile, resolution, comments.
"""

import struct
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np

_PNG_BEGIN = 8
# PNG says by the case of a chunk's last letter whether it holds for other pixels; these
# hold for other pixels of the same colour space.
_PNG_COLOR = {b'gAMA', b'cHRM', b'sRGB', b'iCCP', b'cICP', b'mDCV', b'cLLI'}

_JPEG_SCAN, _JPEG_COMMENT = 0xDA, 0xFE
_JPEG_APPLICATION = range(0xE0, 0xF0)
_JPEG_PROFILE = b'ICC_PROFILE\0'
# Adobe's colour transform belongs to the pixels, an index to pictures behind them.
_JPEG_DROPPED = (b'Adobe', b'MPF\0')

# Type → bytes of one number; rationals are two numbers of four.
_TIFF_NUMBERS = dict(enumerate((1, 1, 2, 4, 4, 1, 1, 2, 4, 4, 4, 8), 1))
_TIFF_LONG = 4
_TIFF_PROFILE = 34675
_TIFF_SAMPLES, _TIFF_EXTRA_SAMPLES = 277, 338
# EXIF, GPS and interoperability tags have directories of their own.
_TIFF_DIRECTORIES = (34665, 34853, 40965)
_TIFF_OFFSETS, _TIFF_COUNTS = 273, 279
_TIFF_ORIENTATION, _TIFF_SHORT, _EXIF_COLOR_SPACE = 274, 3, 40961
# What DNG and makers define for their own pixels; colour filters.
_RAW_PRIVATE, _RAW_LAYOUT = 50000, {33421, 33422}
_JPEG_EXIF = b'Exif\0\0'
# How pixels are laid out and what they mean: size, bits, compression, strips, ...
_TIFF_LAYOUT = {256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 338, 339}
# ... fax options, palette, tiles, previews, inks, JPEG tables, YCbCr.
_TIFF_DROPPED = {254, 255, 263, 280, 281, 290, 291, 292, 293, 301, 320}
_TIFF_DROPPED |= {*range(322, 326), 330, *range(332, 338), 340, 341}
_TIFF_DROPPED |= {347, *range(512, 522), *range(529, 533)}

# Type, number of values, and the values' bytes, or a directory.
_Value: TypeAlias = 'bytes | dict[int, _Entry]'
_Entry: TypeAlias = tuple[int, int, _Value]


def carry_over_png(encoded: bytes, original: bytes) -> bytes:
    """Put the chunks of one PNG that are not about its pixels into another.

    Args:
        encoded (bytes): New file.
        original (bytes): Undamaged file.

    Returns:
        bytes: New pixels, old everything else.
    """
    front: list[bytes] = []
    behind: list[bytes] = []
    pixels_seen = False
    for kind, chunk in _png_chunks(original):
        pixels_seen |= kind == b'IDAT'
        optional, safe = kind[0:1].islower(), kind[3:4].islower()
        if optional and (safe or kind in _PNG_COLOR):
            (behind if pixels_seen else front).append(chunk)
    head, *pixels = (c for k, c in _png_chunks(encoded) if k in (b'IHDR', b'IDAT'))
    end = [chunk for kind, chunk in _png_chunks(encoded) if kind == b'IEND']
    return b''.join([encoded[:_PNG_BEGIN], head, *front, *pixels, *behind, *end])


def carry_over_jpeg(encoded: bytes, original: bytes, keep_profile: bool) -> bytes:
    """Put the segments of one JPEG that are not about its pixels into another.

    Args:
        encoded (bytes): New file.
        original (bytes): Undamaged file; pictures behind the first are left out.
        keep_profile (bool): Whether its colour profile holds for the new pixels.

    Returns:
        bytes: New pixels, old everything else.
    """
    dropped = _JPEG_DROPPED if keep_profile else (*_JPEG_DROPPED, _JPEG_PROFILE)
    kept = [
        segment
        for marker, segment in _jpeg_segments(original)
        if (marker in _JPEG_APPLICATION or marker == _JPEG_COMMENT)
        and not segment[4:].startswith(dropped)
    ]
    own = dict(_jpeg_segments(encoded))
    # Pillow writes JFIF's or Adobe's segment first, then tables.
    begin = 2 + sum(len(own[m]) for m in own if m in _JPEG_APPLICATION)
    return b''.join([encoded[:2], *kept, encoded[begin:]])


def carry_over_tiff(
    encoded: bytes, original: bytes, keep_profile: bool, page: int = 0
) -> bytes:
    """Put the tags of one TIFF that are not about its pixels into another.

    Args:
        encoded (bytes): New file, little-endian.
        original (bytes): Undamaged file, in either order, or a BigTIFF.
        keep_profile (bool): Whether its colour profile holds for the new pixels.
        page (int): Which of its pages the pixels are of. Default: 0.

    Returns:
        bytes: New pixels, old everything else; little-endian.
    """
    dropped = set() if keep_profile else {_TIFF_PROFILE}
    return _with_tags(encoded, _page_directory(original, page), dropped)


def carry_over_raw(encoded: bytes, original: bytes) -> bytes:
    """Put what a camera raw tells beside its pixels into a TIFF that was made of it.

    Args:
        encoded (bytes): TIFF in sRGB and upright, little-endian.
        original (bytes): The raw file. What is neither a TIFF inside nor holds a JPEG
            with EXIF data (as Fujifilm's) has nothing to be carried over.

    Returns:
        bytes: New pixels; EXIF data with the maker's notes, place, XMP, copyright.
    """
    start = original.find(_JPEG_EXIF) + len(_JPEG_EXIF)
    is_tiff = original[:2] in (b'II', b'MM')
    if not is_tiff and start < len(_JPEG_EXIF):
        return encoded
    old = _page_directory(original if is_tiff else original[start:], 0)
    old = {tag: entry for tag, entry in old.items() if tag < _RAW_PRIVATE}
    old[_TIFF_ORIENTATION] = _TIFF_SHORT, 1, b'\1\0'
    _, _, exif = old.get(_TIFF_DIRECTORIES[0], (0, 0, b''))
    if isinstance(exif, dict):
        exif[_EXIF_COLOR_SPACE] = _TIFF_SHORT, 1, b'\1\0'  # sRGB
    return _with_tags(encoded, old, {_TIFF_PROFILE, *_RAW_LAYOUT})


def _with_tags(encoded: bytes, old: dict[int, _Entry], also_dropped: set[int]) -> bytes:
    new = _page_directory(encoded, 0)
    dropped = _TIFF_DROPPED | _TIFF_LAYOUT | also_dropped
    tags = {tag: entry for tag, entry in old.items() if tag not in dropped}
    tags |= {tag: entry for tag, entry in new.items() if tag in _TIFF_LAYOUT}
    fourth = _TIFF_SAMPLES in new and new[_TIFF_SAMPLES][2] == b'\4\0'
    if fourth and _TIFF_EXTRA_SAMPLES in old and _TIFF_EXTRA_SAMPLES not in new:
        # OpenCV does not say what it is.
        tags[_TIFF_EXTRA_SAMPLES] = old[_TIFF_EXTRA_SAMPLES]
    offsets, counts = (_numbers(*new[tag]) for tag in (_TIFF_OFFSETS, _TIFF_COUNTS))
    strips = [encoded[at : at + n] for at, n in zip(offsets, counts, strict=True)]
    places = 8 + np.cumsum([0, *(len(strip) for strip in strips)])
    tags[_TIFF_OFFSETS] = _TIFF_LONG, len(strips), places[:-1].astype('<u4').tobytes()
    # A directory begins at an even place.
    at = int(places[-1] + places[-1] % 2)
    head = struct.pack('<2sHI', b'II', 42, at)
    return b''.join([head, *strips, b'\0' * (places[-1] % 2), _pack(tags, at)])


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at, kind = _PNG_BEGIN, b''
    while kind != b'IEND':
        length, kind = struct.unpack_from('>I4s', data, at)
        yield kind, data[at : at + 12 + length]
        at += 12 + length


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers and segments, marker included, up to the first scan."""
    at = 2
    while True:
        while data[at] != 0xFF or data[at + 1] in (0, 0xFF):  # fill bytes
            at += 1
        marker, length = struct.unpack_from('>xBH', data, at)
        if marker == _JPEG_SCAN:
            return
        yield marker, data[at : at + 2 + length]
        at += 2 + length


def _numbers(kind: int, count: int, value: _Value) -> list[int]:
    if isinstance(value, dict):
        raise ValueError('a directory of tags, where numbers are expected')
    return np.frombuffer(value, f'<u{_TIFF_NUMBERS[kind]}').tolist()


def _page_directory(data: bytes, page: int) -> dict[int, _Entry]:
    order = '<' if data[:2] == b'II' else '>'
    big = struct.unpack_from(f'{order}H', data, 2)[0] == 43
    offset = order + ('Q' if big else 'I')
    (at,) = struct.unpack_from(offset, data, 8 if big else 4)
    for _ in range(page):
        (count,) = struct.unpack_from(order + ('Q' if big else 'H'), data, at)
        at += 8 + count * 20 if big else 2 + count * 12
        (at,) = struct.unpack_from(offset, data, at)
    return _directory(data, at, order, big)


def _directory(data: bytes, at: int, order: str, big: bool) -> dict[int, _Entry]:
    """Tags of a directory, values turned to little-endian."""
    number, entry = ('Q', 'HHQ') if big else ('H', 'HHI')
    room = 8 if big else 4
    (count,) = struct.unpack_from(order + number, data, at)
    first, size = (
        at + struct.calcsize('<' + number),
        struct.calcsize('<' + entry) + room,
    )
    tags: dict[int, _Entry] = {}
    for place in range(first, first + count * size, size):
        tag, kind, values = struct.unpack_from(order + entry, data, place)
        place += size - room
        (pointer,) = struct.unpack_from(order + ('Q' if big else 'I'), data, place)
        if tag in _TIFF_DIRECTORIES:
            tags[tag] = _TIFF_LONG, 1, _directory(data, pointer, order, big)
        elif kind in _TIFF_NUMBERS:
            width = _TIFF_NUMBERS[kind]
            length = values * width * (2 if kind in (5, 10) else 1)
            place = pointer if length > room else place
            raw = np.frombuffer(data[place : place + length], f'{order}u{width}')
            tags[tag] = kind, values, raw.astype(f'<u{width}').tobytes()
    return tags


def _pack(tags: dict[int, _Entry], at: int) -> bytes:
    """A little-endian directory that will lie at ``at``, values and all behind it."""
    entries, behind = [], b''
    end = at + 2 + 12 * len(tags) + 4
    for tag, (kind, count, value) in sorted(tags.items()):
        if isinstance(value, dict):
            place = end + len(behind)
            value, stored = _pack(value, place), struct.pack('<I', place)
        elif len(value) > 4:
            stored = struct.pack('<I', end + len(behind))
        else:
            value, stored = b'', value.ljust(4, b'\0')
        entries.append(struct.pack('<HHI', tag, kind, count) + stored)
        behind += value + b'\0' * (len(value) % 2)
    return struct.pack('<H', len(tags)) + b''.join(entries) + bytes(4) + behind
