"""Metrics as defocus papers compute them, registered in MMagic's METRICS."""

from .image_quality import ImageQuality

__all__ = ['ImageQuality']
