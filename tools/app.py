"""Open a page in the browser on which photos are restored and compared.

It is served by this machine alone (127.0.0.1), asks nothing of any other, and keeps
photos in a temporary folder until their page is closed.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmagic_inik.app import check_library, serve
from mmagic_inik.command_line import sentences_of
from mmagic_inik.errors import InputError
from mmagic_inik.quiet import leave_out_known_warnings
from mmagic_inik.restoration.network_options import (
    add_network_options,
    check_network_options,
)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read and check the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to listen at; 0.0.0.0: let everybody in the network use the page '
        '(default: %(default)s)',
    )
    parser.add_argument(
        '--port',
        type=int,
        help='0: any that is free (default: the first from 8080 on that is)',
    )
    parser.add_argument(
        '--no-browser', action='store_true', help='do not open the page'
    )
    parser.add_argument(
        '--max-mb',
        type=float,
        default=500,
        help="limit of a photo's file (default: %(default)s)",
    )
    parser.add_argument(
        '--temp',
        type=Path,
        help="folder for photos while their page is open (default: the system's)",
    )
    add_network_options(parser)
    args = parser.parse_args(arguments)
    check_library()
    if args.max_mb <= 0:
        raise InputError(f'--max-mb {args.max_mb:g} is not positive; give megabytes')
    check_network_options(args)
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    leave_out_known_warnings()
    with sentences_of('app'):
        serve(parse_arguments(arguments))


if __name__ == '__main__':
    main()
