"""What happens when a run of mmengine loads a checkpoint."""

import hashlib
import os
from pathlib import Path

from mmagic.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner, find_latest_checkpoint

from ..errors import InputError
from .checkpoints import fitting_weights, load_checkpoint_file


@HOOKS.register_module()
class StrictCheckpointHook(Hook):
    """Refuses a checkpoint that does not fit the network, and drops code from it.

    mmengine alone would warn, leave what does not fit at random, and go on; and on
    ``--resume`` it would run the config text stored in the checkpoint as Python. To
    start from part of another network's weights, give that part
    ``init_cfg=dict(type='Pretrained', checkpoint=...)``.

    A bare state dict is put where mmengine's other hooks look for it.
    """

    def __init__(self) -> None:
        self._path = ''

    def before_run(self, runner: Runner) -> None:
        """Find out whether the file can be loaded, and as data alone.

        Args:
            runner (Runner): About to load a checkpoint, perhaps.

        Raises:
            InputError: As of :func:`~mmagic_inik.engine.load_checkpoint_file`.
        """
        self._path = _about_to_load(runner) or ''
        if self._path and '://' not in self._path:
            load_checkpoint_file(self._path, 'cpu')

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare names and shapes with the runner's model.

        Args:
            runner (Runner): Its model is about to take the weights.
            checkpoint (dict): What was loaded; ``meta.config`` is removed from it.

        Raises:
            InputError: Names what is missing, unknown or misshapen, or that there is
                nothing to resume.
        """
        meta = checkpoint.get('meta')
        if isinstance(meta, dict):
            meta.pop('config', None)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        path = getattr(checkpoint, 'path', self._path)
        fitting_weights(model, checkpoint, path)
        if 'state_dict' not in checkpoint:
            weights = checkpoint.copy()
            checkpoint.clear()
            checkpoint['state_dict'] = weights
        if getattr(runner, '_resume', False):
            _check_state(checkpoint, path)


@HOOKS.register_module()
class RepeatableResumeHook(Hook):
    """Lets the same command line be given again after an interruption.

    ``--resume`` with ``load_from=STATE`` begins where STATE ended. mmengine would do so
    at every repetition and drop what has been trained since. With this hook a run goes
    on from the newest checkpoint in its work directory, if that began with this STATE,
    or if STATE has been kept of that same training since and is no further.
    """

    def __init__(self) -> None:
        self._began_with: str | None = None

    def before_run(self, runner: Runner) -> None:
        """Replace STATE by what has become of it in the work directory.

        Args:
            runner (Runner): About to load a checkpoint, perhaps.
        """
        state = Path(runner._load_from or '').expanduser()
        # What cannot be read, StrictCheckpointHook says.
        if not runner._load_from or not os.access(state, os.R_OK) or state.is_dir():
            return
        self._began_with = hashlib.sha256(state.read_bytes()).hexdigest()
        newest = _newest(runner)
        if not runner._resume or newest is None or Path(newest).samefile(state):
            return
        meta = _meta(newest)
        origin = meta.get('began_with')
        if origin != self._began_with and origin is not None:
            kept = _meta(str(state))
            if kept.get('began_with') == origin and kept['iter'] <= meta['iter']:
                # STATE is of this training's past.
                self._began_with = origin
        if origin == self._began_with:
            runner._load_from = None
            print_log(
                f'{newest} is what {state} has become and goes on; name another '
                '--work-dir to begin with that again',
                'current',
            )
        else:
            print_log(
                f'{newest} did not begin with {state}, with which this run begins',
                'current',
            )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remember with what a run began that is resumed without naming it."""
        meta = checkpoint.get('meta')
        if self._began_with is None and runner._resume and isinstance(meta, dict):
            self._began_with = meta.get('began_with')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note in a checkpoint with what its run began."""
        if self._began_with is not None:
            checkpoint['meta']['began_with'] = self._began_with


def _meta(path: str) -> dict:
    """``meta`` of a checkpoint; empty where it has none."""
    meta = load_checkpoint_file(path, 'cpu').get('meta')
    return meta if isinstance(meta, dict) else {}


def _newest(runner: Runner) -> str | None:
    """The checkpoint with which ``--resume`` alone goes on."""
    # Or mmengine would remark on every first start.
    if not Path(runner.work_dir, 'last_checkpoint').is_file():
        return None
    newest = find_latest_checkpoint(runner.work_dir)
    return newest if newest and Path(newest).is_file() else None


def _about_to_load(runner: Runner) -> str | None:
    if runner._load_from is not None:
        return runner._load_from
    return _newest(runner) if runner._resume else None


def _check_state(checkpoint: dict, path: str) -> None:
    """Refuse to resume from weights alone."""
    meta = checkpoint.get('meta')
    meta = meta if isinstance(meta, dict) else {}
    missing = [f'meta.{key}' for key in ('epoch', 'iter') if key not in meta]
    missing += ['message_hub'] * ('message_hub' not in checkpoint)
    if missing:
        raise InputError(
            f'checkpoint {path} has weights but no state of a training '
            f'({", ".join(missing)} missing); leave out --resume to begin with it'
        )
