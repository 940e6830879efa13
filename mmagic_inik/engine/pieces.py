"""Training that goes on in pieces, in other sessions and on other machines."""

import warnings

from mmagic.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner


@HOOKS.register_module()
class TrainingPiecesHook(Hook):
    """Lets a schedule be prolonged, and keeps checkpoints small enough to carry.

    mmengine resumes a schedule as the checkpoint has it, whatever the config says now.
    With this hook the learning rate on ``--resume`` is the config's at the iteration of
    the checkpoint, as if training had had this schedule from the start.

    mmengine also writes every loss since the first iteration into every checkpoint,
    which after 4e5 iterations is more than the weights. The logs have them too.

    Args:
        kept_history (int): Iterations of logged values in a checkpoint; at least what
            the log averages over. Default: 100.

    Raises:
        ValueError: If ``kept_history`` is not positive.
    """

    def __init__(self, kept_history: int = 100) -> None:
        if kept_history < 1:
            raise ValueError(f'kept_history must be positive, got {kept_history}')
        self.kept_history = kept_history

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the checkpoint's schedule from replacing the config's."""
        checkpoint.pop('param_schedulers', None)

    def before_train(self, runner: Runner) -> None:
        """Take the config's schedule to where training resumes."""
        schedulers = runner.param_schedulers
        if not runner.iter or not schedulers:
            return
        # What they began with; the optimizer was loaded after they were built.
        for group, rate in zip(
            runner.optim_wrapper.param_groups,
            schedulers[-1].get_last_value(),
            strict=True,
        ):
            group['lr'] = rate
        with warnings.catch_warnings():
            # No step of the optimizer comes between.
            warnings.filterwarnings('ignore', message='Detected call of `scheduler')
            for _ in range(runner.iter):
                for scheduler in schedulers:
                    scheduler.step()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Drop all but the last logged values."""
        scalars = checkpoint['message_hub']['log_scalars']
        for name, buffer in scalars.items():
            values, counts = (part[-self.kept_history :] for part in buffer.data)
            scalars[name] = HistoryBuffer(values, counts)
