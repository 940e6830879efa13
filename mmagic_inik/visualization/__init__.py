"""Pictures of results, weight maps and atoms."""

from .contact_sheet import contact_sheet
from .figures import atom_sheet, comparison, most_different, weight_maps
from .gallery import Case, best_median_worst, gallery

__all__ = [
    'Case',
    'atom_sheet',
    'best_median_worst',
    'comparison',
    'contact_sheet',
    'gallery',
    'most_different',
    'weight_maps',
]
