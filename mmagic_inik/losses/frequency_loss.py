"""Distance in the frequency domain."""

import torch
from torch import Tensor, nn

from ..registry import MODELS


@MODELS.register_module()
class FrequencyLoss(nn.Module):
    r"""FD = mean \|Re(FFT2(x) − FFT2(y))\| + mean \|Im(FFT2(x) − FFT2(y))\|.

    The FFT is not normalised, so the loss grows with the square root of the number of
    pixels; half-precision images are transformed in float32.

    Args:
        loss_weight (float): Factor λ1. Default: 1.0.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Compare images.

        Args:
            pred (Tensor): (B, C, H, W).
            target (Tensor): Same shape.

        Returns:
            Tensor: Scalar.
        """
        # FFT2 is linear: one transform of the difference serves both.
        difference = pred - target
        dtype = torch.promote_types(difference.dtype, torch.float32)
        spectrum = torch.fft.fft2(difference.to(dtype))
        return (
            self.loss_weight
            * torch.view_as_real(spectrum).abs().mean((0, 1, 2, 3)).sum()
        )
