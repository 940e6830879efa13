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

from mmagic_inik import restoration
from mmagic_inik.errors import InputError
from mmagic_inik.quiet import leave_out_known_warnings
from mmagic_inik.restoration.network_options import (
    add_network_options,
    check_network_options,
    load_by_options,
)

if TYPE_CHECKING:
    from mmagic_inik.restoration.jobs import Plan


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
        options = load_by_options(args), args.tile, args.overlap, args.dtype
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
        options = load_by_options(args, crew.leads), args.tile, args.overlap, args.dtype
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
    leave_out_known_warnings()
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
