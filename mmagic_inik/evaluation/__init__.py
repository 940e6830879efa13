"""Metrics as defocus papers compute them, registered in MMagic's METRICS."""

from .image_quality import ImageQuality
from .photos import CropAndRound

__all__ = ['CropAndRound', 'ImageQuality']
