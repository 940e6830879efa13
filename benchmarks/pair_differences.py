"""What two shots of one scene differ in besides blur, and what that costs in PSNR.

`benchmarks/pair_differences.py PAIRS [--restored FOLDER]` takes PAIRS/input and
PAIRS/target, and restored photos with the inputs' names. It prints the shift
between input and target, the ratio of their brightness, and PSNR before and after every
colour is scaled to the target's brightness, which no deblurring could know.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from skimage.metrics import peak_signal_noise_ratio
from skimage.registration import phase_cross_correlation

from mmagic_inik.datasets import DefocusPairDataset, read_photo
from mmagic_inik.errors import InputError


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
        shifts, ratios, untouched, restored = [], [], [], []
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


if __name__ == '__main__':
    main()
