"""The queue: one photograph is worked on at a time, whoever's it is.

So the memory needed is that of one photograph, however many people and photos wait.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

# Shares done from which on the time taken so far tells the time left: better than the
# task before, and at all.
_TELLING, _LEAST = 0.1, 0.02


class CancelledError(Exception):
    """Ends work that nobody waits for any more."""


class Task:
    """Something to do about one photograph.

    Args:
        work (Callable): Does it, in the queue's thread. It is given ``report``, to be
            called with the share done, which raises :class:`CancelledError` when the
            task is cancelled. What else it raises is its own to catch.
        pixels (int): How many there are to work on.
        leave (Callable): Called once when the task is over or was cancelled.

    Attributes:
        share (float): Done, in [0, 1].
        begun (float, optional): When, by ``time.monotonic``.
    """

    def __init__(
        self,
        work: Callable[[Callable[[float], None]], object],
        pixels: int,
        leave: Callable[[], object] = lambda: None,
    ) -> None:
        self.work = work
        self.pixels = pixels
        self.leave = leave
        self.share = 0.0
        self.begun: float | None = None
        self._cancelled = False

    def report(self, share: float) -> None:
        """Note the share done.

        Args:
            share (float): In [0, 1].

        Raises:
            CancelledError: If the task was cancelled.
        """
        if self._cancelled:
            raise CancelledError
        self.share = share

    def cancel(self) -> None:
        """Let the next report raise."""
        self._cancelled = True


class Line:
    """Tasks in the order in which they came, done by one thread."""

    def __init__(self) -> None:
        self._waiting: deque[Task] = deque()
        self._current: Task | None = None
        self._changed = threading.Condition()
        self._ending = False
        # Seconds a pixel, of the last task that was done.
        self._pace: float | None = None
        self._thread = threading.Thread(target=self._run, name='restoring', daemon=True)
        self._thread.start()

    def add(self, task: Task) -> None:
        """Put a task at the end."""
        with self._changed:
            self._waiting.append(task)
            self._changed.notify_all()

    def cancel(self, task: Task) -> None:
        """Take a task out, or end it at its next report."""
        task.cancel()
        with self._changed:
            waited = task in self._waiting
            if waited:
                self._waiting.remove(task)
        if waited:
            task.leave()

    def before(self, task: Task) -> int:
        """How many tasks come first; 0 for the one that is worked on.

        Args:
            task (Task): Any.

        Returns:
            int: Zero as well for what is over.
        """
        with self._changed:
            if task not in self._waiting:
                return 0
            return self._waiting.index(task) + (self._current is not None)

    def seconds_left(self, task: Task) -> float | None:
        """Until a task is over, those before it included.

        Args:
            task (Task): Not over.

        Returns:
            float, optional: None as long as nothing tells.
        """
        with self._changed:
            ahead = [self._current] if self._current else []
            if task is not self._current:
                ahead += list(self._waiting)[: self._waiting.index(task) + 1]
            parts = [self._left(each) for each in ahead]
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None

    def stop(self, seconds: float = 30) -> bool:
        """Cancel all and wait for the thread.

        Args:
            seconds (float): For how long. Default: 30.

        Returns:
            bool: Whether it ended.
        """
        with self._changed:
            self._ending = True
            waiting, current = list(self._waiting), self._current
            self._changed.notify_all()
        for task in (*waiting, *([current] if current else [])):
            self.cancel(task)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _left(self, task: Task) -> float | None:
        taken = time.monotonic() - task.begun if task.begun else 0.0
        if task.share >= (_LEAST if self._pace is None else _TELLING):
            return taken * (1 / task.share - 1)
        return None if self._pace is None else max(self._pace * task.pixels - taken, 1)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ending)
                if self._ending:
                    return
                task = self._current = self._waiting.popleft()
            task.begun = time.monotonic()
            try:
                task.work(task.report)
                self._pace = (time.monotonic() - task.begun) / max(task.pixels, 1)
            except CancelledError:
                pass
            finally:
                with self._changed:
                    self._current = None
                task.leave()
