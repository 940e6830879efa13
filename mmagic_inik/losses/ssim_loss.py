"""Structural dissimilarity."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..registry import MODELS

_SIDE, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


@MODELS.register_module()
class SSIMLoss(nn.Module):
    """1 − SSIM (Wang et al., 2004), as networks of this field train with it.

    The window is Gaussian, 11 × 11 with σ = 1.5, inside the image alone; the range of
    the data is 1, every colour is on its own, and half precision is taken to float32.

    Args:
        loss_weight (float): Factor. Default: 1.0.

    Example:
        >>> import torch
        >>> image = torch.rand(1, 3, 16, 16)
        >>> float(SSIMLoss()(image, image)) < 1e-6
        True
    """

    window: Tensor

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        offsets = torch.arange(_SIDE, dtype=torch.float64) - _SIDE // 2
        window = (-(offsets**2) / (2 * _SIGMA**2)).exp()
        # No part of checkpoints.
        self.register_buffer('window', window / window.sum(), persistent=False)

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Compare images.

        Args:
            pred (Tensor): (B, C, H, W) in [0, 1], sides from 11.
            target (Tensor): Same shape.

        Returns:
            Tensor: Scalar.

        Raises:
            ValueError: If a side is below 11.
        """
        if min(pred.shape[-2:]) < _SIDE:
            raise ValueError(
                f'SSIM needs sides from {_SIDE}, got {tuple(pred.shape[-2:])}; give '
                'larger crops'
            )
        dtype = torch.promote_types(pred.dtype, torch.float32)
        with torch.autocast(pred.device.type, enabled=False):
            x, y = pred.to(dtype), target.to(dtype)
            mu_x, mu_y = self._mean(x), self._mean(y)
            var_x = self._mean(x * x) - mu_x**2
            var_y = self._mean(y * y) - mu_y**2
            cov = self._mean(x * y) - mu_x * mu_y
            luminance = (2 * mu_x * mu_y + _C1) / (mu_x**2 + mu_y**2 + _C1)
            structure = (2 * cov + _C2) / (var_x + var_y + _C2)
        return self.loss_weight * (1 - (luminance * structure).mean())

    def _mean(self, x: Tensor) -> Tensor:
        """Mean over the window at every place where it fits."""
        window = self.window.to(x.dtype)
        planes = x.flatten(0, 1).unsqueeze(1)
        planes = F.conv2d(planes, window.view(1, 1, -1, 1))
        planes = F.conv2d(planes, window.view(1, 1, 1, -1))
        return planes.unflatten(0, x.shape[:2]).squeeze(2)
