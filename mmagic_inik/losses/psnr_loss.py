"""PSNR as a loss that good images do not dominate."""

import torch
from mmagic.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class FlooredPSNRLoss(nn.Module):
    r"""Mean over images of 10 lg(MSE + 10^(−best / 10)), negative PSNR with a floor.

    The logarithm lets every image count alike, however wide its blur. Without a floor
    an image that is nearly its target already, as one in focus, has a gradient as large
    as its error is small: a network that does not know yet which image is which learns
    to leave all as they are, and stays there.

    Args:
        best (float): PSNR in dB from which an image gains little by getting better
            still: what is at ``best`` has half of the gradient. Default: 38.
        loss_weight (float): Factor. Default: 1.0.

    Example:
        >>> import torch
        >>> image = torch.rand(2, 3, 8, 8)
        >>> round(FlooredPSNRLoss(best=40)(image, image).item(), 4)
        -40.0
    """

    def __init__(self, best: float = 38.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.floor = 10 ** (-best / 10)
        self.loss_weight = loss_weight

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Compare images.

        Args:
            pred (Tensor): (B, C, H, W), in [0, 1].
            target (Tensor): Same shape.

        Returns:
            Tensor: Scalar in dB, at least float32.
        """
        dtype = torch.promote_types(pred.dtype, torch.float32)
        error = (pred.to(dtype) - target.to(dtype)).square().mean((1, 2, 3))
        return self.loss_weight * 10 * (error + self.floor).log10().mean()
