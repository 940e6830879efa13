"""What more work with the same weights gains on pairs of real photos.

`benchmarks/passes.py PAIRS [CONFIG CHECKPOINT] [--network NAME]` restores PAIRS/input
once; once, with the change made smaller or larger; twice, one result after the other;
and as the mean over eight flips and turns. It prints gains in PSNR (dB) over the input,
plain and with brightness matched, and how many photos are better. Without CONFIG, of a
network that comes with the package.
"""

import argparse
import sys

import numpy as np
import torch
from mmagic.models.archs import SpatialTemporalEnsemble
from torch import Tensor

from mmagic_inik.datasets import DefocusPairDataset, read_photo
from mmagic_inik.errors import InputError
from mmagic_inik.evaluation.metrics import psnr, psnr_matched
from mmagic_inik.options import NETWORKS
from mmagic_inik.restoration import load_restorer

STRENGTHS = (0.5, 0.75, 1.25, 1.5)


def forms(image: Tensor, network: torch.nn.Module) -> dict[str, Tensor]:
    """Results (1, 3, H, W) of an image by what was done."""

    def once(given: Tensor) -> Tensor:
        # As a file would hold it.
        return network.restore(given, dtype='auto').clamp(0, 1)

    first = once(image)
    results = {'once': first}
    for strength in STRENGTHS:
        results[f'change × {strength}'] = image + strength * (first - image)
    results['twice'] = once(first)
    results['mean of eight'] = SpatialTemporalEnsemble()(image, once)
    return results


def gains_of(pair: dict, network: torch.nn.Module) -> dict[str, tuple[float, float]]:
    """Gains of a pair, plain and with brightness matched, by what was done."""
    photo, target = (read_photo(pair[key]) for key in ('img_path', 'gt_path'))
    image = torch.from_numpy(np.float32(photo)).permute(2, 0, 1)[None] / 255
    gains = {}
    for name, result in forms(image, network).items():
        pixels = 255 * result[0].clamp(0, 1).permute(1, 2, 0).double().numpy()
        gains[name] = tuple(
            score(target, pixels) - score(target, photo)
            for score in (psnr, psnr_matched)
        )
    return gains


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('pairs')
    parser.add_argument('config', nargs='?')
    parser.add_argument('checkpoint', nargs='?')
    parser.add_argument('--network', choices=NETWORKS)
    args = parser.parse_args()
    try:
        network = load_restorer(args.config, args.checkpoint, network=args.network)
        with torch.inference_mode():
            found = [
                gains_of(pair, network)
                for pair in DefocusPairDataset(args.pairs, 'test')
            ]
    except InputError as error:
        sys.exit(f'passes: {error}')
    print('| | PSNR | better | worst | PSNR_matched | better |')
    print('|---|---|---|---|---|---|')
    for name in found[0]:
        plain, equal = np.transpose([gains[name] for gains in found])
        print(
            f'| {name} | {plain.mean():+.3f} | {(plain > 0).sum()} of {len(plain)} | '
            f'{plain.min():+.2f} | {equal.mean():+.3f} | {(equal > 0).sum()} |'
        )


if __name__ == '__main__':
    main()
