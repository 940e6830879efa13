"""Options of the tools that restore: which network, where and how.

PyTorch is imported when they are used, not when they are described.
"""

import argparse
import sys
from typing import TYPE_CHECKING

import numpy as np

from ..command_line import add_device_option
from ..errors import InputError
from ..launch import check_device
from ..options import DEFAULT_OVERLAP, DTYPES, ENGINES, NETWORKS

if TYPE_CHECKING:
    from ..models import Restorer


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """Describe them; :func:`check_network_options` is to follow.

    Args:
        parser (argparse.ArgumentParser): Of a tool.
    """
    parser.add_argument(
        '--network',
        choices=NETWORKS,
        help=f'that comes with the package (default: {NETWORKS[0]})',
    )
    parser.add_argument(
        '--config', help="or one of MMagic's, as mmagic::nafnet/FILE.py"
    )
    parser.add_argument('--checkpoint', help='weights trained with --config')
    parser.add_argument(
        '--tile',
        default='auto',
        help='side in pixels of the pieces that the network is given; none: whole '
        'photos; auto: what the memory allows (default)',
    )
    parser.add_argument(
        '--overlap',
        type=int,
        default=DEFAULT_OVERLAP,
        help=f'pixels that neighbouring pieces share (default: {DEFAULT_OVERLAP})',
    )
    add_device_option(parser)
    parser.add_argument(
        '--dtype',
        choices=DTYPES,
        default='auto',
        help='of convolutions; auto: bfloat16 where the processor has instructions for '
        'it, else float32 (default)',
    )
    parser.add_argument(
        '--engine',
        choices=ENGINES,
        default='pytorch',
        help='what runs the network; others than pytorch (default) want the extra '
        'export, a CPU, and may be given a --checkpoint MODEL.onnx',
    )


def check_network_options(args: argparse.Namespace) -> None:
    """Let ``tile`` become a number, 'auto' or None, and ``device`` one that works.

    Args:
        args (argparse.Namespace): Changed in place.

    Raises:
        InputError: If one of them cannot be.
    """
    if args.tile.isdecimal():
        args.tile = int(args.tile)
    elif args.tile not in ('auto', 'none'):
        raise InputError(f'--tile {args.tile} is no number of pixels, auto or none')
    elif args.tile == 'none':
        args.tile = None
    if args.engine != 'pytorch' and args.device is None:
        args.device = 'cpu'
    args.device = check_device(args.device)
    if args.engine != 'pytorch' and args.device != 'cpu':
        raise InputError(
            f'--engine {args.engine} runs on a CPU; give --device cpu with it'
        )
    if args.network and (args.config or args.checkpoint):
        raise InputError(
            f'--network {args.network} comes with the package; leave --config and '
            '--checkpoint out, or the network'
        )
    if _is_exported(args) and args.config:
        raise InputError(
            f'{args.checkpoint} says itself what it is; leave --config out'
        )


def _is_exported(args: argparse.Namespace) -> bool:
    return str(args.checkpoint).endswith('.onnx')


def load_by_options(args: argparse.Namespace, told: bool = True) -> 'Restorer':
    """Load the network, say what has to be said about it, and try the options out.

    Args:
        args (argparse.Namespace): Checked.
        told (bool): Whether it says which network and which type. Default: True.

    Returns:
        Restorer: That works with them.

    Raises:
        InputError: As :func:`~.restoring.load_restorer`, or if the network cannot work
            with the options.
    """
    from ..ops.processor import say_if_slow
    from .shipped import describe_shipped, weights_of

    restorer = _load(args)
    if told and args.config is None and args.checkpoint is None:
        weights = weights_of(args.network)
        print(f'Restoring with {describe_shipped(weights)}.', file=sys.stderr)
    if told:
        say_if_slow(
            restorer.resolved_dtype(args.dtype),
            args.device,
            lambda sentence: print(f'{sentence}.', file=sys.stderr),
        )
    _try_out(restorer, args)
    return restorer


def _load(args: argparse.Namespace) -> 'Restorer':
    """The network, run by the engine that was chosen."""
    from . import load_exported, load_restorer, with_engine

    if _is_exported(args):
        return load_exported(args.checkpoint, args.engine)
    restorer = load_restorer(args.config, args.checkpoint, args.device, args.network)
    return with_engine(restorer, args.engine)


def _try_out(restorer: 'Restorer', args: argparse.Namespace) -> None:
    """Refuse options that the network cannot work with."""
    from .restoring import restore

    try:
        # With a number for `auto`, which would do without tiles here.
        tile = args.tile
        if tile == 'auto':
            tile = 1024 * restorer.size_divisor
        restore(np.zeros((32, 32), np.uint8), restorer, tile, args.overlap, args.dtype)
    except (RuntimeError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f'{args.config or "the network"} cannot restore with --tile {args.tile} '
            f'--overlap {args.overlap} --dtype {args.dtype} ({reason})'
        ) from error
