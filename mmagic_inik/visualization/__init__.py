"""Pictures of results, weight maps, inverse kernels and atoms."""

import lazy_loader

# What the weights mean needs no matplotlib, unlike figures of them.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        'atom_figures': ['atom_comparison', 'atom_sheet'],
        'contact_sheet': ['contact_sheet'],
        'figures': ['comparison', 'most_different', 'size_map', 'weight_maps'],
        'gallery': ['Case', 'best_median_worst', 'gallery'],
        'kernel_figures': ['kernel_sheet'],
        'kernels': [
            'HeadWatch',
            'Prediction',
            'compose_kernel',
            'extreme_places',
            'has_weight_maps',
        ],
        'validation_sheet': ['validation_sheet'],
    },
)
