"""Training losses, registered in MMagic's MODELS."""

from .alternating_loss import AlternatingLoss
from .edge_loss import EdgeLoss
from .frequency_loss import FrequencyLoss
from .lpips_loss import LPIPSLoss
from .matched_loss import MatchedLoss
from .multi_scale_loss import MultiScaleLoss
from .psnr_loss import FlooredPSNRLoss
from .ssim_loss import SSIMLoss

__all__ = [
    'AlternatingLoss',
    'EdgeLoss',
    'FlooredPSNRLoss',
    'FrequencyLoss',
    'LPIPSLoss',
    'MatchedLoss',
    'MultiScaleLoss',
    'SSIMLoss',
]
