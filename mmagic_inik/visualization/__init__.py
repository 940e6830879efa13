"""Pictures of results, weight maps, inverse kernels and atoms."""

from .atom_figures import atom_comparison, atom_sheet
from .contact_sheet import contact_sheet
from .figures import comparison, most_different, size_map, weight_maps
from .gallery import Case, best_median_worst, gallery
from .kernel_figures import kernel_sheet
from .kernels import (
    HeadWatch,
    Prediction,
    compose_kernel,
    extreme_places,
    has_weight_maps,
)
from .validation_sheet import validation_sheet

__all__ = [
    'Case',
    'HeadWatch',
    'Prediction',
    'atom_comparison',
    'atom_sheet',
    'best_median_worst',
    'comparison',
    'compose_kernel',
    'contact_sheet',
    'extreme_places',
    'gallery',
    'has_weight_maps',
    'kernel_sheet',
    'most_different',
    'size_map',
    'validation_sheet',
    'weight_maps',
]
