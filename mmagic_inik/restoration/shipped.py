"""The weights that come with the package: what README.md in their folder tells of."""

import hashlib
import json
from pathlib import Path

from ..checkpoints import load_weights
from ..errors import InputError
from ..models import Restorer
from ..models.build import build_part
from ..options import NETWORKS

FOLDER = Path(__file__).resolve().parents[1] / 'weights'


def weights_of(network: str | None = None) -> Path:
    """The file of a network that comes with the package.

    Args:
        network (str, optional): Of ``options.NETWORKS``. Default: None, the first.

    Returns:
        Path: Its ``.pth``.

    Raises:
        InputError: If there is none of the name.
    """
    network = network or NETWORKS[0]
    if network not in NETWORKS:
        raise InputError(
            f'no network {network} comes with the package; give one of '
            f'{", ".join(NETWORKS)}'
        )
    return FOLDER / f'iniknet_{network}_synthetic.pth'


WEIGHTS = weights_of()


def load_shipped(weights: Path = WEIGHTS) -> Restorer:
    """Build the shipped network, in eval mode on the CPU.

    Args:
        weights (Path): Written by ``tools/export_weights.py``, ``.pth`` or
            ``.safetensors``, its card beside it. Default: what comes with the package.

    Returns:
        Restorer: In float32.

    Raises:
        InputError: If a file is missing, or the weights are not those of the card.
    """
    card = read_card(weights)
    known = weights.is_file() and hashlib.sha256(weights.read_bytes()).hexdigest()
    safe = weights.suffix == '.safetensors'
    if not known or known != card.get('safetensors_sha256' if safe else 'sha256'):
        raise InputError(
            f'{weights} is missing or not the file that its card {weights.stem}.json '
            'describes; install mmagic_inik anew, or give a config and a checkpoint of '
            'your own'
        )
    restorer = Restorer(build_part(card['generator']))
    load_weights(restorer, str(weights))
    return restorer.eval()


def describe_shipped(weights: Path = WEIGHTS) -> str:
    """Which weights they are and how they were trained, in a sentence.

    Args:
        weights (Path): As in :func:`load_shipped`.

    Returns:
        str: Without a full stop.

    Raises:
        InputError: If there is no card.
    """
    card = read_card(weights)
    return (
        f'{card["config"]}, trained for {card["iterations"]} iterations on '
        f'{card["remarks"]["data"]}'
    )


def read_card(weights: Path) -> dict:
    """What ``tools/export_weights.py`` wrote down about weights.

    Args:
        weights (Path): The weights' file.

    Returns:
        dict: ``config``, ``iterations``, ``sha256``, ``remarks``, ``generator``.

    Raises:
        InputError: If there is no card.
    """
    path = weights.with_suffix('.json')
    if not path.is_file():
        raise InputError(
            f'{path} is missing; install mmagic_inik anew, or give a config and a '
            'checkpoint of your own'
        )
    return json.loads(path.read_text(encoding='utf-8'))
