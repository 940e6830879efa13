"""Make of a training's checkpoint what is shipped: weights in float16, and a card.

`tools/export_weights.py CHECKPOINT OUT.pth --config CONFIG --remark commit=1234abc`
writes the weights alone, which are the averaged ones where the config averages, the
same as OUT.safetensors, and OUT.json with the network, the number of iterations, the
remarks and the files' hashes. With CONFIG, OUT.pth is a checkpoint to mmengine, MMagic
and every tool here.
"""

import mmagic_inik.full_setup  # noqa: F401

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path

import torch
from mmagic.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmagic_inik.engine import load_checkpoint_file
from mmagic_inik.engine.checkpoints import Checkpoint, fitting_weights
from mmagic_inik.errors import InputError
from mmagic_inik.restoration.encoding import write_whole
from mmagic_inik.safe_weights import safetensors_of


def export(
    checkpoint: str, destination: Path, config: Path, remarks: dict[str, str]
) -> dict:
    """Write weights and card; neither is left half written.

    Args:
        checkpoint (str): Of a training with ``config``.
        destination (Path): File of the weights, ``.pth``; the card is ``.json``.
        config (Path): Text config.
        remarks (dict[str, str]): What else the card is to say.

    Returns:
        dict: The card: ``config``, ``iterations``, ``sha256``, ``safetensors_sha256``,
        ``remarks``, and ``generator``, from which the network is built without the
        config.

    Raises:
        InputError: If a file cannot be used, or float16 cannot hold a weight.
    """
    if destination.suffix != '.pth':
        raise InputError(f'{destination} does not end in .pth; name it so')
    card_file = destination.with_suffix('.json')
    safe_file = destination.with_suffix('.safetensors')
    for path in (destination, safe_file, card_file):
        if path.exists():
            raise InputError(f'{path} exists; remove it, or name another file')
    if not destination.parent.is_dir():
        raise InputError(f'{destination.parent} is not a folder; create it first')
    if not config.is_file():
        raise InputError(f'config {config} does not exist')
    generator = Config.fromfile(config).model.generator.to_dict()
    loaded = load_checkpoint_file(checkpoint, map_location='cpu')
    state = _weights_of(loaded, generator)
    iterations = (loaded.get('meta') or {}).get('iter')
    part = destination.with_name(destination.name + '.part')
    # Hooks of mmengine look for the weights under this name.
    torch.save(dict(meta=dict(iter=iterations), state_dict=state), part)
    known = dict(
        config=config.stem, iterations=iterations, remarks=remarks, generator=generator
    )
    safe = safetensors_of(state, known, 'float16')
    card = dict(
        config=config.stem,
        iterations=iterations,
        sha256=hashlib.sha256(part.read_bytes()).hexdigest(),
        safetensors_sha256=hashlib.sha256(safe).hexdigest(),
        remarks=remarks,
        generator=generator,
    )
    write_whole(safe_file, safe)
    write_whole(card_file, (json.dumps(card, indent=2) + '\n').encode())
    os.replace(part, destination)
    return card


def _weights_of(loaded: Checkpoint, generator: dict) -> dict[str, torch.Tensor]:
    """The generator's weights in float16, all of them, under the restorer's names."""
    network = torch.nn.ModuleDict(dict(generator=MODELS.build(generator)))
    state = loaded.get('state_dict', loaded)
    if isinstance(state, dict):
        # A loss may have weights, too.
        state = {k: w for k, w in state.items() if str(k).startswith('generator.')}
    weights = fitting_weights(network, dict(state_dict=state), loaded.path)
    for key, tensor in weights.items():
        weights[key] = tensor.half()
        if not weights[key].isfinite().all():
            raise InputError(
                f'{loaded.path} has a weight {key} that float16 cannot hold'
            )
    return weights


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoint', help='of a training')
    parser.add_argument('destination', type=Path, help='file to write, .pth')
    parser.add_argument('--config', type=Path, required=True)
    parser.add_argument(
        '--remark',
        action='append',
        default=[],
        metavar='KEY=TEXT',
        help='for the card: commit, seed, data, hardware; may be repeated',
    )
    args = parser.parse_args()
    init_default_scope('mmagic')
    try:
        for remark in args.remark:
            if '=' not in remark:
                raise InputError(f'--remark {remark} has no =; give KEY=TEXT')
        remarks = dict(remark.split('=', 1) for remark in args.remark)
        card = export(args.checkpoint, args.destination, args.config, remarks)
    except InputError as error:
        sys.exit(f'export_weights: {error}')
    size = args.destination.stat().st_size / 1e6
    print(f'{args.destination}: {size:.2f} MB, sha256 {card["sha256"]}')


if __name__ == '__main__':
    main()
