"""Training that goes back to its best weights."""

from collections.abc import Sequence

from mmagic.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from .checkpoints import load_checkpoint_file


@HOOKS.register_module()
class RestartFromBestHook(Hook):
    """Loads the best weights so far at certain iterations and forgets the optimizer's.

    The best checkpoint is that of mmengine's ``CheckpointHook`` with ``save_best``;
    until it has saved one, weights stay as they are. The learning rate is the
    schedule's.

    Args:
        at (Sequence[int]): Iterations done when it happens.

    Raises:
        ValueError: If an iteration is not positive.
    """

    def __init__(self, at: Sequence[int]) -> None:
        if any(iteration < 1 for iteration in at):
            raise ValueError(f'at must be of positive iterations, got {list(at)}')
        self.at = frozenset(at)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Start again from the best, if it is time."""
        if runner.iter not in self.at:
            return
        hub = runner.message_hub
        best = hub.get_info('best_ckpt') if 'best_ckpt' in hub.runtime_info else None
        if best is not None:
            model = getattr(runner.model, 'module', runner.model)
            model.load_state_dict(load_checkpoint_file(best, 'cpu')['state_dict'])
        runner.optim_wrapper.optimizer.state.clear()
        print_log(
            f'Iteration {runner.iter}: the optimizer starts afresh from {best}.',
            'current',
        )
