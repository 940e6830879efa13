"""Sum of losses over image scales."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ..registry import MODELS


@MODELS.register_module()
class MultiScaleLoss(nn.Module):
    """Σ_p of each loss, the target resized bilinearly to every scale (section 3.4).

    Args:
        losses (dict[str, dict | nn.Module | None]): Losses (prediction, target) →
            scalar by name, each with a weight of its own. ``None`` leaves a name out,
            so that a derived config or ``--cfg-options`` can drop a term.
        scale_weights (Sequence[float], optional): Factors of the predictions, finest
            first. Default: None, all one.
        antialias (bool): Whether targets are reduced by a filter that widens with the
            reduction, as PIL's. Default: False.

    Raises:
        ValueError: If no loss is left; at a call, if there are not as many predictions
            as ``scale_weights``.

    Example:
        >>> import torch
        >>> loss = MultiScaleLoss(dict(l1=torch.nn.L1Loss()))
        >>> loss([torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 2, 2)],
        ...      torch.ones(1, 3, 4, 4))
        {'loss_l1': tensor(2.)}
    """

    def __init__(
        self,
        losses: dict[str, dict | nn.Module | None],
        scale_weights: Sequence[float] | None = None,
        antialias: bool = False,
    ) -> None:
        super().__init__()
        self.losses = nn.ModuleDict(
            {
                name: MODELS.build(loss) if isinstance(loss, dict) else loss
                for name, loss in losses.items()
                if loss is not None
            }
        )
        self.scale_weights = scale_weights
        self.antialias = antialias
        if not self.losses:
            raise ValueError(f'losses must name at least one loss, got {losses}')

    def forward(self, preds: list[Tensor], target: Tensor) -> dict[str, Tensor]:
        """Compare predictions with the target at their scales.

        Args:
            preds (list[Tensor]): (B, C, h, w) per scale, finest first.
            target (Tensor): (B, C, H, W), of the finest scale.

        Returns:
            dict[str, Tensor]: Scalars ``loss_<name>``; mmengine adds these up.
        """
        targets = [
            target
            if pred.shape[-2:] == target.shape[-2:]
            else F.interpolate(
                target,
                pred.shape[-2:],
                mode='bilinear',
                align_corners=False,
                antialias=self.antialias,
            )
            for pred in preds
        ]
        weights = self.scale_weights or [1] * len(preds)
        if len(weights) != len(preds):
            raise ValueError(
                f'scale_weights has {len(weights)} factors for {len(preds)} '
                'predictions; give one each'
            )
        return {
            f'loss_{name}': sum(
                weight * loss(pred, part)
                for weight, pred, part in zip(weights, preds, targets, strict=True)
            )
            for name, loss in self.losses.items()
        }
