"""Numeric types under autocast, which does not look into functions of our own."""

import torch
from torch import Tensor


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
