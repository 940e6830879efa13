"""Render defocused copies of sharp photos into a data set of pairs.

`tools/render_defocus.py PHOTOS OUT` writes OUT/input and OUT/target (PNG) and OUT/coc
(NPY: signed blur radius of every pixel, in pixels). The same options give the same
pictures.
"""

import mmagic_inik.full_setup  # noqa: F401

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
from mmengine.config import DictAction
from mmengine.registry import init_default_scope
from mmengine.utils import track_iter_progress
from PIL import Image

from mmagic_inik.datasets import SharpPhotoDataset, SyntheticDefocus
from mmagic_inik.datasets.layouts import normal_form
from mmagic_inik.errors import InputError


def write_pairs(dataset: SharpPhotoDataset, views: int, folder: Path) -> None:
    """Write every sample of a data set.

    Args:
        dataset (SharpPhotoDataset): With ``img``, ``gt`` and ``coc``.
        views (int): Samples of each photo.
        folder (Path): Where to write; it appears when it is complete.

    Raises:
        InputError: If the folder exists already, or two photos have one name.
    """
    if folder.exists():
        raise InputError(f'{folder} exists already; remove it or name another folder')
    check_names(dataset)
    part = folder.with_name(folder.name + '.part')
    shutil.rmtree(part, ignore_errors=True)
    photos = len(dataset) // views
    for n in track_iter_progress(range(len(dataset))):
        sample = dataset[n]
        path = Path(sample['gt_path']).relative_to(dataset.data_root)
        name = f'{path.stem}_{n // photos}' if views > 1 else path.stem
        for kind in ('input', 'target', 'coc'):
            (part / kind / path.parent).mkdir(parents=True, exist_ok=True)
        for kind, key in (('input', 'img'), ('target', 'gt')):
            to = part / kind / path.parent / f'{name}.png'
            Image.fromarray(sample[key]).save(to)
        np.save(part / 'coc' / path.parent / f'{name}.npy', sample['coc'])
    part.rename(folder)


def check_names(dataset: SharpPhotoDataset) -> None:
    """Refuse photos whose pairs would bear one name.

    Args:
        dataset (SharpPhotoDataset): The photos.

    Raises:
        InputError: Names two of them.
    """
    names: dict[str, str] = {}
    for n in range(len(dataset)):
        path = dataset.get_data_info(n)['gt_path']
        # Some systems tell neither capitals nor composed accents apart.
        name = normal_form(Path(path).with_suffix('')).casefold()
        other = names.setdefault(name, path)
        if other != path:
            raise InputError(
                f'{other} and {path} would both become {Path(path).stem}.png; rename '
                'one of them'
            )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('photos', type=Path, help='folder of sharp photos')
    parser.add_argument('out', type=Path, help='folder to make')
    parser.add_argument('--depth', type=Path, help='folder of 16-bit PNG depth maps')
    parser.add_argument('--depth-unit', type=float, default=0.001, help='metres')
    parser.add_argument('--views', type=int, default=1, help='scenes of each photo')
    parser.add_argument(
        '--options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='arguments of SyntheticDefocus: max_radius=6 seed=1 psfs=disc,ring',
    )
    args = parser.parse_args()
    init_default_scope('mmagic')
    options = {'crop_size': None, **args.options}
    if isinstance(options.get('psfs'), str):
        options['psfs'] = [options['psfs']]
    try:
        if args.views < 1:
            raise InputError(f'--views must be positive, got {args.views}')
        SyntheticDefocus(**options)
        dataset = SharpPhotoDataset(
            str(args.photos),
            args.depth and str(args.depth),
            seed=None,
            pipeline=[
                dict(type='LoadSharpPhoto', depth_unit=args.depth_unit),
                dict(type='SyntheticDefocus', **options),
            ],
        )
        dataset.num_samples = args.views * len(dataset)
        write_pairs(dataset, args.views, args.out)
    except (InputError, TypeError, ValueError) as error:
        sys.exit(f'render_defocus: {error}')


if __name__ == '__main__':
    main()
