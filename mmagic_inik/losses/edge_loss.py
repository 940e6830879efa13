"""Distance of edges."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..registry import MODELS

_BINOMIAL = (0.05, 0.25, 0.4, 0.25, 0.05)


@MODELS.register_module()
class EdgeLoss(nn.Module):
    """Charbonnier distance of Laplacians, MPRNet's second loss.

    L(a) = a − g(4 z(g(a))) with a Gaussian g of 5 × 5 taps, the image padded by
    replication, and z that keeps the even rows and columns and zeroes the rest.

    Args:
        loss_weight (float): Factor. Default: 1.0.
        epsilon (float): ε of √((a − b)² + ε²). Default: 1e-3.
    """

    taps: Tensor

    def __init__(self, loss_weight: float = 1.0, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.epsilon = epsilon
        self.register_buffer('taps', torch.tensor(_BINOMIAL), persistent=False)

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Compare images.

        Args:
            pred (Tensor): (B, C, H, W).
            target (Tensor): Same shape.

        Returns:
            Tensor: Scalar.
        """
        # Linear: one Laplacian of the difference serves both.
        edges = self._laplacian(pred - target)
        return self.loss_weight * (edges**2 + self.epsilon**2).sqrt().mean()

    def _laplacian(self, x: Tensor) -> Tensor:
        kept = torch.zeros_like(x)
        kept[..., ::2, ::2] = 4 * self._smoothed(x)[..., ::2, ::2]
        return x - self._smoothed(kept)

    def _smoothed(self, x: Tensor) -> Tensor:
        taps = self.taps.to(x.dtype)
        planes = F.pad(x, [2] * 4, 'replicate').flatten(0, 1).unsqueeze(1)
        planes = F.conv2d(planes, taps.view(1, 1, -1, 1))
        return F.conv2d(planes, taps.view(1, 1, 1, -1)).view_as(x)
