"""Look through a data set before training: what pairs, what is damaged, what it shows.

Every photo of every pair is decoded completely. Ends with status 1 if a file cannot be
used; a contact sheet shows pairs as they would be trained on.
"""

import mmagic_inik.full_setup  # noqa: F401

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmagic_inik.command_line import sentences_of
from mmagic_inik.datasets.check import check_data_set
from mmagic_inik.datasets.layouts import PRESETS, SPLITS, Layout, make_layout
from mmagic_inik.errors import InputError


def layout_of(options: list[str]) -> dict[str, str | None]:
    """``input=a target=None`` as a layout's options."""
    for option in options:
        if '=' not in option:
            raise InputError(f'--layout {option} is not of the form KEY=VALUE')
    pairs = (option.split('=', 1) for option in options)
    return {key: None if value == 'None' else value for key, value in pairs}


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('root', type=Path, help="the data set's folder")
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--preset', choices=PRESETS, default='folders')
    what.add_argument(
        '--layout',
        nargs='+',
        metavar='KEY=VALUE',
        help='your own, such as input=blurred target=sharp pair_by=order; KEY is '
        + ', '.join(Layout._fields),
    )
    parser.add_argument('--split', choices=('all', *SPLITS), default='all')
    parser.add_argument('--out', type=Path, default='contact_sheet.png')
    parser.add_argument(
        '--num-pairs', type=int, default=12, help='on the contact sheet'
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    args = parse_arguments(arguments)
    with sentences_of('check_dataset'):
        layouts = PRESETS[args.preset]
        if args.layout:
            layouts = (make_layout(layout_of(args.layout)),)
        text, problems = check_data_set(
            args.root, layouts, args.split, args.out, args.num_pairs
        )
    print(text)
    sys.exit(bool(problems))


if __name__ == '__main__':
    main()
