"""Restoring somebody's own photographs: arrays, and files as they are."""

from .encoding import encode_photo, write_whole
from .photo_files import Photo, open_photo
from .restoring import load_restorer, restore

__all__ = [
    'Photo',
    'encode_photo',
    'load_restorer',
    'open_photo',
    'restore',
    'write_whole',
]
