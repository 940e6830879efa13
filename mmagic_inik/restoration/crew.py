"""Processes that restore photos together: whichever is free takes the next one.

``torchrun`` starts them, on one machine or several that share the folders. They meet at
its store, which one of them fills with the plan, and which counts what is taken, so
that every photo is restored once. It ends with the run: what a killed run has done is
told by the results in the output folder alone.
"""

import json
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed

from ..processes import end_with_launcher
from .batch import PhotosBar
from .jobs import Job, Plan

# Planning a million photos takes minutes, and the last photo may take hours; in
# milliseconds it must be below 2³¹.
_PATIENCE = timedelta(days=20)
# Keys of the store that are set at a time.
_AT_ONCE = 1000


class Crew:
    """This process among those that restore together.

    Args:
        store (distributed.Store): That all of them see.
        rank (int): From 0, which leads: it makes the plan and has the last word.
        size (int): How many they are.

    Example:
        >>> store = distributed.HashStore()
        >>> one, two = Crew(store, 0, 2), Crew(store, 1, 2)
        >>> one.hand_out(Plan([Job('a', 'x/a', 5), Job('b', 'x/b', 7)]))
        >>> jobs = one.jobs(), two.jobs()
        >>> [str(next(mine).photo) for mine in jobs]
        ['a', 'b']
        >>> [list(mine) for mine in jobs]
        [[], []]
    """

    def __init__(self, store: distributed.Store, rank: int, size: int) -> None:
        self.store = distributed.PrefixStore('mmagic_inik', store)
        self.store.set_timeout(_PATIENCE)
        self.rank, self.size = rank, size

    @property
    def leads(self) -> bool:
        """Whether this process makes the plan."""
        return self.rank == 0

    def hand_out(self, plan: Plan) -> None:
        """Give the leader's plan to all.

        Args:
            plan (Plan): Whose jobs are wanted; what it refused counts as failed.
        """
        for start in range(0, len(plan.jobs), _AT_ONCE):
            some = plan.jobs[start : start + _AT_ONCE]
            # Which PyTorch's stub lacks.
            self.store.multi_set(  # type: ignore[attr-defined]
                [f'job {n}' for n in range(start, start + len(some))],
                [json.dumps([*map(str, job[:2]), job.pixels]) for job in some],
            )
        for error in plan.refused:
            self.fail(str(error))
        self.store.set('pixels in all', str(sum(job.pixels for job in plan.jobs)))
        # Last: the others wait for it.
        self.store.set('jobs in all', str(len(plan.jobs)))

    @property
    def count(self) -> int:
        """How many photos the plan has; waits for it."""
        return int(self.store.get('jobs in all'))

    def jobs(self) -> Iterator[Job]:
        """Photos that are this process's to restore, each taken when it is wanted.

        Yields:
            Job: That no other process gets.
        """
        count = self.count
        while (n := self.store.add('jobs taken', 1) - 1) < count:
            photo, target, pixels = json.loads(self.store.get(f'job {n}'))
            yield Job(Path(photo), Path(target), pixels)

    def fail(self, sentence: str) -> None:
        """Note why a photo is not restored."""
        self.store.set(f'failure {self.store.add("failures", 1) - 1}', sentence)

    def end(self, restored: int, bar: 'CrewBar | None') -> tuple[int, list[str]] | None:
        """Wait for all, as the leader, and tell what became of the plan.

        Args:
            restored (int): How many photos this process restored.
            bar (CrewBar, optional): Shows what the others do meanwhile.

        Returns:
            tuple[int, list[str]] | None: How many all did, and why the others could not
            be restored; None for who does not lead.
        """
        self.store.add('restored', restored)
        if self.store.add('ended', 1) == self.size:
            self.store.set('all ended', '')
        if not self.leads:
            return None
        while not self.store.check(['all ended']):
            time.sleep(0.2)
            if bar:
                bar.show_others()
        if bar:
            bar.close()
        failures = range(self.store.add('failures', 0))
        return self.store.add('restored', 0), [
            self.store.get(f'failure {n}').decode() for n in failures
        ]


class CrewBar(PhotosBar):
    """The leader's progress bar over what all have done; the others count for it.

    Args:
        crew (Crew): Whose plan was handed out.
    """

    def __init__(self, crew: Crew) -> None:
        super().__init__((), shown=crew.leads)
        self._crew = crew
        self._total = max(1, int(crew.store.get('pixels in all')))

    def advance(self, job: Job, done: int, total: int) -> None:
        """Show what all have done, and of this photo."""
        if self._crew.leads:
            self._before = self._crew.store.add('pixels done', 0)
            super().advance(job, done, total)

    def finish(self, job: Job) -> None:
        """Leave a photo behind, restored or not."""
        self._crew.store.add('pixels done', job.pixels)
        self.show_others()

    def show_others(self) -> None:
        """Show what all have done."""
        if self._crew.leads:
            self._show(self._crew.store.add('pixels done', 0))

    def fail(self, sentence: object) -> None:
        """Say why a photo is not restored, now and at the end."""
        self._crew.fail(str(sentence))
        super().fail(sentence)

    def close(self) -> None:
        """Leave the bar, all being done."""
        self.show_others()
        self._bar.close()


def join_crew() -> Crew | None:
    """Meet the processes that torchrun started with this one.

    Returns:
        Crew | None: None if torchrun did not start it.
    """
    if 'TORCHELASTIC_RUN_ID' not in os.environ:
        return None
    end_with_launcher()
    store, rank, size = next(distributed.rendezvous('env://'))
    return Crew(store, rank, size)


def own_device(device: str) -> str:
    """This process's among the machine's GPUs.

    Args:
        device (str): As given to all.

    Returns:
        str: Another GPU for each process of a machine; the same if it names one, or
        none.
    """
    if device != 'cuda':
        return device
    number = int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()
    return f'cuda:{number}'
