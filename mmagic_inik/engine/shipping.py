"""What is shipped of a training: weights in float16, and a card that tells of them."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from mmagic.registry import MODELS
from mmengine.config import Config

from ..errors import InputError
from ..restoration.encoding import write_whole
from ..safe_weights import safetensors_of
from .checkpoints import Checkpoint, fitting_weights, load_checkpoint_file


def export_weights(
    checkpoint: str, destination: Path, config: Path, remarks: dict[str, str]
) -> dict[str, Any]:
    """Write weights and card; neither is left half written.

    Args:
        checkpoint (str): Of a training with ``config``.
        destination (Path): File of the weights, ``.pth``; the card is ``.json``.
        config (Path): Text config.
        remarks (dict[str, str]): What else the card is to say.

    Returns:
        dict[str, Any]: The card: ``config``, ``iterations``, ``sha256``,
        ``safetensors_sha256``, ``remarks``, and ``generator``, from which the network
        is built without the config.

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
