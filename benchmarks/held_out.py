"""What weights gain on held-out scenes, by how good the input is.

`benchmarks/held_out.py PHOTOS CONFIG CHECKPOINT...` renders those of the sharp PHOTOS
that a recipe of synthetic defocus keeps from training: each twice as the config has it,
and once in focus. It prints mean gains in PSNR (dB) as a table. By this, not by
test photos, recipes are chosen. `--scenes RECIPE` takes the scenes of another config,
so that networks of several are compared on the same. `--self-ensemble` averages over
flips and turns. `--smooth S` averages an INIKNet's μ and ω over S x S pixels before it
filters: what is lost is what its kernels gain by being others from pixel to pixel.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from mmagic.models.archs import SpatialTemporalEnsemble
from mmagic.registry import DATASETS
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor, nn

from mmagic_inik.errors import InputError
from mmagic_inik.models import InverseFilterHead
from mmagic_inik.restoration import load_restorer

# Between the groups, in dB.
BORDERS = 24, 28, 33
# Larger crops than those of training: less of what the network looks at is mirrored.
RENDERED = (
    dict(crop_size=256, seed=7, in_focus=0, soft_in_focus=0),
    dict(crop_size=256, seed=9, in_focus=0, soft_in_focus=0),
    dict(crop_size=256, seed=8, in_focus=1, soft_in_focus=0),
)


def scenes(config: Config) -> Iterator[tuple[bool, np.ndarray, np.ndarray]]:
    """Whether it is in focus, input and target, (H, W, 3) in [0, 1], of every scene."""
    for options in RENDERED:
        data = config.val_dataloader.dataset.copy()
        load, renderer = data.pipeline[:2]
        data.pipeline = [load, dict(renderer, **options)]
        for scene in DATASETS.build(data):
            image, target = (
                scene[key].astype(np.float32) / 255 for key in ('img', 'gt')
            )
            yield bool(options['in_focus']), image, target


def groups(before: np.ndarray, in_focus: np.ndarray) -> dict[str, np.ndarray]:
    """Which scenes stand in which column: (S,) bool by its name."""
    number = np.digitize(before, BORDERS)
    names = [f'< {BORDERS[0]} dB']
    names += [f'{low}–{high}' for low, high in zip(BORDERS, BORDERS[1:], strict=False)]
    names += [f'≥ {BORDERS[-1]} dB']
    columns = {name: ~in_focus & (number == n) for n, name in enumerate(names)}
    columns |= {'all blurred': ~in_focus, 'in focus': in_focus}
    return {name: those for name, those in columns.items() if those.any()}


def psnr(targets: Sequence[np.ndarray], results: Sequence[np.ndarray]) -> np.ndarray:
    """PSNR in dB of every scene, (S,)."""
    pairs = zip(targets, results, strict=True)
    return np.array([peak_signal_noise_ratio(*pair, data_range=1) for pair in pairs])


@torch.no_grad()
def restored(image: np.ndarray, network: Callable[[Tensor], Tensor]) -> np.ndarray:
    """What a network makes of an image, (H, W, 3) in [0, 1], not rounded."""
    (result,) = network(torch.from_numpy(image).permute(2, 0, 1)[None])
    return result.clamp(0, 1).permute(1, 2, 0).numpy()


def smooth(network: nn.Module, size: int) -> None:
    """Let a network filter with weights averaged over blocks, and interpolated."""
    head = getattr(network.generator, 'head', None)
    if not isinstance(head, InverseFilterHead):
        raise InputError('--smooth wants networks with an InverseFilterHead')
    predict = head.predict_weights

    def averaged(*inputs: Tensor) -> list[Tensor]:
        return [
            F.interpolate(
                F.avg_pool2d(weights, size, ceil_mode=True),
                weights.shape[-2:],
                mode='bilinear',
            )
            for weights in predict(*inputs)
        ]

    head.predict_weights = averaged


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('photos')
    parser.add_argument('config')
    parser.add_argument('checkpoints', nargs='+', metavar='checkpoint')
    parser.add_argument('--scenes', metavar='RECIPE', help='default: config')
    parser.add_argument('--self-ensemble', action='store_true')
    parser.add_argument('--smooth', type=int, metavar='S', default=1)
    args = parser.parse_args()
    # The table alone is printed, not what the data sets tell.
    MMLogger.get_instance('held_out', log_level='ERROR')
    init_default_scope('mmagic')
    try:
        networks = [load_restorer(args.config, path) for path in args.checkpoints]
        if args.smooth < 1:
            raise InputError(f'--smooth must be positive, got {args.smooth}')
        for network in networks if args.smooth > 1 else ():
            smooth(network, args.smooth)
        recipe = args.scenes or args.config
        config = Config.fromfile(recipe)
        if config.val_dataloader.dataset.type != 'SharpPhotoDataset':
            raise InputError(
                f'{recipe} is no recipe of synthetic defocus; give one like '
                'configs/iniknet_small_synthetic.py'
            )
        config.val_dataloader.dataset.data_root = args.photos
        in_focus, images, targets = zip(*scenes(config), strict=True)
    except InputError as error:
        sys.exit(f'held_out: {error}')

    if args.self_ensemble:
        networks = [partial(SpatialTemporalEnsemble(), model=n) for n in networks]
    before = psnr(targets, images)
    columns = groups(before, np.array(in_focus))
    print(f'| | {" | ".join(f"{k} ({v.sum()})" for k, v in columns.items())} |')
    print('|---' * (len(columns) + 1) + '|')
    means = (f'{before[v].mean():.3f}' for v in columns.values())
    print(f'| input | {" | ".join(means)} |')
    for path, network in zip(args.checkpoints, networks, strict=True):
        gains = psnr(targets, [restored(image, network) for image in images]) - before
        means = (f'{gains[v].mean():+.2f}' for v in columns.values())
        print(f'| {path} | {" | ".join(means)} |', flush=True)


if __name__ == '__main__':
    main()
