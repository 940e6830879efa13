"""Pure functions on tensors; this package imports torch and nothing else."""

from .inverse_filter import inverse_filter, inverse_filter_reference

__all__ = ['inverse_filter', 'inverse_filter_reference']
