"""The switch between the fast forms of the operations and their plain references."""

from collections.abc import Iterator
from contextlib import contextmanager

_wanted = False


def using_references() -> bool:
    """Whether the operations run in their plain form."""
    return _wanted


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
