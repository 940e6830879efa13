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
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmagic_inik.datasets.demo_data import make_demo_data
from mmagic_inik.restoration import describe_shipped, load_restorer
from mmagic_inik.visualization.demo import (
    draw_real_photo,
    draw_test_photos,
    input_psnr,
)

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / 'configs' / 'iniknet_demo.py'


def run(script: str, *arguments: object) -> None:
    """Run one of the tools; its output goes where ours goes."""
    command = [sys.executable, ROOT / 'tools' / script, *arguments]
    subprocess.run(list(map(str, command)), check=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--data', type=Path, default=Path('data/demo'))
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/iniknet_demo'))
    args = parser.parse_args(arguments)

    options = [
        '--work-dir',
        args.work_dir,
        '--cfg-options',
        f'data_root={args.data}',
        f'randomness.seed={args.seed}',
    ]
    pictures = args.work_dir / 'pictures'
    print(f'Restoring a real photo with {describe_shipped()}.', flush=True)
    print(f'Restored: {draw_real_photo(pictures)}', flush=True)
    print(f'Sample photos, and blurred copies of them: {args.data}', flush=True)
    make_demo_data(args.data)
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
    model = load_restorer(str(CONFIG), str(checkpoint))
    draw_test_photos(model, test, pictures)

    scores = input_psnr(test)
    before = np.mean(list(scores.values()))
    after = json.loads(metrics.read_text())['PSNR']
    print(f'Pictures: {pictures}')
    print(
        f'{len(scores)} photos that were not trained on: '
        f'PSNR {before:.2f} -> {after:.2f} dB ({after - before:+.2f})'
    )


if __name__ == '__main__':
    main()
