"""Lets checkpoints of trainings be loaded as data.

Importing this module lets ``torch.load(weights_only=True)`` accept what mmengine writes
beside the weights. mmengine's own loader stays as it is.
"""

from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from ..checkpoints import (
    Checkpoint,
    fitting_weights,
    load_as_data,
    load_checkpoint_file,
    load_weights,
)

__all__ = [
    'Checkpoint',
    'fitting_weights',
    'load_as_data',
    'load_checkpoint_file',
    'load_weights',
]


def _statistics_method(owner: type, name: str) -> Callable:
    """Stand-in for the ``getattr`` by which a HistoryBuffer names its statistics."""
    if owner is not HistoryBuffer or name not in ('current', 'max', 'mean', 'min'):
        raise UnpicklingError(f'unsupported GLOBAL getattr of {owner}, {name!r}')
    return getattr(HistoryBuffer, name)


def _no_bytes() -> bytes:
    """Stand-in for ``bytes()``, of which an empty array is made."""
    return b''


# By which NumPy makes an array, and a number, of what was stored.
_REBUILDERS: tuple[Any, ...] = (
    np.empty(0).__reduce__()[0],
    np.float64().__reduce__()[0],
)

# Found with torch.serialization.get_unsafe_globals_in_checkpoint on checkpoints of
# training runs: logged losses and times, in buffers of numpy numbers.
torch.serialization.add_safe_globals(
    [
        HistoryBuffer,
        (_statistics_method, 'builtins.getattr'),
        (_no_bytes, 'builtins.bytes'),
        np.ndarray,
        np.dtype,
        # Numbers, truth values, texts and times; neither objects (O) nor records (V).
        *{type(np.dtype(code)) for code in np.typecodes['All'] if code not in 'OV'},
        # NumPy 2 moved these two; checkpoints travel between versions.
        *(
            (function, f'numpy.{core}.multiarray.{function.__name__}')
            for core in ('core', '_core')
            for function in _REBUILDERS
        ),
    ]
)
