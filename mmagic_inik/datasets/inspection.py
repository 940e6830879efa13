"""What decoded pairs of photographs tell about a data set."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ..errors import InputError
from ..photo_formats import kind_of
from ..photos import read_photo
from .pairing import Pair

# In place of a split's name.
UNDIVIDED = 'not divided'
# Different scenes rarely agree better, one scene out of focus rarely worse.
SUSPICIOUS_DB = 10.0
# By so much another target must agree better, both reduced to so many pixels a side,
# where blur does not show; and so far away it is looked for.
_BETTER_DB, _SMALL_SIDE, _NEIGHBOURS = 3.0, 32, 3
# Rows whose squared differences are summed at a time.
_BLOCK = 64
_SIGNATURES = {b'\x89PNG': 'PNG', b'\xff\xd8': 'JPEG', b'BM': 'BMP', b'RIFF': 'WebP'}
_NAMES = {'AVIF': 'AVIF', 'HEIF': 'HEIC', 'JXL': 'JPEG XL', 'RAW': 'camera raw'}


class Photo(NamedTuple):
    """What is told of a file.

    Attributes:
        kind (str): Format by content, and bits per sample.
        size (str): Width x height in pixels.
        digest (str): Hash of the pixels.
    """

    kind: str
    size: str
    digest: str


class Checked(NamedTuple):
    """A pair that was decoded.

    Attributes:
        paths (Pair): Input and target.
        photos (list[Photo]): Of each file.
        psnr (float, optional): Of input against target in dB.
        problems (list[str]): Why it cannot be used.
        small (list[np.ndarray]): Input and target, 32 × 32, if both are there.
    """

    paths: Pair
    photos: list[Photo]
    psnr: float | None
    problems: list[str]
    small: Sequence[np.ndarray] = ()


def check_pair(pair: Pair) -> Checked:
    """Decode the photos of a pair completely and compare them.

    Args:
        pair (Pair): Input and target.

    Returns:
        Checked: Without PSNR if there is no target or anything is wrong.
    """
    images, photos, problems = [], [], []
    for path in filter(None, pair):
        try:
            images.append(read_photo(path))
        except InputError as error:
            problems.append(str(error))
        else:
            photos.append(_describe(path, images[-1]))
    if problems or pair[1] is None:
        return Checked(pair, photos, None, problems)
    if images[0].shape != images[1].shape:
        sizes = [photo.size for photo in photos]
        problem = f'{pair[0]} is {sizes[0]} pixels but its target {pair[1]} {sizes[1]}'
        return Checked(pair, photos, None, [problem])
    identical = photos[0].digest == photos[1].digest
    psnr = np.inf if identical else _psnr(*images)
    small = [
        cv2.resize(image, [_SMALL_SIDE] * 2, interpolation=cv2.INTER_AREA)
        for image in images
    ]
    return Checked(pair, photos, psnr, [], small)


def suspicions(checked: dict[str, list[Checked]]) -> list[str]:
    """What can be used but is hardly meant.

    Args:
        checked (dict[str, list[Checked]]): By split.

    Returns:
        list[str]: A sentence per pair that is identical, of different scenes or fits
        worse than a neighbour's target, and per photo that is there twice, in two
        splits or where they are not divided.
    """
    found = []
    for pair in (pair for of_split in checked.values() for pair in of_split):
        source, target = pair.paths
        if pair.psnr == np.inf:
            found.append(f'{source} and its target {target} are identical')
        elif pair.psnr is not None and pair.psnr < SUSPICIOUS_DB:
            found.append(
                f'{source} and its target {target} agree by {pair.psnr:.2f} dB only: '
                'perhaps different scenes'
            )
    for pairs in checked.values():
        found += _mispaired([pair for pair in pairs if pair.small])
    return found + _shared(checked)


def _mispaired(pairs: Sequence[Checked]) -> list[str]:
    """Inputs that agree much better with the target of a neighbour."""
    found = []
    for n, pair in enumerate(pairs):
        near = pairs[max(0, n - _NEIGHBOURS) : n + _NEIGHBOURS + 1]
        best = max(near, key=lambda other: _psnr(pair.small[0], other.small[1]))
        ours, theirs = (_psnr(pair.small[0], p.small[1]) for p in (pair, best))
        if theirs > ours + _BETTER_DB:
            found.append(
                f'{pair.paths[0]} is paired with {pair.paths[1]} but agrees better '
                f'with {best.paths[1]}: perhaps pairs are shifted'
            )
    return found


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR in dB, in memory of a few rows: photographs are large."""
    total = 0.0
    for start in range(0, len(a), _BLOCK):
        rows = slice(start, start + _BLOCK)
        difference = a[rows].astype(np.float64) - b[rows]
        total += float(np.vdot(difference, difference))
    return float(np.inf if total == 0 else 10 * np.log10(255**2 * a.size / total))


def _shared(checked: dict[str, list[Checked]]) -> list[str]:
    """Photos of equal pixels in two splits, or in data without splits."""
    found = []
    seen: dict[tuple[str, int], tuple[str, Path]] = {}
    for split, pairs in checked.items():
        for pair in pairs:
            if pair.problems:
                continue
            files = zip(filter(None, pair.paths), pair.photos, strict=True)
            for half, (path, photo) in enumerate(files):
                # Of undivided data, input and target of a pair may be the same.
                key = photo.digest, half if split == UNDIVIDED else 0
                other, where = seen.setdefault(key, (split, path))
                apart = other != split or split == UNDIVIDED
                if apart and where.resolve() != path.resolve():
                    found.append(f'{path} ({split}) is the same as {where} ({other})')
    return list(dict.fromkeys(found))


def _describe(path: Path, image: np.ndarray) -> Photo:
    with path.open('rb') as file:
        head = file.read(64)
    kind = kind_of(path, head)
    # What is read and begins otherwise is a TIFF.
    names = (n for start, n in _SIGNATURES.items() if head.startswith(start))
    name = _NAMES[kind] if kind else next(names, 'TIFF')
    bits = 8 if image.dtype == np.uint8 else 16
    size = f'{image.shape[1]}x{image.shape[0]}'
    digest = hashlib.blake2b(image.data, digest_size=16).hexdigest()
    return Photo(f'{name} {bits}-bit', size, f'{size} {digest}')
