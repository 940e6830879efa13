"""Options of tools that score: by which protocol."""

import argparse
from typing import Any

from ..errors import InputError


def add_protocol_options(parser: argparse.ArgumentParser) -> None:
    """Describe them; :func:`protocol_of` is to follow.

    Args:
        parser (argparse.ArgumentParser): Of a tool.
    """
    parser.add_argument(
        '--crop-to-multiple',
        type=int,
        metavar='N',
        help='crop predictions and targets at right and bottom',
    )
    parser.add_argument(
        '--bit-depth', type=int, choices=(8, 16), help='of targets (default: as stored)'
    )
    parser.add_argument(
        '--round', action='store_true', help='predictions to --bit-depth, too'
    )
    parser.add_argument('--no-clip', action='store_true', help='of predictions')
    parser.add_argument(
        '--channel-order',
        choices=('RGB', 'BGR'),
        default='RGB',
        help='for LPIPS and NIQE (default: RGB)',
    )
    parser.add_argument(
        '--lpips-weights',
        nargs='+',
        default=[],
        metavar='NET=PATH',
        help="torchvision's file of alex, squeeze or vgg (default: its hub cache)",
    )


def protocol_of(args: argparse.Namespace) -> dict[str, Any]:
    """Arguments of ``ImageQuality`` that the options stand for.

    Args:
        args (argparse.Namespace): With the options of :func:`add_protocol_options`.

    Returns:
        dict[str, Any]: By name.

    Raises:
        InputError: If a file of weights is not given for a network.
    """
    for pair in args.lpips_weights:
        if '=' not in pair:
            raise InputError(f'--lpips-weights takes NET=PATH, got {pair}')
    return dict(
        lpips_weights=dict(pair.split('=', 1) for pair in args.lpips_weights),
        crop_to_multiple=args.crop_to_multiple,
        bit_depth=args.bit_depth,
        clip=not args.no_clip,
        round=args.round,
        channel_order=args.channel_order,
    )
