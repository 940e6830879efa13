"""Numeric types under autocast, and where a processor is slow in one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from . import processor
from .references import using_references


def autocast(x: Tensor, *others: Tensor | None) -> tuple[Any, ...]:
    """Cast what autocast would cast for a convolution.

    Args:
        x (Tensor): The first.
        *others (Tensor, optional): On the same device.

    Returns:
        tuple: All, in autocast's type where it is enabled, except those in double
        precision; otherwise the same. None stays None.
    """
    device = x.device.type
    if not torch.is_autocast_enabled(device):
        return x, *others
    dtype = torch.get_autocast_dtype(device)
    return tuple(
        t if t is None or t.dtype == torch.float64 else t.to(dtype)
        for t in (x, *others)
    )


def arithmetic_of(x: Tensor) -> torch.dtype:
    """The type in which to multiply what is given in another.

    Args:
        x (Tensor): On any device.

    Returns:
        torch.dtype: Its own, or float32 where a CPU is slow in that. A compiler and the
        plain forms take a tensor as it is.
    """
    as_it_is = not x.is_cpu or torch.compiler.is_compiling() or using_references()
    return x.dtype if as_it_is or processor.computes_in(x.dtype) else torch.float32


def compute(
    operation: Callable[..., Tensor], x: Tensor, *others: Tensor | None
) -> Tensor:
    """Run an operation in the type of :func:`arithmetic_of`; round to the given type.

    As an accumulator does: the sum of products is rounded once.

    Args:
        operation (Callable): Takes the tensors, returns one.
        x (Tensor): The first.
        *others (Tensor, optional): Of the same type.

    Returns:
        Tensor: Of the type of the first.
    """
    dtype = arithmetic_of(x)
    if dtype == x.dtype:
        return operation(x, *others)
    # Or it would undo what was widened.
    with torch.autocast('cpu', enabled=False):
        wide = (t if t is None else t.to(dtype) for t in (x, *others))
        return operation(*wide).to(x.dtype)
