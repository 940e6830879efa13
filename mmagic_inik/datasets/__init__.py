"""Data sets of defocused photographs, registered in MMagic's DATASETS."""

from .defocus_pairs import DefocusPairDataset, LoadDefocusPair
from .photos import photo_size, read_photo

__all__ = ['DefocusPairDataset', 'LoadDefocusPair', 'photo_size', 'read_photo']
