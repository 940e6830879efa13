"""Which network a checkpoint is of, and what is known of it."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from ..checkpoints import load_checkpoint_file, load_weights
from ..errors import InputError
from ..models import Restorer
from ..models.build import build_part
from ..options import NETWORKS
from ..restoration.shipped import load_shipped, weights_of

# In place of a checkpoint: what comes with the package, first of all or by its name.
SHIPPED = 'shipped'


class Source(NamedTuple):
    """A network, and where it comes from.

    Attributes:
        restorer (Restorer): With its weights, in eval mode on the CPU.
        checkpoint (Path): File of the weights.
        config (str): Name of the config, or of the file that tells the network.
        digest (str): SHA-256 of the network's description, sorted JSON.
        card (dict): What is known besides, such as ``iterations`` and ``remarks``.
    """

    restorer: Restorer
    checkpoint: Path
    config: str
    digest: str
    card: dict


def find_source(checkpoint: str, config: str | None = None) -> Source:
    """Load a checkpoint with the description of its network.

    That is ``config``; or what a ``.safetensors`` of ours says itself; or the card
    (``.json``) or config (``.py``, the only one) that lies beside the checkpoint, as
    ``tools/train.py`` leaves it in its folder.

    Args:
        checkpoint (str): Path, or ``'shipped'``, or one of ``options.NETWORKS``.
        config (str, optional): Path, or one of MMagic's behind ``mmagic::``.

    Returns:
        Source: The network with its weights.

    Raises:
        InputError: If there is no description, or file, or they do not fit; or the
            description is a config, and MMagic is not installed.
    """
    if config is None and checkpoint in (SHIPPED, *NETWORKS):
        return _by_card(weights_of(None if checkpoint == SHIPPED else checkpoint))
    path = Path(checkpoint).expanduser()
    if config is not None:
        return _by_config(path, config)
    if path.suffix == '.safetensors':
        card = load_checkpoint_file(str(path), 'cpu').get('card')
        if card and 'generator' in card:
            restorer = Restorer(build_part(card['generator']))
            load_weights(restorer, str(path))
            return _source(restorer.eval(), path, card)
    if path.with_suffix('.json').is_file() and path.is_file():
        return _by_card(path)
    configs = sorted(path.parent.glob('*.py'))
    if path.is_file() and len(configs) == 1:
        return _by_config(path, str(configs[0]))
    if path.is_file():
        there = f'{len(configs)} configs lie' if configs else 'no config lies'
        raise InputError(f'{there} beside {path}; give its own with --config')
    names = ', '.join((SHIPPED, *NETWORKS))
    raise InputError(f'checkpoint {path} does not exist; name a file, or {names}')


def _by_card(path: Path) -> Source:
    card = json.loads(path.with_suffix('.json').read_text(encoding='utf-8'))
    if not {'generator', 'sha256', 'config'} <= card.keys():
        raise InputError(
            f'{path.with_suffix(".json")} is no card of weights, as '
            'tools/export_weights.py writes it; give a config with --config'
        )
    return _source(load_shipped(path), path, card)


def _by_config(path: Path, config: str) -> Source:
    from ..restoration import load_restorer

    restorer = load_restorer(config, str(path))
    from ..benchmark.contenders import load_config

    generator = load_config(config).model.generator.to_dict()
    iterations = (load_checkpoint_file(str(path), 'cpu').get('meta') or {}).get('iter')
    card = dict(config=Path(config).stem, generator=generator, iterations=iterations)
    return _source(restorer, path, card)


def _source(restorer: Restorer, path: Path, card: dict) -> Source:
    text = json.dumps(card['generator'], sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Source(restorer, path, card['config'], digest, card)
