"""Turn a published checkpoint into one for `tools/test.py`.

`tools/convert_released.py SRC.pth DST.pth`: of INIKNet or one of the systems of its
Table 1, told by the names in it. Names and shapes are checked against the network of
the config; where released weights expect BGR images, the result expects RGB.
"""

import mmagic_inik.full_setup  # noqa: F401

import argparse
import os
import sys
from pathlib import Path

import torch
from mmagic.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmagic_inik.engine import load_checkpoint_file
from mmagic_inik.errors import InputError
from mmagic_inik.models.peers.conversion import (
    convert_peer,
    read_keras,
    read_tensorlayer,
    recognise,
    unwrapped,
)
from mmagic_inik.models.peers.released_forms import FORMS
from mmagic_inik.models.released import convert_released

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'
INIKNET = 'INIKNet'
# What all tensors of its atoms are called.
OF_ATOMS = 'inr_conv.kernelINR_list.'
KERAS = ('.h5', '.hdf5')


def read(source: str) -> tuple[str, dict]:
    """A published checkpoint's network and tensors.

    Raises:
        InputError: If the file cannot be used, or is of no network known here.
    """
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


def convert(
    source: str, destination: Path, config: Path | None, force: bool
) -> tuple[str, Path]:
    """Write ``destination``, whole or not at all.

    Returns:
        tuple[str, Path]: The network's name, and the config that the result is for.

    Raises:
        InputError: If a file cannot be used; nothing is written then.
    """
    if destination.exists() and not force:
        raise InputError(f'{destination} exists; give --force to overwrite it')
    if not destination.parent.is_dir():
        raise InputError(f'{destination.parent} is not a folder; create it first')
    name, released = read(source)
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


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', help='published checkpoint')
    parser.add_argument('destination', type=Path, help='checkpoint to write')
    parser.add_argument(
        '--config', type=Path, help='default: the one of the network in the checkpoint'
    )
    parser.add_argument('--force', action='store_true', help='overwrite DESTINATION')
    args = parser.parse_args()
    try:
        name, config = convert(args.source, args.destination, args.config, args.force)
    except InputError as error:
        sys.exit(f'convert_released: {error}')
    print(
        f'{args.source} is {name}; {args.destination} is for tools/test.py {config} '
        f'{args.destination}'
    )


if __name__ == '__main__':
    main()
