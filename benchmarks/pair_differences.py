"""What two shots of one scene differ in besides blur, and what that costs in PSNR.

`benchmarks/pair_differences.py PAIRS [--restored FOLDER]` takes PAIRS/input and
PAIRS/target with equal names, and restored photos of these names. It prints the shift
between input and target, the ratio of their brightness, and PSNR before and after every
colour is scaled to the target's brightness, which no deblurring could know.
"""

import argparse
from pathlib import Path

import numpy as np
from skimage.metrics import peak_signal_noise_ratio
from skimage.registration import phase_cross_correlation

from mmagic_inik.datasets import read_photo


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


def in_unit_range(path: Path) -> np.ndarray:
    """A photo as float64 in [0, 1]."""
    photo = read_photo(path)
    return photo / np.iinfo(photo.dtype).max


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
    shifts, ratios, untouched, restored = [], [], [], []
    for path in sorted((args.pairs / 'input').iterdir()):
        image = in_unit_range(path)
        target = in_unit_range(args.pairs / 'target' / path.name)
        shift, _, _ = phase_cross_correlation(
            target.mean(2), image.mean(2), upsample_factor=20
        )
        shifts.append(np.hypot(*shift))
        ratios.append(target.mean() / image.mean())
        untouched.append(scores(image, target))
        if args.restored:
            result = in_unit_range(args.restored / path.name)
            restored.append(scores(result, target))
    print(f'{len(shifts)} pairs; median (quartiles, extremes)')
    print(quantiles('shift in pixels', shifts))
    print(quantiles('brightness, target by input', ratios))
    for name, both in (('input', untouched), ('restored', restored)):
        if both:
            plain, equal = np.mean(both, 0)
            print(f'{name}: PSNR {plain:.3f} dB; brightness matched: {equal:.3f} dB')


if __name__ == '__main__':
    main()
