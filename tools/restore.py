"""Take the defocus blur out of photos, and leave everything else about them as it is.

`tools/restore.py PHOTO_OR_FOLDER...` writes every photo under its own name into the
folder `restored`, in its own format, with its size, bit depth, transparency, colour
profile and metadata; sub-folders are kept. It uses the weights that come with the
package, or others by --config and --checkpoint.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmagic_inik.command_line import sentences_of
from mmagic_inik.errors import InputError
from mmagic_inik.quiet import leave_out_known_warnings
from mmagic_inik.restoration.by_options import restore_by_options
from mmagic_inik.restoration.network_options import (
    add_network_options,
    check_network_options,
)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read and check the command line; ``--tile`` becomes a number, 'auto' or None."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('photos', nargs='+', type=Path, help='photos, or folders')
    parser.add_argument(
        '--out',
        default=Path('restored'),
        type=Path,
        help='folder for results (default: %(default)s)',
    )
    there = parser.add_mutually_exclusive_group()
    there.add_argument(
        '--force', action='store_true', help='replace what is in --out already'
    )
    there.add_argument(
        '--resume',
        action='store_true',
        help='go on with a run that was ended early: what is in --out already is done',
    )
    add_network_options(parser)
    args = parser.parse_args(arguments)
    check_network_options(args)
    if args.out.exists() and not args.out.is_dir():
        raise InputError(f'--out {args.out} is no folder; name one, or a new one')
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    leave_out_known_warnings()
    try:
        with sentences_of('restore'):
            failed = restore_by_options(parse_arguments(arguments))
    except KeyboardInterrupt:
        sys.exit('restore: interrupted; the photos written so far are complete')
    if failed:
        sys.exit(f'restore: not restored: {failed}, for the reasons above')


if __name__ == '__main__':
    main()
