"""All that waits for a GPU, in one go: tests, tiles, speed, a profile, training.

`benchmarks/gpu_day.py --out DIR --data SHARP_PHOTOS [--steps NAME...] [--minutes 60]`.
Each step's result is in DIR/gpu_day.json as soon as it ends, and an error ends its step
alone. With `--device cpu` all is rehearsed, small; what needs a GPU is skipped by name.
"""

import argparse
import json
import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from gpu_steps import STEPS, TRAINED
from mmengine.registry import init_default_scope

from mmagic_inik.benchmark.origin import describe_commit, describe_device


def describe_run(device: str) -> dict:
    """All that the results depend on."""
    versions = dict(
        python=platform.python_version(),
        # With the build, such as +cu130.
        torch=str(torch.__version__),
        cuda=torch.version.cuda,
    )
    for name in ('triton', 'mmagic', 'mmcv', 'mmengine'):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    capability = None
    if device.startswith('cuda'):
        capability = '.'.join(map(str, torch.cuda.get_device_capability(device)))
    return dict(
        device=describe_device(device),
        capability=capability,
        versions=versions,
        commit=describe_commit(),
    )


def _fails(found: dict) -> bool:
    """Whether a step, a test in it or a case in it failed."""
    cases = found.get('cases', ())
    return bool(found.get('failed')) or any('error' in f for f in (found, *cases))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, required=True, help='folder of results')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cuda')
    parser.add_argument('--steps', nargs='+', choices=STEPS, default=list(STEPS))
    parser.add_argument('--data', type=Path, help='sharp photos to train on')
    parser.add_argument('--config', default=TRAINED, help='of the training')
    parser.add_argument(
        '--iterations',
        type=int,
        nargs=2,
        default=(10_000, 100_000),
        metavar=('FIRST', 'SECOND'),
        help='where the pieces of the training end',
    )
    parser.add_argument(
        '--minutes', type=float, default=60, help='of training, half for each piece'
    )
    args = parser.parse_args()
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise SystemExit(
            '--device cuda needs a GPU and finds none; take --device cpu to rehearse'
        )
    if args.device == 'cuda' and 'training' in args.steps and args.data is None:
        raise SystemExit('training wants --data, a folder of sharp photos')
    if args.device == 'cpu':
        # What is started here must not take a GPU that is there.
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
    args.data = args.data and args.data.resolve()
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    init_default_scope('mmagic')
    results = describe_run(args.device)
    results['steps'] = {}
    for name in args.steps:
        print(name, file=sys.stderr, flush=True)
        start = time.perf_counter()
        try:
            found = STEPS[name](args)
        # A step that fails is a result; the others go on.
        except Exception as error:
            found = dict(error=f'{type(error).__name__}: {error}')
        seconds = round(time.perf_counter() - start, 1)
        results['steps'][name] = dict(seconds=seconds, **found)
        text = json.dumps(results, indent=2, default=str)
        (args.out / 'gpu_day.json').write_text(text + '\n')
    failed = [name for name, found in results['steps'].items() if _fails(found)]
    if failed:
        raise SystemExit(f'failed: {", ".join(failed)}; see {args.out}/gpu_day.json')


if __name__ == '__main__':
    main()
