"""Numeric types under autocast, and where a processor is slow in one."""

from collections.abc import Callable

import torch
from torch import Tensor

from . import processor
from .references import using_references


def autocast(*tensors: Tensor | None) -> tuple[Tensor | None, ...]:
    """Cast what autocast would cast for a convolution.

    Args:
        *tensors (Tensor, optional): On one device; the first is not None.

    Returns:
        tuple[Tensor | None, ...]: In autocast's type where it is enabled, except those
        in double precision; otherwise the same.
    """
    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return tensors
    dtype = torch.get_autocast_dtype(device)
    return tuple(
        t if t is None or t.dtype == torch.float64 else t.to(dtype) for t in tensors
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


def compute(operation: Callable[..., Tensor], *tensors: Tensor | None) -> Tensor:
    """Run an operation in the type of :func:`arithmetic_of`; round to the given type.

    As an accumulator does: the sum of products is rounded once.

    Args:
        operation (Callable): Takes the tensors, returns one.
        *tensors (Tensor, optional): Of one type; the first is not None.

    Returns:
        Tensor: Of the type of the first.
    """
    dtype = arithmetic_of(tensors[0])
    if dtype == tensors[0].dtype:
        return operation(*tensors)
    # Or it would undo what was widened.
    with torch.autocast('cpu', enabled=False):
        wide = (t if t is None else t.to(dtype) for t in tensors)
        return operation(*wide).to(tensors[0].dtype)
