"""Checkpoints are loaded as data, never as code, and only into the network they fit.

Importing this module lets ``torch.load(weights_only=True)`` accept what mmengine writes
beside the weights, and makes mmengine load local files through
:func:`load_checkpoint_file`.
"""

import re
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from mmagic.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.model import is_model_wrapper
from mmengine.runner import CheckpointLoader, Runner

from ..errors import InputError


def _statistics_method(owner: type, name: str) -> Callable:
    """Stand-in for the ``getattr`` by which a HistoryBuffer names its statistics."""
    if owner is not HistoryBuffer or name not in ('current', 'max', 'mean', 'min'):
        raise UnpicklingError(f'unsupported GLOBAL getattr of {owner}, {name!r}')
    return getattr(HistoryBuffer, name)


# Found with torch.serialization.get_unsafe_globals_in_checkpoint on checkpoints of
# training runs: logged losses and times, in buffers of numpy numbers.
torch.serialization.add_safe_globals(
    [
        HistoryBuffer,
        (_statistics_method, 'builtins.getattr'),
        np.ndarray,
        np.dtype,
        *(type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64)),
        # NumPy 2 moved these two; checkpoints travel between versions.
        *(
            (function, f'numpy.{core}.multiarray.{function.__name__}')
            for core in ('core', '_core')
            for function in (np.empty(0).__reduce__()[0], np.float64().__reduce__()[0])
        ),
    ]
)


class Checkpoint(dict):
    """A loaded checkpoint that knows its file.

    Attributes:
        path (str): Where it came from.
    """

    def __init__(self, content: dict, path: str) -> None:
        super().__init__(content)
        self.path = path


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_checkpoint_file(filename: str, map_location: str | None = None) -> Checkpoint:
    """Load a local checkpoint; code in it is never run.

    Args:
        filename (str): Path, ``~`` allowed.
        map_location (str, optional): As in ``torch.load``.

    Returns:
        Checkpoint: What the file holds.

    Raises:
        InputError: If the file is absent, no checkpoint, cut off, or holds objects
            other than data.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise InputError(f'checkpoint {path} does not exist')
    try:
        content = torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # pickle, zip and torch raise all kinds
        foreign = re.search(r'[Uu]nsupported (?:global: )?GLOBAL (\S+)', str(error))
        reason = (
            f'it holds {foreign[1]}, and code or objects are not loaded'
            if foreign
            else 'it is damaged or no checkpoint'
        )
        raise InputError(
            f'checkpoint {path} is refused: {reason}; a checkpoint of tensors and '
            'plain data is needed'
        ) from error
    if not isinstance(content, dict):
        raise InputError(
            f'checkpoint {path} holds a {type(content).__name__}, not a dict of weights'
        )
    return Checkpoint(content, str(path))


@HOOKS.register_module()
class StrictCheckpointHook(Hook):
    """Refuses a checkpoint that does not fit the network, and drops code from it.

    mmengine alone would warn, leave what does not fit at random, and go on; and on
    ``--resume`` it would run the config text stored in the checkpoint as Python. To
    start from part of another network's weights, give that part
    ``init_cfg=dict(type='Pretrained', checkpoint=...)``.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare names and shapes with the runner's model.

        Args:
            runner (Runner): Its model is about to take the weights.
            checkpoint (dict): What was loaded; ``meta.config`` is removed from it.

        Raises:
            InputError: Names what is missing, unknown or misshapen.
        """
        checkpoint.get('meta', {}).pop('config', None)
        weights = checkpoint.get('state_dict', checkpoint)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        wanted = model.state_dict()
        weights = {name.removeprefix('module.'): w for name, w in weights.items()}
        problems = [f'{name} is missing' for name in wanted.keys() - weights.keys()]
        problems += [f'{name} is unknown' for name in weights.keys() - wanted.keys()]
        problems += [
            f'{name} has shape {tuple(weights[name].shape)}, not {tuple(tensor.shape)}'
            for name, tensor in wanted.items()
            if name in weights and weights[name].shape != tensor.shape
        ]
        if problems:
            shown = sorted(problems)[:6]
            more = len(problems) - len(shown)
            raise InputError(
                f'checkpoint {getattr(checkpoint, "path", "")} is of another network: '
                + '; '.join(shown + [f'and {more} more'] * bool(more))
                + '; give the config it was trained with'
            )
