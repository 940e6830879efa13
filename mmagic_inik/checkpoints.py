"""Checkpoints are loaded as data, never as code, and only into the network they fit.

Torch is all that this needs; ``mmagic_inik.engine`` adds what mmengine writes beside
the weights of a training.
"""

import errno
import re
from pathlib import Path

import torch
from torch import Tensor, nn

from .errors import InputError
from .safe_weights import load_safetensors


class Checkpoint(dict):
    """A loaded checkpoint that knows its file.

    Attributes:
        path (str): Where it came from.
    """

    def __init__(self, content: dict, path: str) -> None:
        super().__init__(content)
        self.path = path
        # Versions of layers, which PyTorch keeps as an attribute of a state dict.
        if hasattr(content, '_metadata'):
            self._metadata = content._metadata


def load_checkpoint_file(filename: str, map_location: str | None = None) -> Checkpoint:
    """Load a local checkpoint; code in it is never run.

    Args:
        filename (str): Path, ``~`` allowed.
        map_location (str, optional): As in ``torch.load``.

    Returns:
        Checkpoint: What the file holds.

    Raises:
        InputError: If the file is absent, no checkpoint of weights, cut off, or cannot
            be loaded; says why.
    """
    content, path = load_as_data(filename, map_location), Path(filename).expanduser()
    if not isinstance(content, dict):
        raise InputError(
            f'checkpoint {path} holds a {type(content).__name__}, not a dict of weights'
        )
    return Checkpoint(content, str(path))


def load_as_data(filename: str, map_location: str | None = None) -> object:
    """``torch.load(weights_only=True)``, with a sentence where it fails.

    A ``.safetensors`` is read as :func:`~.safe_weights.load_safetensors` does.

    Args:
        filename (str): Path, ``~`` allowed.
        map_location (str, optional): As in ``torch.load``.

    Returns:
        object: What the file holds, whatever that is.

    Raises:
        InputError: As of :func:`load_checkpoint_file`.
    """
    path = Path(filename).expanduser()
    try:
        if not path.is_file():
            state = 'is a folder' if path.is_dir() else 'does not exist'
            raise InputError(f'checkpoint {path} {state}; name a file')
        if path.suffix == '.safetensors':
            return load_safetensors(path, map_location)
        return torch.load(path, map_location=map_location, weights_only=True)
    except InputError:
        raise
    except Exception as error:  # pickle, zip and torch raise all kinds
        raise InputError(
            f'checkpoint {path} {_failure(error, map_location)}'
        ) from error


def fitting_weights(model: nn.Module, checkpoint: dict, path: str = '') -> dict:
    """A checkpoint's weights, if they are all that a network has, and no more.

    Args:
        model (nn.Module): For which they are.
        checkpoint (dict): What was loaded: a state dict, or ``state_dict`` in it.
        path (str): Where it came from. Default: '', what the checkpoint knows of it.

    Returns:
        dict: Tensors by the network's names.

    Raises:
        InputError: Names what is missing, unknown, misshapen or no weight.
    """
    name_of_file = f'checkpoint {path or getattr(checkpoint, "path", "")}'.rstrip()
    weights = checkpoint.get('state_dict', checkpoint)
    if not isinstance(weights, dict):
        raise InputError(
            f'{name_of_file} has a state_dict that is a {type(weights).__name__}; a '
            'dict of weights is needed'
        )
    nameless = [key for key in weights if not isinstance(key, str)]
    if nameless:
        raise InputError(
            f'{name_of_file} has weights under {nameless[0]!r}, which is no name; a '
            'state_dict of a network is needed'
        )
    weights = {name.removeprefix('module.'): w for name, w in weights.items()}
    problems = sorted(_misfits(model.state_dict(), weights))
    if problems:
        more = len(problems) - 6
        raise InputError(
            f'{name_of_file} is of another network: '
            + '; '.join(problems[:6] + [f'and {more} more'] * (more > 0))
            + '; give the config it was trained with'
        )
    return weights


def load_weights(model: nn.Module, filename: str) -> Checkpoint:
    """Load a checkpoint into the network that it fits.

    Args:
        model (nn.Module): Gets the weights, in its own types.
        filename (str): As of :func:`load_checkpoint_file`.

    Returns:
        Checkpoint: All that the file holds, on the CPU.

    Raises:
        InputError: As of :func:`load_checkpoint_file` and :func:`fitting_weights`.
    """
    checkpoint = load_checkpoint_file(filename, 'cpu')
    model.load_state_dict(fitting_weights(model, checkpoint))
    return checkpoint


def _misfits(wanted: dict[str, Tensor], weights: dict) -> list[str]:
    """What is wrong with weights, a phrase for each."""
    problems = [f'{name} is missing' for name in wanted.keys() - weights.keys()]
    problems += [f'{name} is unknown' for name in weights.keys() - wanted.keys()]
    for name in wanted.keys() & weights.keys():
        mine, theirs = wanted[name], weights[name]
        if not isinstance(theirs, Tensor):
            problems.append(f'{name} is a {type(theirs).__name__}, not a tensor')
        elif theirs.shape != mine.shape:
            shapes = f'{tuple(theirs.shape)}, not {tuple(mine.shape)}'
            problems.append(f'{name} has shape {shapes}')
        elif theirs.is_floating_point() != mine.is_floating_point():
            problems.append(f'{name} is of {theirs.dtype}, not {mine.dtype}')
    return problems


def _failure(error: Exception, map_location: object) -> str:
    """Why a file was not loaded, and the cure: the end of a sentence."""
    text = str(error)
    line = (text.splitlines() or [''])[0].split('. ')[0][:200]
    if 'Only one of `TORCH_FORCE' in text:
        return (
            'is not loaded: the environment forces weights_only on and off; unset '
            'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD, which is not needed for it'
        )
    # PyTorch seeks before the beginning of a file that was cut off.
    if isinstance(error, OSError) and error.errno != errno.EINVAL:
        return f'cannot be read ({error.strerror or error}); see its permissions'
    if isinstance(error, MemoryError) or re.search(
        r"can't allocate|not enough memory|out of memory", text
    ):
        return f'does not fit the memory ({line or "MemoryError"}); free some'
    if re.search(
        'deserialize object on|restore data location|device not recognized', text
    ):
        asked = '' if map_location is None else f' with map_location={map_location!r}'
        return (
            f"cannot be loaded{asked} on this machine ({line}); give map_location='cpu'"
        )
    foreign = re.search(
        r"[Uu]nsupported (?:global: )?GLOBAL (\S+)|<class '(\S+)'>", text
    )
    if foreign:
        held = foreign[1] or foreign[2]
        reason = f'it holds {held}, and code or objects are not loaded'
    else:
        said = re.search(r'WeightsUnpickler error: *(.+)', text)
        detail = said[1][:200].strip() if said else line
        detail = ': '.join(filter(None, (type(error).__name__, detail)))
        reason = f'it is damaged or no checkpoint ({detail})'
    return f'is refused: {reason}; a checkpoint of tensors and plain data is needed'
