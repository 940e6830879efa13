"""INIKNet's training loss, registered in MMagic's MODELS."""

from .frequency_loss import FrequencyLoss
from .lpips_loss import LPIPSLoss
from .multi_scale_loss import MultiScaleLoss

__all__ = ['FrequencyLoss', 'LPIPSLoss', 'MultiScaleLoss']
