"""The switch between the fast forms of the operations and their plain references."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_wanted = False


def using_references() -> bool:
    """Whether the operations run in their plain form.

    So they do while a network is traced, too: a trace knows PyTorch's own operations
    alone, and so do those who read it to count operations or to export.
    """
    return _wanted or torch.jit.is_tracing()


@contextmanager
def use_references() -> Iterator[None]:
    """Run all operations in their plain form: to compare, to measure, to doubt.

    Example:
        >>> from mmagic_inik.ops import use_references, using_references
        >>> with use_references():
        ...     using_references()
        True
    """
    global _wanted
    before, _wanted = _wanted, True
    try:
        yield
    finally:
        _wanted = before
