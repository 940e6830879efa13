"""What networks cost: parameters and operations by part, memory and time.

Each network restores one random RGB image, with random weights.
"""

import mmagic_inik.full_setup  # noqa: F401

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.registry import init_default_scope

from mmagic_inik.benchmark.complexity import WARM_UPS
from mmagic_inik.benchmark.costs import (
    costs_notes,
    costs_of,
    costs_record,
    costs_table,
)
from mmagic_inik.benchmark.peers import peer_configs
from mmagic_inik.command_line import sentences_of
from mmagic_inik.errors import InputError


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


def size_of(text: str) -> tuple[int, int]:
    """``HEIGHTxWIDTH`` as numbers."""
    size = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text)
    if size is None:
        raise InputError(
            f'--size is HEIGHTxWIDTH in pixels, such as 640x640, got {text}'
        )
    return int(size[1]), int(size[2])


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    args = parse_arguments(arguments)
    configs = args.configs + (peer_configs() if args.peers else [])
    init_default_scope('mmagic')
    with sentences_of('complexity'):
        if args.out and not args.out.parent.is_dir():
            raise InputError(f'--out {args.out} is in no folder; make it first')
        costs = costs_of(
            configs,
            size_of(args.size),
            args.device,
            args.dtype,
            args.repeats,
            not args.no_time,
        )
    print(costs_table(costs))
    print(costs_notes(costs), end='')
    if args.out:
        text = json.dumps(costs_record(costs), indent=1)
        args.out.write_text(f'{text}\n', encoding='utf-8')


if __name__ == '__main__':
    main()
