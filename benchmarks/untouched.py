"""How much networks change photos that are in focus, which should stay as they are.

`benchmarks/untouched.py PHOTOS [CONFIG CHECKPOINT] [--network NAME] [--every N]` puts
sharp photos in as they are and prints PSNR between output and input: mean, worst and
the photos below 38 dB. Without CONFIG, of a network that comes with the package.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from skimage.metrics import peak_signal_noise_ratio

from mmagic_inik.datasets import SharpPhotoDataset, read_photo
from mmagic_inik.errors import InputError
from mmagic_inik.options import NETWORKS
from mmagic_inik.restoration import load_restorer, restore

# In dB: changes that are seen side by side.
SEEN = 38


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('photos', type=Path)
    parser.add_argument('config', nargs='?')
    parser.add_argument('checkpoint', nargs='?')
    parser.add_argument('--network', choices=NETWORKS)
    parser.add_argument('--every', type=int, default=1, metavar='N')
    args = parser.parse_args()
    if args.every < 1:
        sys.exit(f'untouched: --every must be positive, got {args.every}')
    try:
        network = load_restorer(args.config, args.checkpoint, network=args.network)
        values = {}
        photos = SharpPhotoDataset(str(args.photos), seed=None)
        for index in range(0, len(photos), args.every):
            path = Path(photos.get_data_info(index)['gt_path'])
            photo = read_photo(path).astype(np.float32) / 255
            values[path.name] = peak_signal_noise_ratio(
                photo, restore(photo, network), data_range=1
            )
    except InputError as error:
        sys.exit(f'untouched: {error}')
    worst = min(values, key=values.__getitem__)
    mean = np.mean([*values.values()])
    print(f'{len(values)} photos: mean {mean:.2f} dB')
    print(f'worst {values[worst]:.2f} dB, {worst}')
    for name, value in values.items():
        if value < SEEN:
            print(f'{name}: {value:.2f} dB')


if __name__ == '__main__':
    main()
