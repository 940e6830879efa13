"""Pictures of results, weight maps and atoms."""

from .figures import atom_sheet, comparison, weight_maps

__all__ = ['atom_sheet', 'comparison', 'weight_maps']
