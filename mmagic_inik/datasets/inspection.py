"""What decoded pairs of photographs tell about a data set."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from skimage.metrics import peak_signal_noise_ratio

from ..errors import InputError
from ..photos import read_photo
from .pairing import Pair

# Different scenes rarely agree better, one scene out of focus rarely worse.
SUSPICIOUS_DB = 10.0
_SIGNATURES = {b'\x89PNG': 'PNG', b'\xff\xd8': 'JPEG', b'BM': 'BMP', b'RIFF': 'WebP'}


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
    """

    paths: Pair
    photos: list[Photo]
    psnr: float | None
    problems: list[str]


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
    psnr = np.inf if identical else peak_signal_noise_ratio(*images, data_range=255)
    return Checked(pair, photos, float(psnr), [])


def suspicions(checked: dict[str, list[Checked]]) -> list[str]:
    """What can be used but is hardly meant.

    Args:
        checked (dict[str, list[Checked]]): By split.

    Returns:
        list[str]: A sentence per pair that is identical or of different scenes, and per
        photo that two splits share.
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
    return found + _shared(checked)


def _shared(checked: dict[str, list[Checked]]) -> list[str]:
    """Photos of equal pixels in two splits."""
    found = []
    seen: dict[str, tuple[str, Path]] = {}
    for split, pairs in checked.items():
        here = {
            photo.digest: path
            for pair in pairs
            if not pair.problems
            for path, photo in zip(filter(None, pair.paths), pair.photos, strict=True)
        }
        for digest, path in here.items():
            other, where = seen.setdefault(digest, (split, path))
            if other != split:
                found.append(f'{path} ({split}) is the same as {where} ({other})')
    return found


def _describe(path: Path, image: np.ndarray) -> Photo:
    with path.open('rb') as file:
        head = file.read(4)
    # What is read and begins otherwise is a TIFF.
    name = next(
        (n for start, n in _SIGNATURES.items() if head.startswith(start)), 'TIFF'
    )
    bits = 8 if image.dtype == np.uint8 else 16
    size = f'{image.shape[1]}x{image.shape[0]}'
    digest = hashlib.blake2b(image, digest_size=16).hexdigest()
    return Photo(f'{name} {bits}-bit', size, f'{size} {digest}')
