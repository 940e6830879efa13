"""Restoring somebody's own photographs: arrays, and files as they are."""

from .encoding import encode_photo, write_whole
from .photo_files import Photo, open_photo
from .restoring import load_restorer, restore
from .shipped import describe_shipped

__all__ = [
    'Photo',
    'describe_shipped',
    'encode_photo',
    'load_restorer',
    'open_photo',
    'restore',
    'write_whole',
]
