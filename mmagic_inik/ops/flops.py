"""Formulas by which PyTorch's ``FlopCounterMode`` counts what it cannot see into.

Two per multiplication, as it counts itself. The forward pass of the filtering has its
formula beside the operation. Counters that trace a network (mmengine's, and so MMagic's
``get_flops.py``, or fvcore's) see the plain forms: see
:func:`~mmagic_inik.ops.using_references`.
"""

from math import prod

import torch
from torch.utils.flop_counter import flop_registry, register_flop_formula

from . import inverse_filter  # noqa: F401


@register_flop_formula(torch.ops.mmagic_inik.inverse_filter_backward)
def _count_filter_backward(
    grad_shape: tuple,
    padded_shape: tuple,
    mu_shape: tuple,
    omega_shape: tuple,
    atoms_shapes: list,
    mixing_shape: tuple | None,
    needs_image: bool,
    **kwargs: object,
) -> int:
    """As of the plain form: gradients of atoms, of y if needed, and of both in mixing.

    Products computed again are not counted, being the forward pass's.
    """
    channels = padded_shape[1]
    batch, _, height, width = mu_shape
    taps = sum(n * side * side for n, side, _ in atoms_shapes)
    mixed = (
        0
        if mixing_shape is None
        else mixing_shape[0] * len(atoms_shapes) * omega_shape[1]
    )
    pixels = batch * channels * height * width
    return 2 * pixels * (taps * (2 if needs_image else 1) + 2 * mixed)


def _count_pointwise(
    sum_shape: tuple,
    x_shape: tuple,
    weight_shape: tuple,
    *args: object,
    **kwargs: object,
) -> int:
    """A convolution that adds its result to what is there."""
    batch, _, height, width = sum_shape
    return 2 * batch * height * width * prod(weight_shape)


# reflect_conv adds a residual in place by it; a PyTorch to come may count it itself.
_in_place = getattr(torch.ops.mkldnn, '_convolution_pointwise_', None)
if _in_place is not None and _in_place not in flop_registry:
    register_flop_formula(_in_place)(_count_pointwise)
