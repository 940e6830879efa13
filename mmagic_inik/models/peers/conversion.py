"""Published weights of the peers, carried over to ours.

As for INIKNet's own (``models/released.py``), names differ and colours may be in
another order; reversing the colour index where it occurs makes a network of BGR images
the same network on RGB images.
"""

import codecs
import pickle
import re
from collections.abc import Container
from pathlib import Path
from typing import IO
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import InputError
from .released_forms import FORMS, ReleasedForm

# Under these, files keep the state dict; PyTorch's wrapper adds the prefix.
_KEYS = ('state_dict', 'model', 'params')
# Of PyTorch's wrapper, and of IFAN's around its networks.
_PREFIXES = ('module.', 'Network.')
# IFAN's network of training alone.
_IGNORED = 'reblurNet.'


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
        dict[str, Tensor]: Without the prefixes of wrappers, and without IFAN's
        reblurring network.
    """
    for key in _KEYS:
        if isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
            break
    for prefix in _PREFIXES:
        checkpoint = {name.removeprefix(prefix): t for name, t in checkpoint.items()}
    return {n: t for n, t in checkpoint.items() if not n.startswith(_IGNORED)}


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
    converted = {name: ours[name] for name, source in names.items() if not source}
    names = {name: source for name, source in names.items() if source}
    problems = [f'{n} is missing' for n in sorted({*names.values()} - {*released})]
    problems += [f'{n} is unknown' for n in sorted({*released} - {*names.values()})]
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
        for dim in form.colors.get(name, ()):
            tensor = tensor.unflatten(dim, (-1, 3)).flip(dim + 1).flatten(dim, dim + 1)
        converted[name] = tensor
    if problems:
        shown = problems[:20] + [f'{len(problems) - 20} more'] * (len(problems) > 20)
        raise InputError(f'no released {form.type} of this size: ' + '; '.join(shown))
    return converted


def recognise(released: Container[str]) -> str | None:
    """Which network a published state dict is of.

    Args:
        released (Container[str]): Names of its tensors, as of :func:`unwrapped`.

    Returns:
        str | None: Its name in ``FORMS``; None: none of these.
    """
    told = (
        name
        for name, form in FORMS.items()
        if form.told_by in released and form.without not in released
    )
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


def read_tensorlayer(path: Path) -> dict[str, np.ndarray]:
    """The weights of a TensorLayer file.

    Args:
        path (Path): NumPy archive; with one array per variable, or with all in a list
            ``params``, which Python 2 has pickled. Code in it is never run.

    Returns:
        dict[str, np.ndarray]: By the names of the variables, or as
        ``params/0/kernel:0`` and ``params/1/bias:0`` in the list's order.

    Raises:
        InputError: If the file is no such archive, or holds objects beside arrays.
    """
    try:
        with ZipFile(path) as archive:
            if archive.namelist() == ['params.npy']:
                with archive.open('params.npy') as file:
                    arrays = _unpickled(file)
                return {
                    f'params/{i}/{"kernel" if np.ndim(a) > 1 else "bias"}:0': a
                    for i, a in enumerate(arrays)
                }
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except (OSError, ValueError, BadZipFile, pickle.UnpicklingError) as error:
        raise InputError(
            f'{path} is no archive of arrays alone ({error}); give the published file'
        ) from error


def _unpickled(file: IO[bytes]) -> list[np.ndarray]:
    """Of an object array in NumPy's format, which arrays alone may be in."""
    version = np.lib.format.read_magic(file)
    read_header = getattr(np.lib.format, f'read_array_header_{version[0]}_0')
    *_, dtype = read_header(file)
    if not dtype.hasobject:
        raise ValueError(f'params is an array of {dtype}, not a list of arrays')
    arrays = _ArrayUnpickler(file, encoding='latin1').load()
    arrays = list(arrays)
    if not all(isinstance(a, np.ndarray) and a.dtype.kind == 'f' for a in arrays):
        raise ValueError('params holds something other than arrays of numbers')
    return arrays


class _ArrayUnpickler(pickle.Unpickler):
    """Of NumPy's arrays; refuses everything else."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ('_codecs', 'encode'):
            return codecs.encode
        if module in ('numpy', 'numpy.core.multiarray', 'numpy._core.multiarray'):
            # Moved by NumPy 2; files have either place.
            reconstruct = np.empty(0).__reduce__()[0]
            known = dict(ndarray=np.ndarray, dtype=np.dtype, _reconstruct=reconstruct)
            if name in known:
                return known[name]
        raise pickle.UnpicklingError(f'{module}.{name} is not loaded')


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
