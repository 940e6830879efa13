"""Published weights of the peers, carried over to ours.

As for INIKNet's own (``models/released.py``), names differ and colours may be in
another order; reversing the colour index where it occurs makes a network of BGR images
the same network on RGB images.
"""

import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import InputError
from .released_forms import FORMS, ReleasedForm

# Under these, files keep the state dict; PyTorch's wrapper adds the prefix.
_KEYS = ('state_dict', 'model', 'params')
_PREFIX = 'module.'


def released_name(name: str, form: ReleasedForm) -> str:
    """The published name of one of our tensors.

    Args:
        name (str): In the state dict of our network.
        form (ReleasedForm): Of the network.

    Returns:
        str: As the checkpoint has it.
    """
    for pattern, replacement in form.names:
        name = re.sub(pattern, replacement, name)
    return name


def unwrapped(checkpoint: dict) -> dict[str, Tensor]:
    """The state dict of a checkpoint.

    Args:
        checkpoint (dict): The file's content.

    Returns:
        dict[str, Tensor]: Without the prefix of PyTorch's wrapper.
    """
    for key in _KEYS:
        if isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
            break
    return {name.removeprefix(_PREFIX): tensor for name, tensor in checkpoint.items()}


def convert_peer(
    released: dict[str, Tensor], network: nn.Module, form: ReleasedForm
) -> dict[str, Tensor]:
    """Turn a published state dict into one of ``network`` for RGB images.

    Args:
        released (dict[str, Tensor]): As of :func:`unwrapped`.
        network (nn.Module): Gives names and shapes; it is not changed.
        form (ReleasedForm): Of the network.

    Returns:
        dict[str, Tensor]: Loads strictly into ``network``.

    Raises:
        InputError: Names every missing, unknown or misshapen tensor.
    """
    ours = network.state_dict()
    names = {name: released_name(name, form) for name in ours}
    problems = [f'{n} is missing' for n in sorted({*names.values()} - {*released})]
    problems += [f'{n} is unknown' for n in sorted({*released} - {*names.values()})]
    converted = {}
    for name, source in names.items():
        if source not in released:
            continue
        tensor, like = torch.as_tensor(released[source]), ours[name]
        if source.endswith('/kernel:0'):
            # TensorFlow's (height, width, in, out).
            tensor = tensor.permute(3, 2, 0, 1)
        if not _merges(tensor.shape, like.shape):
            problems.append(
                f'{source} has shape {tuple(tensor.shape)}, which cannot become '
                f'{tuple(like.shape)}'
            )
            continue
        tensor = tensor.reshape(like.shape).to(like.dtype)
        converted[name] = tensor.flip(form.colors.get(name, ()))
    if problems:
        shown = problems[:20] + [f'{len(problems) - 20} more'] * (len(problems) > 20)
        raise InputError(f'no released {form.type} of this size: ' + '; '.join(shown))
    return converted


def recognise(released: dict[str, Tensor]) -> str | None:
    """Which network a published state dict is of.

    Args:
        released (dict[str, Tensor]): As of :func:`unwrapped`.

    Returns:
        str | None: Its name in ``FORMS``; None: none of these.
    """
    told = (name for name, form in FORMS.items() if form.told_by in released)
    return next(told, None)


def read_keras(path: Path) -> dict[str, np.ndarray]:
    """The weights of a whole Keras model.

    Args:
        path (Path): HDF5 file with the group ``model_weights``.

    Returns:
        dict[str, np.ndarray]: By names like ``conv2d_1/conv2d_1/kernel:0``.

    Raises:
        InputError: If ``h5py`` is not installed, or the file is no such model.
    """
    try:
        import h5py
    except ImportError as error:
        raise InputError(
            f'{path} is a Keras file, which h5py reads; `pip install h5py` first'
        ) from error
    found = {}

    def keep(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item)

    try:
        with h5py.File(path, 'r') as file:
            file['model_weights'].visititems(keep)
    except (OSError, KeyError) as error:
        raise InputError(
            f'{path} is no Keras model ({error}); give the published file'
        ) from error
    return found


def _merges(theirs: torch.Size, ours: torch.Size) -> bool:
    """Whether theirs are ours with neighbouring dimensions made one; ones are free."""
    left = [side for side in ours if side > 1]
    for side in theirs:
        product = 1
        while product < side and left:
            product *= left.pop(0)
        if product != side:
            return False
    return not left
