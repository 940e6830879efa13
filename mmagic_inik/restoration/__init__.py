"""Restoring somebody's own photographs: arrays, and files as they are."""

import lazy_loader

# PyTorch is imported when there is something to restore, not to print a --help.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        'batch',
        'crew',
        'encoding',
        'jobs',
        'memory',
        'shipped',
        'tile_size',
        'watching',
    ],
    submod_attrs={
        'batch': ['check_still_works', 'explain', 'restore_all'],
        'crew': ['CrewBar', 'join_crew'],
        'encoding': ['encode_photo', 'write_whole'],
        'engines': ['load_exported', 'with_engine'],
        'jobs': ['make_plan'],
        'photo_files': ['Photo', 'open_photo'],
        'restoring': ['load_restorer', 'restore'],
        'shipped': ['describe_shipped'],
        'size_map': ['expected_sizes'],
        'watching': ['watch'],
    },
)
