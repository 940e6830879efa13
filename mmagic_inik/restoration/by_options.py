"""Restores what a command line names, alone or with other processes.

PyTorch is imported when there is something to restore.
"""

import argparse
import os
import sys
from typing import TYPE_CHECKING

from .. import restoration
from .network_options import load_by_options

if TYPE_CHECKING:
    from ..models import Restorer
    from .jobs import Plan


def restore_by_options(args: argparse.Namespace) -> int:
    """Restore photos, with the processes that torchrun started with this one, if any.

    Args:
        args (argparse.Namespace): ``photos``, ``out``, ``force``, ``resume``, and the
            checked options of a network.

    Returns:
        int: How many could not be restored, for reasons that have been said.

    Raises:
        InputError: If the network cannot be used.
    """
    together = 'TORCHELASTIC_RUN_ID' in os.environ
    return restore_together(args) if together else restore_alone(args)


def say(sentence: object) -> None:
    """Print to where progress is shown.

    Args:
        sentence (object): Without a full stop.
    """
    print(f'{sentence}.', file=sys.stderr)


def plan_by_options(args: argparse.Namespace) -> 'Plan':
    """Decide what goes where, and clear away what a killed run left half-written.

    Args:
        args (argparse.Namespace): ``photos``, ``out``, ``force`` and ``resume``.

    Returns:
        Plan: What to restore.
    """
    plan = restoration.make_plan(args.photos, args.out, args.force, args.resume)
    if args.resume:
        restoration.encoding.remove_parts(job.target for job in plan.jobs)
    return plan


def restore_alone(args: argparse.Namespace) -> int:
    """Restore all in this process, and tell what became of them.

    Args:
        args (argparse.Namespace): As of :func:`restore_by_options`.

    Returns:
        int: How many could not be restored.

    Raises:
        InputError: If the network cannot be used.
    """
    plan, done = plan_by_options(args), 0
    for error in plan.refused:
        say(error)
    if plan.jobs:
        done = restoration.restore_all(plan.jobs, *_options(args))
        print(file=sys.stderr)
    tell(plan, done, args)
    return len(plan.jobs) + len(plan.refused) - done


def restore_together(args: argparse.Namespace) -> int:
    """Restore this process's share; the leader tells what became of all.

    Args:
        args (argparse.Namespace): As of :func:`restore_by_options`.

    Returns:
        int: How many of all could not be restored; 0 for who does not lead.

    Raises:
        InputError: If the network cannot be used.
    """
    crew = restoration.join_crew()
    if crew.leads:
        plan = plan_by_options(args)
        crew.hand_out(plan)
    args.device = restoration.crew.own_device(args.device)
    bar, done = None, 0
    if crew.count:
        options = _options(args, crew.leads)
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
    """Say how many photos were restored, and what was taken for none.

    Args:
        plan (Plan): Of them.
        done (int): How many were restored.
        args (argparse.Namespace): With ``out``.
    """
    before = f', {plan.done} before' if plan.done else ''
    if plan.jobs or plan.done:
        say(f'{done} of {len(plan.jobs)} photos restored{before}: {args.out}')
    for sentence in plan.describe_left_out():
        say(sentence)


def _options(
    args: argparse.Namespace, told: bool = True
) -> 'tuple[Restorer, int | str | None, int, str]':
    """What to restore with, in a process that restores until it ends."""
    restoration.memory.keep_freed_memory()
    return load_by_options(args, told), args.tile, args.overlap, args.dtype
