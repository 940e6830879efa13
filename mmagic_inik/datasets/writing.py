"""Rendered pairs as files."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..command_line import progress_bar
from ..errors import InputError
from .layouts import normal_form
from .sharp_photos import SharpPhotoDataset
from .synthetic import SyntheticDefocus


def render_pairs(
    photos: Path,
    folder: Path,
    views: int,
    depth: Path | None = None,
    depth_unit: float = 0.001,
    options: dict[str, Any] | None = None,
) -> None:
    """Render defocused copies of sharp photos, and write them.

    Args:
        photos (Path): Folder of sharp photos.
        folder (Path): As of :func:`write_pairs`.
        views (int): Samples of each photo.
        depth (Path, optional): Folder of their depth maps, 16-bit PNG. Default: None.
        depth_unit (float): Of these, in metres. Default: 0.001.
        options (dict[str, Any], optional): Arguments of ``SyntheticDefocus``. Default:
            None.

    Raises:
        InputError: If photos or ``views`` cannot be used.
        TypeError, ValueError: If ``options`` cannot.
    """
    if views < 1:
        raise InputError(f'--views must be positive, got {views}')
    options = {'crop_size': None, **(options or {})}
    if isinstance(options.get('psfs'), str):
        options['psfs'] = [options['psfs']]
    # Its refusal is plainer than that of a data set of it.
    SyntheticDefocus(**options)
    dataset = SharpPhotoDataset(
        str(photos),
        None if depth is None else str(depth),
        seed=None,
        pipeline=[
            dict(type='LoadSharpPhoto', depth_unit=depth_unit),
            dict(type='SyntheticDefocus', **options),
        ],
    )
    dataset.num_samples = views * len(dataset)
    write_pairs(dataset, views, folder)


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
    with progress_bar(len(dataset), 'pair') as bar:
        for n in range(len(dataset)):
            sample = dataset[n]
            path = Path(sample['gt_path']).relative_to(dataset.data_root)
            name = f'{path.stem}_{n // photos}' if views > 1 else path.stem
            for kind in ('input', 'target', 'coc'):
                (part / kind / path.parent).mkdir(parents=True, exist_ok=True)
            for kind, key in (('input', 'img'), ('target', 'gt')):
                to = part / kind / path.parent / f'{name}.png'
                Image.fromarray(sample[key]).save(to)
            np.save(part / 'coc' / path.parent / f'{name}.npy', sample['coc'])
            bar.update()
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
