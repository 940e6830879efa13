"""Distance after brightness and colour have been matched."""

import torch
from mmagic.registry import MODELS
from torch import Tensor, nn

# Variance of a prediction, in [0, 1], from which it has contrast: rounding to 8 bits
# alone makes 1.3e-6.
_LEAST_VARIANCE = 1e-6


@MODELS.register_module()
class MatchedLoss(nn.Module):
    """A loss of a·x + b, where a and b bring each colour x nearest to the target.

    Least squares over the pixels of an image, per image and colour: two photographs of
    one scene differ in exposure and white balance, which no network can know. The
    prediction's own scale and offset do not change the loss and get no gradient, so
    another loss has to hold them.

    Args:
        loss (dict | nn.Module): Of (prediction, target) → scalar, or its config.

    Example:
        >>> import torch
        >>> image = torch.rand(1, 3, 8, 8)
        >>> loss = MatchedLoss(torch.nn.L1Loss())
        >>> round(loss(0.8 * image + 0.1, image).item(), 6)
        0.0
    """

    def __init__(self, loss: dict | nn.Module) -> None:
        super().__init__()
        self.loss = MODELS.build(loss) if isinstance(loss, dict) else loss

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Compare images.

        Args:
            pred (Tensor): (B, C, H, W).
            target (Tensor): Same shape.

        Returns:
            Tensor: Scalar.
        """
        matched = match_brightness(pred, target)
        return self.loss(matched, target.to(matched.dtype))


def match_brightness(pred: Tensor, target: Tensor) -> Tensor:
    """Scale and offset per image and colour that come nearest to the target.

    Args:
        pred (Tensor): (B, C, H, W), in [0, 1].
        target (Tensor): Same shape.

    Returns:
        Tensor: Same shape, at least float32, not clipped: a·pred + b of least square
        distance. Of an image without contrast, the target's mean.
    """
    dtype = torch.promote_types(pred.dtype, torch.float32)
    pred, target = pred.to(dtype), target.to(dtype)
    mean = target.mean((-2, -1), keepdim=True)
    pred = pred - pred.mean((-2, -1), keepdim=True)
    variance = pred.square().mean((-2, -1), keepdim=True)
    # The mean of ``pred`` is 0 now.
    covariance = (pred * (target - mean)).mean((-2, -1), keepdim=True)
    return covariance / variance.clamp_min(_LEAST_VARIANCE) * pred + mean
