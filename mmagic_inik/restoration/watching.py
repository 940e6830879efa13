"""How far a network is with a photograph, between its pieces too, and how to end it.

Pieces may take many seconds each. What tells progress and may raise is therefore asked
at every layer.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import nn

from ..models.prediction import Predicting

# Pixels a side of the image on which layers are timed.
_TIMED = 128
# Share of its time after which each call of a network's layers begins.
_timetables: WeakKeyDictionary[Predicting, list[float]] = WeakKeyDictionary()


@contextmanager
def watch(
    restorer: Predicting, pixels: int, report: Callable[[float], object]
) -> Iterator[Callable[[int, int], None]]:
    """Follow a network while it restores one photograph.

    Args:
        restorer (Restorer): What will be given to :func:`~.restoring.restore`.
        pixels (int): How many the photograph has.
        report (Callable): Called before each layer with the share done, in [0, 1],
            never falling. What it raises ends the restoration.

    Yields:
        Callable: To be given to ``restore`` as ``progress``.

    Example:
        >>> import numpy as np
        >>> from mmagic_inik.models import Restorer
        >>> from mmagic_inik.restoration import restore
        >>> network, shares = Restorer(nn.Identity()), []
        >>> with watch(network, 64, shares.append) as progress:
        ...     _ = restore(np.zeros((8, 8), np.uint8), network, progress=progress)
        >>> shares[-1]
        1.0
    """
    progress = _Progress(_timetable(restorer), pixels, report)
    with ExitStack() as stack:
        generator = restorer.generator
        # Before those of the layers, of which the network itself is the first.
        handles = [generator.register_forward_pre_hook(progress.begin_piece)]
        handles += [
            layer.register_forward_pre_hook(progress.begin_layer)
            for layer in generator.modules()
        ]
        for handle in handles:
            stack.callback(handle.remove)
        yield progress.end_piece


class _Progress:
    """The share done: of pieces by their number, in a piece by the timetable."""

    def __init__(
        self, timetable: list[float], pixels: int, report: Callable[[float], object]
    ) -> None:
        self._timetable = timetable
        self._pixels = pixels
        self._report = report
        self._most = self._before = self._piece = 0.0
        self._calls = 0

    def begin_piece(self, _: nn.Module, inputs: tuple) -> None:
        height, width = inputs[0].shape[-2:]
        if not self._before:
            # Nobody has said yet how many there are, and what they share.
            self._piece = 1 / -(-self._pixels // (height * width))
        self._calls = 0

    def begin_layer(self, *_: object) -> None:
        call = min(self._calls, len(self._timetable) - 1)
        self._calls += 1
        self._tell(self._before + self._piece * self._timetable[call])

    def end_piece(self, done: int, total: int) -> None:
        self._before, self._piece = done / total, 1 / total
        self._tell(self._before)

    def _tell(self, share: float) -> None:
        self._most = max(self._most, min(share, 1.0))
        self._report(self._most)


@torch.no_grad()
def _timetable(restorer: Predicting) -> list[float]:
    """Measured once for each network."""
    if restorer not in _timetables:
        begins = []
        note = lambda *_: begins.append(time.perf_counter())  # noqa: E731
        layers = list(restorer.generator.modules())
        handles = [layer.register_forward_pre_hook(note) for layer in layers]
        try:
            image = torch.zeros(1, 3, _TIMED, _TIMED)
            # What is made at a first call would count as a layer's own time.
            restorer.restore(image)
            begins.clear()
            restorer.restore(image)
            whole = time.perf_counter() - begins[0]
        finally:
            for handle in handles:
                handle.remove()
        _timetables[restorer] = [(begin - begins[0]) / whole for begin in begins]
    return _timetables[restorer]
