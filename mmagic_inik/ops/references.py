"""The switch between the fast forms of the operations and their plain references."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import torch

# How many contexts are open, in all threads.
_open = 0
_lock = Lock()


def using_references() -> bool:
    """Whether the operations run in their plain form.

    So they do while a network is traced, too: a trace knows PyTorch's own operations
    alone, and so do those who read it to count operations or to export.
    """
    return _open > 0 or torch.jit.is_tracing()


@contextmanager
def use_references() -> Iterator[None]:
    """Run all operations in their plain form: to compare, to measure, to doubt.

    Those of other threads, too, as long as any thread wants it.

    Example:
        >>> from mmagic_inik.ops import use_references, using_references
        >>> with use_references():
        ...     using_references()
        True
    """
    _count(1)
    try:
        yield
    finally:
        _count(-1)


def _count(change: int) -> None:
    global _open
    with _lock:
        _open += change
