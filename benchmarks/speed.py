"""Times the fast forms against the straightforward one, and measures their memory.

`benchmarks/speed.py [--device cuda] [--cases NAME...] [--out FILE.json]`. Each case
runs in a process of its own, the straightforward form of every group among them.
"""

import argparse
import gc
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from mmengine.registry import init_default_scope
from overlap import load
from speed_cases import REPEATS, Case, choose
from speed_table import as_markdown, with_ratios
from straightforward import JOBS, agreement
from targets import judge, targets_as_markdown

from mmagic_inik.benchmark.measuring import memory_of, resident, timed
from mmagic_inik.benchmark.origin import describe_commit, describe_device
from mmagic_inik.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
CONFIG = str(ROOT / 'configs' / 'iniknet_dpdd.py')
HUGE_PAGES = 'THP_MEM_ALLOC_ENABLE'
NOTES = [
    'plain: all scales filtered, padding in a pass of its own, all products held, '
    'float32 (benchmarks/straightforward.py)',
    'peak memory on a CPU: resident beyond what the process held before, weights and '
    'image included, code of PyTorch not; where compiled, what the compiler leaves too',
    "peak memory on a GPU: PyTorch's max_memory_allocated",
    'training step: losses of the config without LPIPS, Adam',
]


def measure(case: Case) -> dict:
    """Run a case; for the memory to be right, in a process that ran none before.

    Args:
        case (Case): What to run.

    Returns:
        dict: Seconds (median, min, p10, p90) and of the first call, bytes at the peak;
        or what :func:`agreement` returns.
    """
    init_default_scope('mmagic')
    if case.job == 'agreement':
        return agreement(case)
    job = JOBS[case.job]
    # Loads the code, which is no part of the memory to be measured.
    step, image = job(case._replace(height=32, width=32, compiled=None))
    step(image)
    del step, image
    gc.collect()
    before = resident('VmRSS')
    step, image = job(case)
    restart_peak, peak = memory_of(case.device)
    restart_peak()

    def several(image: torch.Tensor) -> None:
        for _ in range(case.calls):
            step(image)

    warm = [timed(several, image) for _ in range(case.warm_ups)]
    if case.compiled and case.device == 'cpu':
        # That of the compiler.
        restart_peak()
    seconds = [timed(several, image) / case.calls for _ in range(case.repeats)]
    low, median, high = np.percentile(seconds, (10, 50, 90))
    return {
        'seconds': dict(median=median, min=min(seconds), p10=low, p90=high),
        'first_call': warm[0] / case.calls if warm else None,
        'peak_memory': peak() - before if case.device == 'cpu' else peak(),
    }


def run_child(case: Case) -> dict:
    """:func:`measure` in a fresh process.

    Args:
        case (Case): What to run.

    Returns:
        dict: Its result, or the ``error`` that ended it.
    """
    environment = {key: v for key, v in os.environ.items() if key != HUGE_PAGES}
    if case.huge_pages:
        # PyTorch reads it once.
        environment[HUGE_PAGES] = '1'
    child = subprocess.run(
        [sys.executable, __file__, '--child', json.dumps(case._asdict())],
        env=environment,
        capture_output=True,
        text=True,
    )
    if child.returncode == 0:
        return json.loads(child.stdout.splitlines()[-1])
    if child.returncode < 0:
        reason = '9: most likely out of memory'
        return {'error': f'ended by signal {-child.returncode} ({reason})'}
    return {'error': (child.stderr.splitlines() or ['no message'])[-1]}


def child_main(text: str) -> None:
    """Measure one case and print the result as JSON."""
    try:
        result = measure(Case(**json.loads(text)))
    # A case that fails is a result; the others go on.
    except Exception as error:
        first_line = (str(error).splitlines() or [''])[0]
        result = {'error': f'{type(error).__name__}: {first_line}'}
    print(json.dumps(result))


def describe_run(args: argparse.Namespace) -> dict:
    """All that the figures depend on."""
    try:
        triton = version('triton')
    except PackageNotFoundError:
        triton = None
    return {
        'device': describe_device(args.device),
        'threads': torch.get_num_threads(),
        'cores': os.cpu_count(),
        'load_before': os.getloadavg()[0],
        'tf32_convolutions': torch.backends.cudnn.allow_tf32,
        'tf32_matrix_products': torch.backends.cuda.matmul.allow_tf32,
        'versions': {
            'python': platform.python_version(),
            'torch': torch.__version__,
            'triton': triton,
        },
        'commit': describe_commit(),
        'config': os.path.relpath(args.config, ROOT),
        'checkpoint': args.checkpoint or 'random weights, seed 0',
        'notes': NOTES,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument(
        '--cases', nargs='+', default=[''], help='parts of names such as "op forward"'
    )
    parser.add_argument('--repeats', type=int, help=f'default: {REPEATS}')
    parser.add_argument('--scale', type=float, default=1, help='factor of all sides')
    parser.add_argument('--config', default=CONFIG)
    parser.add_argument('--checkpoint')
    parser.add_argument('--out', type=Path, help='JSON file')
    parser.add_argument('--child', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child_main(args.child)
        return
    init_default_scope('mmagic')
    try:
        groups = choose(args)
        # A wrong config or checkpoint is an error of the run, not of its cases.
        load(args.config, args.checkpoint)
    except InputError as error:
        raise SystemExit(str(error)) from None
    results = {**describe_run(args), 'cases': []}
    for group in groups:
        records = []
        for case in group:
            print(f'{case.group}: {case.form}', file=sys.stderr)
            records.append({'group': case.group, **case._asdict(), **run_child(case)})
        results['cases'] += with_ratios(records)
        results['targets'] = judge(results['cases'], args.device)
        if args.out:
            args.out.write_text(json.dumps(results, indent=2) + '\n')
    print(as_markdown(results['cases'], args.device), '', sep='\n')
    print(targets_as_markdown(results['targets']))


if __name__ == '__main__':
    main()
