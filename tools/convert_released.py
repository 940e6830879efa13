"""Turn the authors' INIKNet checkpoint into one for `tools/test.py`.

`tools/convert_released.py SRC.pth DST.pth`: names and shapes are checked against the
network of the config; released weights expect BGR images, the result RGB.
"""

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
from mmagic_inik.models.released import convert_released

CONFIG = Path(__file__).resolve().parent.parent / 'configs' / 'iniknet_dpdd.py'


def convert(source: str, destination: Path, config: Path, force: bool) -> None:
    """Write ``destination``, whole or not at all.

    Raises:
        InputError: If a file cannot be used; nothing is written then.
    """
    if destination.exists() and not force:
        raise InputError(f'{destination} exists; give --force to overwrite it')
    if not destination.parent.is_dir():
        raise InputError(f'{destination.parent} is not a folder; create it first')
    released = load_checkpoint_file(source, map_location='cpu')
    init_default_scope('mmagic')
    network = MODELS.build(Config.fromfile(config).model.generator)
    try:
        weights = convert_released(dict(released), network)
    except InputError as error:
        raise InputError(f'{source} is {error}') from error
    state = {f'generator.{name}': tensor for name, tensor in weights.items()}
    part = destination.with_name(destination.name + '.part')
    torch.save({'state_dict': state}, part)
    os.replace(part, destination)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', help='released checkpoint, a plain state dict')
    parser.add_argument('destination', type=Path, help='checkpoint to write')
    parser.add_argument('--config', type=Path, default=CONFIG)
    parser.add_argument('--force', action='store_true', help='overwrite DESTINATION')
    args = parser.parse_args()
    try:
        convert(args.source, args.destination, args.config, args.force)
    except InputError as error:
        sys.exit(f'convert_released: {error}')
    print(f'{args.destination} is for tools/test.py {args.config} {args.destination}')


if __name__ == '__main__':
    main()
