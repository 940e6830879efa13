"""Take the defocus blur out of photos, and leave everything else about them as it is.

`tools/restore.py PHOTO_OR_FOLDER...` writes every photo under its own name into the
folder `restored`, in its own format, with its size, bit depth, transparency, colour
profile and metadata; sub-folders are kept. It uses the weights that come with the
package, or others by --config and --checkpoint.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmagic_inik import restoration
from mmagic_inik.errors import InputError
from mmagic_inik.launch import check_device
from mmagic_inik.options import DEFAULT_OVERLAP, DTYPES

if TYPE_CHECKING:
    from mmagic_inik.models import Restorer
    from mmagic_inik.restoration.jobs import Plan


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read and check the command line; ``--tile`` becomes a number, 'auto' or None."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('photos', nargs='+', type=Path, help='photos, or folders')
    parser.add_argument(
        '--config', help="or one of MMagic's, as mmagic::nafnet/FILE.py"
    )
    parser.add_argument('--checkpoint', help='weights trained with --config')
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
    parser.add_argument(
        '--device', help='cpu or cuda (default: cuda where there is a GPU)'
    )
    parser.add_argument(
        '--dtype',
        choices=DTYPES,
        default='auto',
        help='of convolutions; auto: bfloat16 where the processor has instructions for '
        'it, else float32 (default)',
    )
    args = parser.parse_args(arguments)
    if args.tile.isdecimal():
        args.tile = int(args.tile)
    elif args.tile not in ('auto', 'none'):
        raise InputError(f'--tile {args.tile} is no number of pixels, auto or none')
    elif args.tile == 'none':
        args.tile = None
    if args.out.exists() and not args.out.is_dir():
        raise InputError(f'--out {args.out} is no folder; name one, or a new one')
    args.device = check_device(args.device)
    return args


def try_out(restorer: 'Restorer', args: argparse.Namespace) -> None:
    """Refuse options that the network cannot work with.

    Raises:
        InputError: Names what is wrong.
    """
    try:
        # With a number for `auto`, which would do without tiles here.
        tile = args.tile
        if tile == 'auto':
            tile = 1024 * restorer.size_divisor
        restoration.restore(
            np.zeros((32, 32), np.uint8), restorer, tile, args.overlap, args.dtype
        )
    except (RuntimeError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f'{args.config or "the network"} cannot restore with --tile {args.tile} '
            f'--overlap {args.overlap} --dtype {args.dtype} ({reason})'
        ) from error


def load_restorer(args: argparse.Namespace, told: bool = True) -> 'Restorer':
    """Load the network, say which, and try it out."""
    restorer = restoration.load_restorer(args.config, args.checkpoint, args.device)
    from mmagic_inik.ops.processor import resolve_dtype, say_if_slow

    if told and args.config is None:
        say(f'Restoring with {restoration.describe_shipped()}')
    if told:
        say_if_slow(resolve_dtype(args.dtype, args.device), args.device, say)
    try_out(restorer, args)
    return restorer


def say(sentence: object) -> None:
    """Print to where progress is shown."""
    print(f'{sentence}.', file=sys.stderr)


def make_plan(args: argparse.Namespace) -> 'Plan':
    """Decide what goes where, and clear away what a killed run left half-written."""
    plan = restoration.make_plan(args.photos, args.out, args.force, args.resume)
    if args.resume:
        restoration.encoding.remove_parts(job.target for job in plan.jobs)
    return plan


def restore_alone(args: argparse.Namespace) -> int:
    """Restore all in this process, and tell how many could not be."""
    plan, done = make_plan(args), 0
    for error in plan.refused:
        say(error)
    if plan.jobs:
        options = load_restorer(args), args.tile, args.overlap, args.dtype
        done = restoration.restore_all(plan.jobs, *options)
        print(file=sys.stderr)
    tell(plan, done, args)
    return len(plan.jobs) + len(plan.refused) - done


def restore_together(args: argparse.Namespace) -> int:
    """Restore this process's share; the leader tells how many could not be, of all."""
    crew = restoration.join_crew()
    if crew.leads:
        plan = make_plan(args)
        crew.hand_out(plan)
    args.device = restoration.crew.own_device(args.device)
    bar, done = None, 0
    if crew.count:
        options = load_restorer(args, crew.leads), args.tile, args.overlap, args.dtype
        bar = restoration.CrewBar(crew)
        done = restoration.restore_all(crew.jobs(), *options, bar)
    ended = crew.end(done, bar)
    if ended is None:
        return 0
    done, failures = ended
    tell(plan, done, args)
    for sentence in failures:
        say(sentence)
    return len(failures)


def tell(plan: 'Plan', done: int, args: argparse.Namespace) -> None:
    """Say how many photos were restored, and what was taken for none."""
    before = f', {plan.done} before' if plan.done else ''
    if plan.jobs or plan.done:
        say(f'{done} of {len(plan.jobs)} photos restored{before}: {args.out}')
    for sentence in plan.describe_left_out():
        say(sentence)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    together = 'TORCHELASTIC_RUN_ID' in os.environ
    try:
        args = parse_arguments(arguments)
        failed = restore_together(args) if together else restore_alone(args)
    except InputError as error:
        sys.exit(f'restore: {error}')
    except KeyboardInterrupt:
        sys.exit('restore: interrupted; the photos written so far are complete')
    if failed:
        sys.exit(f'restore: not restored: {failed}, for the reasons above')


if __name__ == '__main__':
    main()
