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
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path

import numpy as np
import torch
from compare import judge, targets_as_markdown
from mmengine.registry import init_default_scope
from overlap import load
from straightforward import JOBS, Case, agreement

from mmagic_inik.benchmark.complexity import WARM_UPS
from mmagic_inik.benchmark.measuring import memory_of, resident, timed
from mmagic_inik.benchmark.origin import describe_commit, describe_device
from mmagic_inik.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
CONFIG = str(ROOT / 'configs' / 'iniknet_dpdd.py')
REPEATS = {'cpu': 5, 'cuda': 50}
HUGE_PAGES = 'THP_MEM_ALLOC_ENABLE'
# Height and width.
SMALL, MIDDLE, LARGE = (256, 256), (640, 640), (1120, 1680)
PLAIN, FAST, HALF = 'plain', 'fast', 'bfloat16'
BFLOAT16 = dict(dtype='bfloat16')
# Forms of each device. Compiling takes a minute on a CPU, which is done at SMALL alone.
COMPILED = {
    'compiled': dict(compiled='default'),
    'compiled bfloat16': dict(compiled='default', **BFLOAT16),
}
FORMS = {
    'cpu': {
        FAST: {},
        HALF: BFLOAT16,
        'huge pages': dict(huge_pages=True),
        'pieces of 384': dict(tile=384),
        'pieces of 384 bfloat16': dict(tile=384, **BFLOAT16),
    },
    'cuda': {
        FAST: {},
        'channels last': dict(channels_last=True),
        HALF: BFLOAT16,
        'channels last bfloat16': dict(channels_last=True, **BFLOAT16),
        **COMPILED,
        'CUDA graphs': dict(compiled='reduce-overhead'),
        'CUDA graphs bfloat16': dict(compiled='reduce-overhead', **BFLOAT16),
    },
}
NOTES = [
    'plain: all scales filtered, padding in a pass of its own, all products held, '
    'float32 (benchmarks/straightforward.py)',
    'peak memory on a CPU: resident beyond what the process held before, weights and '
    'image included, code of PyTorch not; where compiled, what the compiler leaves too',
    "peak memory on a GPU: PyTorch's max_memory_allocated",
    'training step: losses of the config without LPIPS, Adam',
]


def all_cases(device: str, scale: float) -> Iterator[tuple[dict, dict[str, dict]]]:
    """Groups: what their cases share, and what their forms differ by.

    Args:
        device (str): ``'cpu'`` or ``'cuda'``.
        scale (float): Factor of all sides, which stay multiples of 16.

    Yields:
        tuple[dict, dict[str, dict]]: Fields of :class:`Case`; such fields by form.
    """
    on_gpu = device == 'cuda'
    sides = {
        size: dict(zip(('height', 'width'), _scaled(size, scale), strict=True))
        for size in (SMALL, MIDDLE, LARGE)
    }
    plain = {PLAIN: dict(plain=True)}
    for job, size in product(('op forward', 'op forward and backward'), sides):
        if size != LARGE:
            forms = {FAST: {}, **({HALF: BFLOAT16} if on_gpu else {})}
            # Shorter than a GPU's own time to start and to stop.
            calls = dict(calls=10) if on_gpu else {}
            yield dict(job=job, **sides[size], **calls), plain | forms
    for size in sides:
        forms = FORMS[device] | ({} if on_gpu or size != SMALL else COMPILED)
        slow = {PLAIN: dict(plain=True, warm_ups=0, repeats=1)}
        first = plain if on_gpu or size != LARGE else slow
        yield dict(job='inference', **sides[size]), first | forms
    forms = {
        form: fields
        for form, fields in FORMS[device].items()
        # These want weights that stay where and as they are, or no gradients.
        if not form.startswith(('CUDA graphs', 'channels last', 'pieces'))
    }
    yield dict(job='training step', batch=4, **sides[SMALL]), plain | forms
    yield dict(job='agreement', **sides[MIDDLE]), {HALF: BFLOAT16}


def _scaled(size: tuple[int, int], scale: float) -> list[int]:
    return [max(16, round(scale * side / 16) * 16) for side in size]


def choose(args: argparse.Namespace) -> list[list[Case]]:
    """Cases by group, those whose name has one of ``--cases``, and their plain forms.

    Raises:
        InputError: If there is none.
    """
    common = dict(config=args.config, checkpoint=args.checkpoint, device=args.device)
    common['warm_ups'] = WARM_UPS[args.device]
    common['repeats'] = args.repeats or REPEATS[args.device]
    chosen, names = [], []
    for shared, forms in all_cases(args.device, args.scale):
        group = [
            Case(**(common | shared | fields), form=form)
            for form, fields in forms.items()
        ]
        names += [f'{case.group}: {case.form}' for case in group]
        wanted = [
            any(text in f'{case.group}: {case.form}' for text in args.cases)
            for case in group
        ]
        if any(wanted):
            pairs = zip(group, wanted, strict=True)
            chosen.append([case for case, want in pairs if want or case.plain])
    if not chosen:
        raise InputError(
            f'--cases {" ".join(args.cases)} is in no name of a case; give a part of '
            f'one of: {"; ".join(names)}'
        )
    return chosen


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


def with_ratios(records: list[dict]) -> list[dict]:
    """Add to cases of one group how far they are ahead of its plain form.

    Args:
        records (list[dict]): With ``form``, and ``seconds`` and ``peak_memory`` where
            the case did not fail.

    Returns:
        list[dict]: With ``times_faster`` and ``times_less_memory`` where both ran.
    """
    plain = next((r for r in records if r['form'] == PLAIN), {})
    if 'seconds' not in plain:
        return records
    rated = []
    for r in records:
        ratios = {}
        if 'seconds' in r:
            ratios['times_faster'] = plain['seconds']['median'] / r['seconds']['median']
            # Of an image of a few pixels, nothing may show.
            if r['peak_memory'] > 0:
                ratios['times_less_memory'] = plain['peak_memory'] / r['peak_memory']
        rated.append({**r, **ratios})
    return rated


def as_markdown(records: Sequence[dict], device: str) -> str:
    """The table of all cases, milliseconds of a GPU and seconds of a CPU."""
    unit, factor = ('ms', 1e3) if device == 'cuda' else ('s', 1)
    lines = [
        f'| case | median ({unit}) | p10–p90 | times faster | peak memory (MB) '
        '| times less |',
        '|---|---|---|---|---|---|',
    ]
    for r in records:
        cells = [f'{r["group"]}: {r["form"]}', *['–'] * 5]
        if 'error' in r:
            cells[1] = f'failed: {r["error"]}'
        elif 'psnr' in r:
            cells[1] = f'PSNR {r["psnr"]:.1f} dB against float32'
        else:
            median, low, high = (
                f'{factor * r["seconds"][key]:.3f}' for key in ('median', 'p10', 'p90')
            )
            memory = f'{r["peak_memory"] / 1e6:.0f}'
            ratios = [
                f'{r[key]:.2f}' if key in r else '–'
                for key in ('times_faster', 'times_less_memory')
            ]
            cells[1:] = [median, f'{low}–{high}', ratios[0], memory, ratios[1]]
        lines.append(f'| {" | ".join(c.replace("|", "/") for c in cells)} |')
    return '\n'.join(lines)


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
