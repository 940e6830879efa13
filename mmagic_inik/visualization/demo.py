"""The demo's pictures, and what its input is worth."""

from pathlib import Path
from typing import cast

import numpy as np
import torch
from mmagic.evaluation.metrics.psnr import psnr
from skimage import data

from ..models import INIKNet, INRAtomBank, Restorer
from ..photos import read_photo
from ..restoration import load_restorer, restore
from .atom_figures import atom_sheet
from .figures import comparison, most_different, weight_maps
from .kernels import HeadWatch

DETAIL = 96


def draw_real_photo(folder: Path) -> Path:
    """Restore a photo with the shipped weights; nobody blurred it but its lens.

    Args:
        folder (Path): Where to write.

    Returns:
        Path: A picture of the photo, restored and as taken.
    """
    photo = data.chelsea()
    restored = restore(photo, load_restorer())
    figure = comparison(
        [photo, restored],
        ['as taken', 'restored'],
        most_different(photo, restored, DETAIL),
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / 'real_photo.png'
    figure.savefig(path, dpi=110)
    return path


@torch.no_grad()
def draw_test_photos(model: Restorer, pairs: Path, folder: Path) -> None:
    """Write a comparison, the μ maps and the ω maps of every test photo, and the atoms.

    Args:
        model (Restorer): Trained ``MultiScaleRestorer``.
        pairs (Path): Folder with ``input`` and ``target``.
        folder (Path): Where to write.
    """
    folder.mkdir(parents=True, exist_ok=True)
    head = cast(INIKNet, model.generator).head
    bank = cast(INRAtomBank, head.atom_bank)
    atom_sheet([atom.cpu() for atom in bank()]).savefig(folder / 'atoms.png', dpi=120)
    numbers = [f'n = {n + 1}' for n in range(bank.num_atoms)]
    for path in sorted((pairs / 'input').glob('*.png')):
        blurred, sharp = read_photo(path), read_photo(pairs / 'target' / path.name)
        y = torch.from_numpy(blurred).permute(2, 0, 1)[None].float() / 255
        watch = HeadWatch(head)
        restored = model(y)[0].clamp(0, 1).permute(1, 2, 0).numpy() * 255
        restored = np.rint(restored).astype(np.uint8)
        titles = [
            f'blurred, {psnr(blurred, sharp):.2f} dB',
            f'restored, {psnr(restored, sharp):.2f} dB',
            'sharp',
        ]
        figure = comparison(
            [blurred, restored, sharp], titles, most_different(blurred, sharp, DETAIL)
        )
        figure.savefig(folder / f'{path.stem}_restored.png', dpi=110)
        prediction = watch.stop(*blurred.shape[:2])
        sizes = [f'M = {size}' for size in prediction.kernel_sizes]
        maps = weight_maps(
            prediction.mu, sizes, f'μ: weight of each kernel size, {path.stem}', False
        )
        maps.savefig(folder / f'{path.stem}_mu.png', dpi=110)
        maps = weight_maps(
            prediction.omega, numbers, f'ω: weight of each atom, {path.stem}', True
        )
        maps.savefig(folder / f'{path.stem}_omega.png', dpi=110)


def input_psnr(pairs: Path) -> dict[str, float]:
    """PSNR of input against target.

    Args:
        pairs (Path): Folder with ``input`` and ``target``.

    Returns:
        dict[str, float]: In dB, by name of the photo.
    """
    photos = sorted((pairs / 'input').glob('*.png'))
    return {
        p.name: psnr(read_photo(p), read_photo(pairs / 'target' / p.name))
        for p in photos
    }
