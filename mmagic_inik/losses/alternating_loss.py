"""Losses that take turns in the course of training."""

from mmengine.logging import MessageHub
from torch import Tensor, nn

from ..registry import MODELS


def iterations_done() -> int:
    """Iterations before this one, resumed ones included; 0 outside of a run."""
    hub = MessageHub.get_current_instance()
    return hub.get_info('iter') if 'iter' in hub.runtime_info else 0


@MODELS.register_module()
class AlternatingLoss(nn.Module):
    """One loss, and from an epoch on every other half of a period a second one.

    NRKNet's schedule: the second holds in epochs e ≥ ``start`` with
    e mod ``period`` > ``period`` / 2. GKMNet's: with e mod ``period`` < ``period`` / 2.

    Args:
        first (dict | nn.Module): (predictions, target) → dict of named losses.
        second (dict | nn.Module): The same.
        start (int): Epoch, see above.
        period (int): Epochs, see above.
        epoch_iters (int): Iterations of an epoch.
        second_half (bool): Which half of a period the second holds in.
            Default: True, the later one.

    Raises:
        ValueError: If ``period`` or ``epoch_iters`` is not positive.
    """

    def __init__(
        self,
        first: dict | nn.Module,
        second: dict | nn.Module,
        start: int,
        period: int,
        epoch_iters: int,
        second_half: bool = True,
    ) -> None:
        super().__init__()
        if min(period, epoch_iters) < 1:
            raise ValueError(
                'period and epoch_iters must be positive, got '
                f'{period} and {epoch_iters}'
            )
        self.first, self.second = (
            MODELS.build(loss) if isinstance(loss, dict) else loss
            for loss in (first, second)
        )
        self.start = start
        self.period = period
        self.epoch_iters = epoch_iters
        self.second_half = second_half

    def forward(self, preds: list[Tensor], target: Tensor) -> dict[str, Tensor]:
        """Compare predictions with the target by the loss whose turn it is.

        Args:
            preds (list[Tensor]): As the losses take them.
            target (Tensor): The same.

        Returns:
            dict[str, Tensor]: What the loss returns.
        """
        epoch = iterations_done() // self.epoch_iters
        passed = 2 * (epoch % self.period) - self.period
        turn = passed > 0 if self.second_half else passed < 0
        chosen = self.second if turn and epoch >= self.start else self.first
        return chosen(preds, target)
