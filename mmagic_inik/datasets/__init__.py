"""Data sets of defocused photographs, registered in MMagic's DATASETS."""

from ..photos import photo_size, read_photo
from .augmentation import SharedGrey, SharedNoise, SharedShrink, StackViews
from .defocus_pairs import DefocusPairDataset, LoadDefocusPair
from .sampling import RepeatingSampler
from .sharp_photos import LoadSharpPhoto, SharpPhotoDataset
from .synthetic import SyntheticDefocus

__all__ = [
    'DefocusPairDataset',
    'LoadDefocusPair',
    'LoadSharpPhoto',
    'RepeatingSampler',
    'SharedGrey',
    'SharedNoise',
    'SharedShrink',
    'SharpPhotoDataset',
    'StackViews',
    'SyntheticDefocus',
    'photo_size',
    'read_photo',
]
