"""What networks cost: parameters and operations by part, memory and time.

Each network restores one random RGB image, with random weights.
"""

import mmagic_inik.full_setup  # noqa: F401

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import mmagic
import torch
from mmengine.registry import init_default_scope

from mmagic_inik.benchmark.complexity import (
    COUNTED,
    NOT_COUNTED,
    TOTAL,
    WARM_UPS,
    Complexity,
    Cost,
    complexity,
    measure,
)
from mmagic_inik.benchmark.origin import describe_commit, describe_device
from mmagic_inik.benchmark.peers import peer_configs
from mmagic_inik.benchmark.tables import MISSING
from mmagic_inik.errors import InputError
from mmagic_inik.ops.processor import say_if_slow

HEAD = ('network', 'parameters (M)', 'GMAC', 'GFLOP', 'memory (MiB)', 'time (s)')


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=(
            'example: %(prog)s configs/iniknet_dpdd.py '
            'mmagic::restormer/restormer_official_dpdd-single.py --device cuda'
        ),
    )
    parser.add_argument(
        'configs',
        nargs='*',
        metavar='CONFIG',
        help="of a restoring network; one of MMagic's as mmagic::nafnet/FILE.py",
    )
    parser.add_argument(
        '--peers',
        action='store_true',
        help="add every system of the paper's Table 1, and its successors",
    )
    parser.add_argument(
        '--size',
        default='640x640',
        metavar='HEIGHTxWIDTH',
        help='of the image (default: 640x640)',
    )
    parser.add_argument(
        '--device',
        choices=WARM_UPS,
        default='cuda' if torch.cuda.is_available() else 'cpu',
    )
    parser.add_argument(
        '--dtype',
        choices=('float32', 'bfloat16'),
        default='float32',
        help='of weights and image (default: float32)',
    )
    parser.add_argument(
        '--repeats',
        type=int,
        default=10,
        metavar='N',
        help='how often time is measured (default: 10)',
    )
    parser.add_argument(
        '--no-time',
        action='store_true',
        help='count only; measure neither time nor memory, for which it must run',
    )
    parser.add_argument(
        '--out', type=Path, metavar='FILE.json', help='for exact figures'
    )
    return parser.parse_args(arguments)


def check_arguments(args: argparse.Namespace) -> tuple[int, int]:
    """Refuse what could only fail later.

    Returns:
        tuple[int, int]: Height and width.

    Raises:
        InputError: Names the option.
    """
    size = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', args.size)
    if size is None:
        raise InputError(
            f'--size is HEIGHTxWIDTH in pixels, such as 640x640, got {args.size}'
        )
    if not args.configs:
        raise InputError('there is no network to measure; give configs or --peers')
    if args.repeats < 1:
        raise InputError(f'--repeats must be positive, got {args.repeats}')
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise InputError('--device cuda needs a GPU and finds none; take --device cpu')
    if args.out and not args.out.parent.is_dir():
        raise InputError(f'--out {args.out} is in no folder; make it first')
    return int(size[1]), int(size[2])


def measure_alone(config: str, size: tuple[int, int], args) -> Cost:
    """Measure in a fresh process, whose memory no other network has touched.

    Raises:
        InputError: If the network cannot run.
    """
    # This process has already told what deprecates itself in MMagic's dependencies.
    os.environ['PYTHONWARNINGS'] = 'ignore'
    with ProcessPoolExecutor(
        1, get_context('spawn'), initializer=init_default_scope, initargs=('mmagic',)
    ) as process:
        task = process.submit(
            measure, config, size, args.device, args.dtype, args.repeats
        )
        try:
            return task.result()
        except BrokenProcessPool as error:
            raise InputError(
                f'the process that measured {config} was killed, as happens when '
                'memory runs out; give a smaller --size'
            ) from error


