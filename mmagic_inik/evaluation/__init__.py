"""Metrics as defocus papers compute them, registered in MMagic's METRICS."""

from .metrics import LPIPS, UniformSSIM

__all__ = ['LPIPS', 'UniformSSIM']
