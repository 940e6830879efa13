"""Draw what a network predicts for photographs: weights, inverse kernels, atoms.

`tools/visualize.py PHOTO... --config CONFIG --checkpoint FILE --out FOLDER` writes for
every photograph NAME the restored NAME_restored.png, the map of the expected kernel
size NAME_size.png, the weights NAME_mu.png and NAME_omega.png and the composed kernels
NAME_kernels.png; and atoms.png and atoms_fourier.png once.
"""

import mmagic_inik.full_setup  # noqa: F401

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from mmagic_inik.command_line import add_device_option, sentences_of
from mmagic_inik.errors import InputError
from mmagic_inik.visualization.predictions import draw_predictions


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read and check the command line; ``--at`` becomes pairs of numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('photos', nargs='+', type=Path, help='photos, or folders')
    parser.add_argument('--config', required=True)
    parser.add_argument('--checkpoint', required=True, help='trained weights')
    parser.add_argument('--out', required=True, type=Path, help='folder for pictures')
    parser.add_argument(
        '--at',
        action='append',
        default=[],
        metavar='X,Y',
        help='pixel whose kernel to draw; repeatable. Default: where the expected '
        'size is largest and smallest',
    )
    parser.add_argument(
        '--max-side', type=int, default=1024, help='longest side of drawn maps'
    )
    add_device_option(parser)
    args = parser.parse_args(arguments)
    for place in args.at:
        if not re.fullmatch(r'\d+,\d+', place):
            raise InputError(f'--at {place} is no pixel; write x,y, such as 120,80')
    args.at = [tuple(map(int, place.split(','))) for place in args.at]
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    MMLogger.get_instance('visualize', log_level='ERROR')
    init_default_scope('mmagic')
    with sentences_of('visualize'):
        args = parse_arguments(arguments)
        draw_predictions(
            args.photos,
            args.config,
            args.checkpoint,
            args.out,
            args.at,
            args.max_side,
            args.device,
        )


if __name__ == '__main__':
    main()