def table(
    configs: Sequence[str],
    counts: Sequence[Complexity],
    costs: Sequence[Cost | None],
) -> str:
    """A row per network, and one per part of it, as Markdown."""
    rows = [HEAD, ['---'] * len(HEAD)]
    for config, count, cost in zip(configs, counts, costs, strict=True):
        measured = (MISSING, MISSING)
        if cost:
            fastest, slowest = min(cost.seconds), max(cost.seconds)
            measured = (
                f'{cost.memory / 2**20:.0f}',
                f'{cost.median:.3f} ({fastest:.3f}–{slowest:.3f})',
            )
        for part in dict.fromkeys([*count.parameters, *count.flops]):
            flops = count.flops.get(part, 0)
            figures = (
                f'{count.parameters.get(part, 0) / 1e6:.3f}',
                f'{flops / 2e9:.2f}',
                f'{flops / 1e9:.2f}',
            )
            if part == TOTAL:
                name = f'**{count.network}**, {Path(config).stem}'
                rows.append([name, *figures, *measured])
            else:
                rows.append([f'· {part}', *figures, '', ''])
    return ''.join(f'| {" | ".join(row)} |\n' for row in rows)


def notes(
    counts: Sequence[Complexity],
    costs: Sequence[Cost | None],
    size: tuple[int, int],
    args: argparse.Namespace,
) -> str:
    """What must be known to compare the table with another."""
    lines = ['One RGB image of {} × {}'.format(*size)]
    for config, count in zip(args.configs, counts, strict=True):
        if count.given_size != size:
            lines.append(
                '{} gets it padded to {} × {}'.format(config, *count.given_size)
            )
    lines += [
        'Parts are the top-level children; a head is listed without its atom bank',
        f'1 MAC = 2 FLOPs; counted: {COUNTED}; not counted: {NOT_COUNTED}',
    ]
    if not args.no_time:
        peak = (
            "PyTorch's max_memory_allocated"
            if args.device == 'cuda'
            else 'growth of the peak resident memory of a fresh process, with the code '
            'that PyTorch loads'
        )
        lines += [
            f'Memory: {peak}; weights and image included',
            f'Time: median (fastest–slowest) of {args.repeats} forward passes in '
            f'{args.dtype}, after {WARM_UPS[args.device]} to warm up; '
            f'{describe_hardware(args.device, costs[0].threads)}',
        ]
    lines.append(
        f'torch {torch.__version__}, MMagic {mmagic.__version__}; commit '
        f'{describe_commit()}'
    )
    return ''.join(f'- {line}.\n' for line in lines)


def describe_hardware(device: str, threads: int) -> str:
    """The processor, and what makes it faster or slower."""
    if device == 'cuda':
        tf32 = 'with' if torch.backends.cudnn.allow_tf32 else 'without'
        return f'{describe_device(device)}, float32 convolutions {tf32} TF32'
    return f'{describe_device(device)}, {threads} thread(s)'


def record(
    counts: Sequence[Complexity],
    costs: Sequence[Cost | None],
    size: tuple[int, int],
    args: argparse.Namespace,
) -> dict:
    """The same for programs: single parameters, MACs, FLOPs and bytes; seconds."""
    networks = []
    for config, count, cost in zip(args.configs, counts, costs, strict=True):
        macs = {part: flops // 2 for part, flops in count.flops.items()}
        networks.append(dict(config=config, **count._asdict(), macs=macs))
        if cost:
            networks[-1] |= dict(
                memory=cost.memory,
                seconds=cost.seconds,
                device=args.device,
                hardware=describe_hardware(args.device, cost.threads),
                dtype=args.dtype,
                warm_ups=WARM_UPS[args.device],
            )
    return dict(
        size=size,
        networks=networks,
        versions=dict(torch=torch.__version__, mmagic=mmagic.__version__),
        commit=describe_commit(),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    args = parse_arguments(arguments)
    if args.peers:
        args.configs += peer_configs()
    init_default_scope('mmagic')
    try:
        size = check_arguments(args)
        if not args.no_time:
            # The process that measures keeps warnings to itself.
            tell = partial(print, file=sys.stderr)
            say_if_slow(args.dtype, args.device, tell)
        # All of them before the first is measured, which takes longer.
        counts = [complexity(config, size) for config in args.configs]
        costs = [
            None if args.no_time else measure_alone(config, size, args)
            for config in args.configs
        ]
    except InputError as error:
        sys.exit(f'complexity: {error}')
    print(table(args.configs, counts, costs))
    print(notes(counts, costs, size, args), end='')
    if args.out:
        text = json.dumps(record(counts, costs, size, args), indent=1)
        args.out.write_text(f'{text}\n', encoding='utf-8')


if __name__ == '__main__':
    main()
