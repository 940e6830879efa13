"""Judge the shipped weights, and their peers, on photos that nobody trained on.

`benchmarks/shipped_weights.py DATA --lpips-weights alexnet.pth` takes the folders
`dpdd_r61` (pairs of real defocus), `kodak24` (sharp photos, taken out of focus here, by
fixed settings) and `cuhk30` (real defocus without ground truth) in DATA. It writes
benchmarks/results/shipped_weights.md and .csv, and pictures into --work-dir. After a
kill, the same command goes on.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from mmagic_inik.errors import InputError
from mmagic_inik.options import NETWORKS

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / 'benchmarks' / 'results' / 'shipped_weights'
SMALL = 'configs/iniknet_small_synthetic.py'
PEERS = 'configs/peers/{}_small_synthetic.py'
WEIGHTS = 'benchmarks/weights/{}_1000.pth'
# Name → config, weights.
MODELS = {
    f'shipped: INIKNet {name}': (
        f'configs/iniknet_{name}_synthetic.py',
        f'mmagic_inik/weights/iniknet_{name}_synthetic.pth',
    )
    for name in NETWORKS
} | {
    'INIKNet small, 1000 iterations': (SMALL, WEIGHTS.format('iniknet')),
    'NAFNet, 1000 iterations': (PEERS.format('nafnet'), WEIGHTS.format('nafnet')),
    'Restormer, 1000 iterations': (
        PEERS.format('restormer'),
        WEIGHTS.format('restormer'),
    ),
}
SETS = 'dpdd_r61', 'kodak24', 'cuhk30'
# Whole photos: any crop would be one more choice.
KODAK_BLUR = ('max_radius=8', 'seed=24', 'shot_noise=0.003', 'read_noise=0.0005')


def run(*command: object) -> None:
    """Run one of the tools; its output goes where ours goes."""
    subprocess.run([sys.executable, *map(str, command)], check=True, cwd=ROOT)


def check(data: Path, lpips_weights: Path) -> None:
    """Refuse what :func:`judge` could not use, before anything is computed.

    Args:
        data (Path): With the folders of the sets.
        lpips_weights (Path): AlexNet's.

    Raises:
        InputError: If something is not there.
    """
    for name in SETS:
        if not (data / name).is_dir():
            raise InputError(f'{data} has no folder {name}; give the one with the sets')
    if not lpips_weights.is_file():
        raise InputError(f"--lpips-weights {lpips_weights} is no file; give AlexNet's")


def judge(
    models: Mapping[str, tuple[object, object]],
    data: Path,
    lpips_weights: Path,
    out: Path,
    results: Path,
) -> None:
    """Score networks on the three sets.

    Args:
        models (Mapping[str, tuple[object, object]]): Config and weights of each, by
            name.
        data (Path): With the folders of the sets.
        lpips_weights (Path): AlexNet's.
        out (Path): Folder for the blurred photos, scores of each photo and pictures.
        results (Path): Of the tables, without extension.
    """
    data, out = data.resolve(), out.resolve()
    kodak = out / 'kodak24_blurred'
    # Always: the renderer may have changed, and equal pictures are not scored again.
    shutil.rmtree(kodak, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    run('tools/render_defocus.py', data / 'kodak24', kodak, '--options', *KODAK_BLUR)
    run(
        'tools/benchmark_quality.py',
        *(part for name, files in models.items() for part in ('--model', name, *files)),
        *('--data', 'DPDD-60', 'folders', data / 'dpdd_r61'),
        *('--data', 'Kodak-24', 'folders', kodak),
        *('--data', 'CUHK-30', 'cuhk', data / 'cuhk30'),
        *('--lpips-weights', f'alex={lpips_weights.resolve()}'),
        *('--out', out / 'results'),
    )
    shutil.copy(out / 'results' / 'table.md', results.with_suffix('.md'))
    shutil.copy(out / 'results' / 'table.csv', results.with_suffix('.csv'))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('data', type=Path)
    parser.add_argument('--lpips-weights', type=Path, required=True, help="AlexNet's")
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/judge'))
    args = parser.parse_args()
    try:
        check(args.data, args.lpips_weights)
    except InputError as error:
        sys.exit(f'shipped_weights: {error}')
    judge(MODELS, args.data, args.lpips_weights, args.work_dir, RESULTS)


if __name__ == '__main__':
    main()
