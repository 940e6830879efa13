"""The demo: restore a real photo, then make others, train on them, test and draw.

The real photo is restored by the weights that come with the package; the rest is done
by a small INIKNet that is trained here. Everything lands in work_dirs/iniknet_demo; the
last line gives the gain in PSNR on photos that were not trained on.
"""

import mmagic_inik.full_setup  # noqa: F401

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from mmagic.apis import init_model
from mmagic.evaluation.metrics.psnr import psnr
from skimage import data

from mmagic_inik.datasets import read_photo
from mmagic_inik.restoration import describe_shipped, load_restorer, restore
from mmagic_inik.visualization import (
    HeadWatch,
    atom_sheet,
    comparison,
    most_different,
    weight_maps,
)

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / 'configs' / 'iniknet_demo.py'
DETAIL = 96


def run(script: str, *arguments: object) -> None:
    """Run one of the tools; its output goes where ours goes."""
    command = [sys.executable, ROOT / 'tools' / script, *arguments]
    subprocess.run(list(map(str, command)), check=True)


def restore_real_photo(folder: Path) -> Path:
    """Restore a photo with the shipped weights; nobody blurred it but its lens.

    Args:
        folder (Path): Where to write.

    Returns:
        Path: A picture of the photo, restored and as taken.
    """
    print(f'Restoring a real photo with {describe_shipped()}.', flush=True)
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
def draw(model: torch.nn.Module, pairs: Path, folder: Path) -> None:
    """Write a comparison, the μ maps and the ω maps of every test photo, and the atoms.

    Args:
        model (nn.Module): Trained ``MultiScaleRestorer``.
        pairs (Path): Folder with ``input`` and ``target``.
        folder (Path): Where to write.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network = model.generator
    bank = network.head.atom_bank
    atom_sheet([atom.cpu() for atom in bank()]).savefig(folder / 'atoms.png', dpi=120)
    sizes = [f'M = {size}' for size in bank.kernel_sizes]
    numbers = [f'n = {n + 1}' for n in range(bank.num_atoms)]
    for path in sorted((pairs / 'input').glob('*.png')):
        blurred, sharp = read_photo(path), read_photo(pairs / 'target' / path.name)
        y = torch.from_numpy(blurred).permute(2, 0, 1)[None].float() / 255
        watch = HeadWatch(network.head)
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
        maps = weight_maps(
            prediction.mu, sizes, f'μ: weight of each kernel size, {path.stem}', False
        )
        maps.savefig(folder / f'{path.stem}_mu.png', dpi=110)
        maps = weight_maps(
            prediction.omega, numbers, f'ω: weight of each atom, {path.stem}', True
        )
        maps.savefig(folder / f'{path.stem}_omega.png', dpi=110)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--data', type=Path, default=Path('data/demo'))
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/iniknet_demo'))
    args = parser.parse_args()

    options = [
        '--work-dir',
        args.work_dir,
        '--cfg-options',
        f'data_root={args.data}',
        f'randomness.seed={args.seed}',
    ]
    pictures = args.work_dir / 'pictures'
    print(f'Restored: {restore_real_photo(pictures)}', flush=True)
    print(f'Sample photos, and blurred copies of them: {args.data}', flush=True)
    run('make_demo_data.py', args.data)
    print(
        'Training a small INIKNet on them, three to seven minutes on two cores.',
        flush=True,
    )
    run('train.py', CONFIG, *options)
    checkpoint = Path((args.work_dir / 'last_checkpoint').read_text())
    metrics = args.work_dir / 'test.json'
    print('Testing it on photos that it was not trained on.', flush=True)
    run('test.py', CONFIG, checkpoint, '--out', metrics, *options)
    test = args.data / 'test'
    model = init_model(str(CONFIG), str(checkpoint), device='cpu')
    draw(model, test, pictures)

    photos = sorted((test / 'input').glob('*.png'))
    before = np.mean(
        [psnr(read_photo(p), read_photo(test / 'target' / p.name)) for p in photos]
    )
    after = json.loads(metrics.read_text())['PSNR']
    print(f'Pictures: {pictures}')
    print(
        f'{len(photos)} photos that were not trained on: '
        f'PSNR {before:.2f} -> {after:.2f} dB ({after - before:+.2f})'
    )


if __name__ == '__main__':
    main()
