"""Networks of a benchmark: INIKNet's, MMagic's own, and doing nothing."""

import copy
import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from mmagic.apis import init_model
from mmagic.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config
from mmengine.model import BaseModel
from torch import nn

from ..engine import load_weights
from ..errors import InputError
from ..launch import find_modules_of
from ..models.restorer import MultiScaleRestorer
from .tables import UNTOUCHED

# Networks of MMagic that fail on other sides and do not pad by themselves.
SIDES_IN_MULTIPLES = {'Restormer': 8}


class Contender(NamedTuple):
    """A network ready to run, on the CPU.

    Attributes:
        name (str): As the user calls it.
        module (BaseModel): MMagic model in eval mode; wants its inputs as one tensor.
        identity (str): Its configuration and the hash of its weights.
        remark (str): What a table must say of it.
    """

    name: str
    module: BaseModel
    identity: str
    remark: str


def build_contender(
    name: str, config: str | Config, checkpoint: str, clip: bool
) -> Contender:
    """Build a network and load its weights, all of them.

    A network that is not ours gets the order of colours that its own test pipeline
    gives it, and sides it can take, by MMagic's data preprocessor.

    Args:
        name (str): As the user calls it.
        config (str | Config): As for :func:`load_config`.
        checkpoint (str): Path.
        clip (bool): Whether predictions may be clipped; if not, our models are told.

    Returns:
        Contender: With the weights of ``checkpoint``.

    Raises:
        InputError: If config or checkpoint is missing, or they do not fit.
    """
    loaded = load_config(config)
    network = loaded.model
    ours = issubclass(MODELS.get(network.type), MultiScaleRestorer)
    preprocessor = network.data_preprocessor
    if preprocessor.get('output_channel_order') is None:
        preprocessor.output_channel_order = channel_order(loaded)
    divisor = SIDES_IN_MULTIPLES.get(network.generator.type)
    if divisor and not ours:
        preprocessor.update(pad_size_divisor=divisor, pad_mode='reflect')
    if ours and not clip:
        network.test_cfg = ConfigDict(network.get('test_cfg') or {}, clip=False)
    # Before it is built, which takes things out of it; a loss changes no score.
    scored = {key: part for key, part in network.to_dict().items() if key != 'loss'}
    text = json.dumps(scored, sort_keys=True, default=str)
    module = init_model(loaded, None, 'cpu')
    digest = _load_weights(module, checkpoint)
    divisor = module.size_divisor if ours else divisor
    sides = f', sides reflected to multiples of {divisor} and cropped back'
    remark = (
        f'{name}: {_name_of(config)} with {Path(checkpoint).name} (sha256 '
        f'{digest[:12]}), gets {preprocessor.output_channel_order}'
        + (sides if divisor else '')
    )
    return Contender(name, module, text + digest, remark)


def untouched_input() -> Contender:
    """The input as a contender among others.

    Returns:
        Contender: Predicts what it is given.
    """
    module = MODELS.build(
        dict(
            type='MultiScaleRestorer',
            generator=nn.Identity(),
            loss=nn.Identity(),
            size_divisor=1,
            min_size=1,
            test_cfg=dict(clip=False),
            data_preprocessor=dict(
                type='DataPreprocessor',
                mean=[0.0],
                std=[255.0],
                output_channel_order='RGB',
            ),
        )
    )
    return Contender(UNTOUCHED, module.eval(), 'input', '')


def load_config(given: str | Config) -> Config:
    """Read a config of a restoring model.

    Args:
        given (str | Config): Path, or one of MMagic's configs behind ``mmagic::``; or
            what was read of one, which stays as it is.

    Returns:
        Config: With ``model.generator`` and ``model.data_preprocessor``.

    Raises:
        InputError: If there is none.
    """
    name = _name_of(given)
    installed = name.startswith('mmagic::')
    try:
        if isinstance(given, Config):
            find_modules_of(given.filename)
            config = copy.deepcopy(given)
        elif installed:
            config = get_config(name)
        else:
            find_modules_of(name)
            config = Config.fromfile(name)
    except FileNotFoundError as error:
        raise InputError(f'config {name} does not exist') from error
    model = config.get('model') or {}
    if not {'type', 'generator', 'data_preprocessor'} <= model.keys():
        raise InputError(
            f'config {name} has no model with generator and data_preprocessor; give '
            'one of a restoring network'
        )
    return config


def _name_of(config: str | Config) -> str:
    if isinstance(config, Config):
        return config.filename or 'without a file'
    return config


def channel_order(config: Config) -> str:
    """In which order a config's own test pipeline hands colours to the network.

    Args:
        config (Config): Of one of MMagic's models.

    Returns:
        str: ``'RGB'`` or ``'BGR'``.

    Raises:
        InputError: If the config does not tell.
    """
    for name in ('test_dataloader', 'val_dataloader'):
        loaders = config.get(name) or []
        for loader in loaders if isinstance(loaders, list) else [loaders]:
            for step in loader.get('dataset', {}).get('pipeline', []):
                if step['type'] == 'LoadDefocusPair':
                    return 'RGB'
                if step['type'] == 'LoadImageFromFile' and step.get('key') == 'img':
                    return step.get('channel_order', 'bgr').upper()
    raise InputError(
        f'{config.filename} does not say in which order of colours its network takes '
        'images; set model.data_preprocessor.output_channel_order in it'
    )


def _load_weights(module: nn.Module, path: str) -> str:
    """Load a checkpoint as tools/test.py does; its hash."""
    path = load_weights(module, path).path
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
