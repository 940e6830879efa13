"""What two shots of one scene differ in besides blur, and what that costs in PSNR.

`benchmarks/pair_differences.py PAIRS [--restored FOLDER]` takes PAIRS/input and
PAIRS/target, and restored photos with the inputs' names. It prints the shift
between input and target, the ratio of their brightness, and PSNR before and after every
colour is scaled to the target's brightness, which no deblurring could know. And what
the best filter of every 128 x 128 pixels would gain, found by the target in least
squares: a shift, which is no blur; a kernel of rings, the same in all directions, which
is what filters of 15 pixels can do about defocus, and of the image reduced by 2 and by
4, what wider ones can; brightness and contrast.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from skimage.metrics import peak_signal_noise_ratio
from skimage.registration import phase_cross_correlation

from mmagic_inik.datasets import DefocusPairDataset, read_photo
from mmagic_inik.errors import InputError

# Pixels a side of what has one filter, and the largest radius of its rings.
PIECE, REACH = 128, 7


def matched(image: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Scale every colour so that it is nearest to another image in mean square.

    Args:
        image (np.ndarray): (H, W, 3) in [0, 1].
        target (np.ndarray): The same.

    Returns:
        np.ndarray: (H, W, 3), clipped to [0, 1].
    """
    scale = (image * target).sum((0, 1)) / np.maximum((image**2).sum((0, 1)), 1e-12)
    return np.clip(image * scale, 0, 1)


def scores(image: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """PSNR in dB as it is, and with brightness matched."""
    return tuple(
        peak_signal_noise_ratio(target, x, data_range=1)
        for x in (image, matched(image, target))
    )


def shifts_of(image: np.ndarray) -> list[np.ndarray]:
    """What small shifts add, along columns and rows, each (H, W, 3)."""
    kernel = np.array([[-0.5, 0, 0.5]])
    return [filtered(image, k) for k in (kernel, kernel.T)]


def rings_of(image: np.ndarray) -> list[np.ndarray]:
    """The difference of rings' means from the image, by radius, each (H, W, 3)."""
    distance = np.hypot(*np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1])
    maps = []
    for radius in range(1, REACH + 1):
        ring = np.clip(1 - np.abs(distance - radius), 0, None)
        maps.append(filtered(image, ring / ring.sum()) - image)
    return maps


def wide_rings_of(image: np.ndarray) -> list[np.ndarray]:
    """The same of the image reduced by 2 and by 4, enlarged again."""
    height, width = image.shape[:2]
    maps = []
    for factor in (2, 4):
        size = -(-width // factor), -(-height // factor)
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        maps += [cv2.resize(ring, (width, height)) for ring in rings_of(small)]
    return maps


def filtered(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Correlation with the image mirrored beyond its border."""
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)


def levels_of(image: np.ndarray) -> list[np.ndarray]:
    """Contrast, and brightness of every colour, each (H, W, 3)."""
    return [image, *(np.broadcast_to(one, image.shape) for one in np.eye(3))]


# What the best filters are made of.
BASES = {
    'a shift': (shifts_of,),
    'rings': (rings_of,),
    'rings and wide ones': (rings_of, wide_rings_of),
    'a shift and rings': (shifts_of, rings_of),
    'brightness and contrast': (levels_of,),
    'all of it': (shifts_of, rings_of, levels_of),
}


def best_filtered(
    image: np.ndarray, target: np.ndarray, maps: Sequence[np.ndarray]
) -> np.ndarray:
    """Add the combination of maps that comes nearest to the target, piece by piece.

    Args:
        image (np.ndarray): (H, W, 3) in [0, 1].
        target (np.ndarray): The same.
        maps (Sequence[np.ndarray]): K of the same shape.

    Returns:
        np.ndarray: (H, W, 3), clipped to [0, 1].
    """
    result = image.copy()
    for y in range(0, image.shape[0], PIECE):
        for x in range(0, image.shape[1], PIECE):
            piece = np.s_[y : y + PIECE, x : x + PIECE]
            basis = np.stack([m[piece].ravel() for m in maps], 1)
            missing = (target - image)[piece].ravel()
            weights = np.linalg.lstsq(basis, missing, rcond=None)[0]
            result[piece] += (basis @ weights).reshape(result[piece].shape)
    return np.clip(result, 0, 1)


def bounds(image: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Gains in PSNR (dB), brightness matched, of the best filters by kind."""
    # The target's brightness is brought to the image's: noise stays what it is.
    target = matched(target, image)
    before = peak_signal_noise_ratio(target, image, data_range=1)
    gains = {}
    for name, bases in BASES.items():
        maps = [m for basis in bases for m in basis(image)]
        best = best_filtered(image, target, maps)
        gains[name] = peak_signal_noise_ratio(target, best, data_range=1) - before
    return gains


def quantiles(name: str, values: list[float]) -> str:
    """Median, quartiles and extremes in a line."""
    low, first, middle, third, high = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
    return f'{name}: {middle:.3f} ({first:.3f} to {third:.3f}; {low:.3f} to {high:.3f})'


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('pairs', type=Path)
    parser.add_argument('--restored', type=Path)
    args = parser.parse_args()
    try:
        pairs = DefocusPairDataset(str(args.pairs), 'test')
        shifts, ratios, untouched, restored, best = [], [], [], [], []
        for pair in pairs:
            image, target = (
                read_photo(pair[key]) / 255 for key in ('img_path', 'gt_path')
            )
            shift, _, _ = phase_cross_correlation(
                target.mean(2), image.mean(2), upsample_factor=20
            )
            shifts.append(np.hypot(*shift))
            ratios.append(target.mean() / image.mean())
            untouched.append(scores(image, target))
            best.append(bounds(image, target))
            if args.restored:
                path = args.restored / Path(pair['img_path']).name
                result = read_photo(path) / 255
                if result.shape != target.shape:
                    raise InputError(
                        f'{path} has the size {result.shape[:2]}, its target '
                        f'{target.shape[:2]}; restore {pair["img_path"]} anew'
                    )
                restored.append(scores(result, target))
    except InputError as error:
        sys.exit(f'pair_differences: {error}')
    print(f'{len(shifts)} pairs; median (quartiles, extremes)')
    print(quantiles('shift in pixels', shifts))
    print(quantiles('brightness, target by input', ratios))
    differences = [abs(ratio - 1) for ratio in ratios]
    print(quantiles('difference of brightness, of either sign', differences))
    for name, both in (('input', untouched), ('restored', restored)):
        if both:
            plain, equal = np.mean(both, 0)
            print(f'{name}: PSNR {plain:.3f} dB; brightness matched: {equal:.3f} dB')
    print(
        f'gain of the best filter of every {PIECE}x{PIECE} pixels, brightness matched:'
    )
    for name in BASES:
        print(quantiles(f'{name}, dB', [gains[name] for gains in best]))


if __name__ == '__main__':
    main()
