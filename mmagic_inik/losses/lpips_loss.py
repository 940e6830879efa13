"""Perceptual distance as a training loss."""

from torch import Tensor, nn

from ..lpips_network import MIN_SIDES, lpips_distance
from ..registry import MODELS


@MODELS.register_module()
class LPIPSLoss(nn.Module):
    """LPIPS (Zhang et al., CVPR 2018), v0.1, mean over the batch.

    The network is loaded at the first call and is no part of the module's state, so
    that checkpoints do not carry it.

    Args:
        loss_weight (float): Factor λ2. Default: 1.0.
        net (str): ``'alex'`` (INIKNet), ``'squeeze'`` or ``'vgg'``. Default: 'alex'.
        weights (str, optional): File with the backbone's torchvision weights.
            Default: None, torchvision's hub cache.

    Raises:
        ValueError: If ``net`` is unknown.
        InputError: At the first call, if the backbone's weights cannot be had.
    """

    def __init__(
        self, loss_weight: float = 1.0, net: str = 'alex', weights: str | None = None
    ) -> None:
        super().__init__()
        if net not in MIN_SIDES:
            raise ValueError(f'net must be in {tuple(MIN_SIDES)}, got {net!r}')
        self.loss_weight = loss_weight
        self.net = net
        self.weights = weights

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Compare images.

        Args:
            pred (Tensor): (B, 3, H, W), RGB in [0, 1].
            target (Tensor): Same shape.

        Returns:
            Tensor: Scalar, float32.
        """
        distance = lpips_distance(pred, target, self.net, self.weights)
        return self.loss_weight * distance.mean()
