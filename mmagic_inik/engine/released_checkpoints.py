"""Published checkpoints, told by their names and turned into MMagic's."""

import os
from pathlib import Path
from typing import Any

import torch
from mmagic.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..command import CONFIGS
from ..errors import InputError
from ..models.peers.conversion import (
    convert_peer,
    read_keras,
    read_tensorlayer,
    recognise,
    unwrapped,
)
from ..models.peers.released_forms import FORMS
from ..models.released import convert_released
from .checkpoints import load_checkpoint_file

INIKNET = 'INIKNet'
# What all tensors of its atoms are called.
OF_ATOMS = 'inr_conv.kernelINR_list.'
KERAS = ('.h5', '.hdf5')


def read_released(source: str) -> tuple[str, dict[str, Any]]:
    """A published checkpoint's network and tensors.

    Args:
        source (str): File, of PyTorch, Keras or TensorLayer.

    Returns:
        tuple[str, dict[str, Any]]: The network's name in the paper, and tensors by name
        as published.

    Raises:
        InputError: If the file cannot be used, or is of no network known here.
    """
    released: dict[str, Any]
    if Path(source).suffix in KERAS:
        released = read_keras(Path(source))
    elif Path(source).suffix == '.npz':
        released = read_tensorlayer(Path(source))
    else:
        released = unwrapped(dict(load_checkpoint_file(source, map_location='cpu')))
    name = recognise(released)
    if name is None and any(key.startswith(OF_ATOMS) for key in released):
        name = INIKNET
    if name is None:
        raise InputError(
            f'{source} is of no network known here, by the names of its tensors; give '
            f'a published checkpoint of {INIKNET}, {", ".join(FORMS)}'
        )
    return name, released


def convert_checkpoint(
    source: str, destination: Path, config: Path | None = None, force: bool = False
) -> tuple[str, Path]:
    """Turn a published checkpoint into one for MMagic's tools.

    Args:
        source (str): As of :func:`read_released`.
        destination (Path): File; written whole or not at all.
        config (Path, optional): Whose network is meant. Default: None, the one of the
            network in the checkpoint.
        force (bool): Whether ``destination`` may exist. Default: False.

    Returns:
        tuple[str, Path]: The network's name, and the config that the result is for.

    Raises:
        InputError: If a file cannot be used; nothing is written then.
    """
    if destination.exists() and not force:
        raise InputError(f'{destination} exists; give --force to overwrite it')
    if not destination.parent.is_dir():
        raise InputError(f'{destination.parent} is not a folder; create it first')
    name, released = read_released(source)
    if config is None:
        ours = 'iniknet_dpdd' if name == INIKNET else f'peers/{FORMS[name].config}'
        config = CONFIGS / f'{ours}.py'
    init_default_scope('mmagic')
    generator = Config.fromfile(config).model.generator
    wanted = INIKNET if name == INIKNET else FORMS[name].type
    if generator.type != wanted:
        raise InputError(
            f'{source} is of {name}, but {config} builds {generator.type}; leave out '
            '--config, or give one of that network'
        )
    network = MODELS.build(generator)
    try:
        if name == INIKNET:
            weights = convert_released(released, network)
        else:
            weights = convert_peer(released, network, FORMS[name])
    except InputError as error:
        raise InputError(f'{source} is {error}') from error
    state = {f'generator.{name}': tensor for name, tensor in weights.items()}
    part = destination.with_name(destination.name + '.part')
    torch.save({'state_dict': state}, part)
    os.replace(part, destination)
    return name, config
