"""Pure functions on tensors; this package imports torch and nothing else."""

from . import flops  # noqa: F401
from .enlarging_conv import enlarging_conv, enlarging_conv_reference
from .gated_update import gated_update, gated_update_reference
from .inverse_filter import inverse_filter, inverse_filter_reference
from .pixel_filter import pixel_filter, pixel_filter_reference
from .references import use_references, using_references
from .reflect_conv import reflect_conv, reflect_conv_reference

__all__ = [
    'enlarging_conv',
    'enlarging_conv_reference',
    'gated_update',
    'gated_update_reference',
    'inverse_filter',
    'inverse_filter_reference',
    'pixel_filter',
    'pixel_filter_reference',
    'reflect_conv',
    'reflect_conv_reference',
    'use_references',
    'using_references',
]
