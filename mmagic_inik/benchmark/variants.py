"""Variants of a network, as a comparison trains them."""

import argparse
import copy
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmagic.registry import MODELS
from mmengine.config import Config

from ..command import CONFIGS
from ..engine import spread_data_options
from ..engine.path_action import PathAction
from ..errors import InputError

DEMO = CONFIGS / 'iniknet_demo.py'
# Options of `model.generator` by variant of the demo's network.
DEMO_VARIANTS = {
    'INIKNet': (),
    'Non-MS Dict': ('head.atom_bank.type=PerSizeINRAtomBank',),
    'Non-INR Dict': ('head.atom_bank.type=MatrixAtomBank',),
    'Unidirectional': (
        'type=UnidirectionalINIKNet',
        'backbone.in_channels=6',
        'neck.type=UnidirectionalConvLSTM',
    ),
    'Convolutions, no LSTM': ('neck.type=ConvNeck',),
    '1 atom': ('head.atom_bank.num_atoms=1',),
    '1 scale': ('num_scales=1',),
    'Delta, plain sum': (
        'head.fusion=sum',
        'head.residual=False',
        'head.atom_bank.center=delta',
    ),
}


class Variant(NamedTuple):
    """A network to train.

    Attributes:
        name (str): As the user calls it.
        path (str): Config file.
        common (list[str]): Options ``KEY=VALUE`` that all variants have.
        own (list[str]): Its own, which win.
        config (Config): The file with the options.
        parameters (int): Of its network.
        folder (Path): For checkpoints, logs and the result.
    """

    name: str
    path: str
    common: list[str]
    own: list[str]
    config: Config
    parameters: int
    folder: Path


def variants(
    given: Sequence[Sequence[str]] | None,
    out: Path,
    iterations: int | None = None,
    seed: int = 0,
    options: Sequence[str] = (),
) -> list[Variant]:
    """Every variant, its network built once.

    Args:
        given (Sequence[Sequence[str]], optional): Name, config and own options
            ``KEY=VALUE`` of each. None: those of the demo's network.
        out (Path): Folder for theirs.
        iterations (int, optional): As of :func:`schedule`. Default: None.
        seed (int): Of all. Default: 0.
        options (Sequence[str]): ``KEY=VALUE``, of all. Default: ().

    Returns:
        list[Variant]: In that order.

    Raises:
        InputError: If one cannot be trained or they would not be comparable.
    """
    given = given or [
        [name, str(DEMO), *(f'model.generator.{option}' for option in own)]
        for name, own in DEMO_VARIANTS.items()
    ]
    found: list[Variant] = []
    for one in given:
        if len(one) < 2:
            raise InputError(f'--variant takes NAME CONFIG [KEY=VALUE ...], got {one}')
        name, path, *own = one
        found.append(variant(name, path, own, out, iterations, seed, options))
        if found[-1].folder in [other.folder for other in found[:-1]]:
            raise InputError(f'--variant has the name {name} twice; rename one')
    budgets = {v.name: v.config.train_cfg.max_iters for v in found}
    if len(set(budgets.values())) > 1:
        raise InputError(
            f'the variants would train for unequal times, {budgets}; give --iters'
        )
    return found


def variant(
    name: str,
    path: str,
    own: Sequence[str],
    out: Path,
    iterations: int | None = None,
    seed: int = 0,
    options: Sequence[str] = (),
) -> Variant:
    """A variant from what the command line says of it.

    Args:
        name (str): As the user calls it.
        path (str): Config file.
        own (Sequence[str]): Options ``KEY=VALUE`` of its own.
        out (Path): Folder, of whose folders it gets one.
        iterations (int, optional): As of :func:`schedule`. Default: None.
        seed (int): Default: 0.
        options (Sequence[str]): ``KEY=VALUE``, of all variants. Default: ().

    Returns:
        Variant: Whose network can be built.

    Raises:
        InputError: Names the variant and what is wrong.
    """
    for option in (*options, *own):
        if '=' not in option:
            raise InputError(f'--variant {name}: options are KEY=VALUE, got {option}')
    if not Path(path).is_file():
        raise InputError(f'--variant {name}: config {path} does not exist')
    config = Config.fromfile(path)
    # The user's options win.
    common = [f'randomness.seed={seed}', *schedule(config, iterations), *options]
    parser = argparse.ArgumentParser()
    # As train.py, which is given them too, reads them.
    parser.add_argument('--cfg-options', nargs='+', action=PathAction)
    read = parser.parse_args(['--cfg-options', *common, *own]).cfg_options
    try:
        config.merge_from_dict(spread_data_options(config, read))
        network = MODELS.build(copy.deepcopy(config.model.generator))
    except Exception as error:  # whatever a part's constructor raises
        raise InputError(
            f'--variant {name}: its network cannot be built: '
            f'{str(error).splitlines()[0]}'
        ) from error
    metric = (config.get('test_evaluator') or [{}])[0]
    if not isinstance(metric, dict) or metric.get('type') != 'ImageQuality':
        raise InputError(
            f'--variant {name}: {path} does not test with ImageQuality on one data '
            'set; set test_evaluator=[dict(type="ImageQuality")] in it'
        )
    parameters = sum(p.numel() for p in network.parameters())
    folder = out / re.sub(r'[^\w.-]+', '_', name)
    return Variant(name, path, common, list(own), config, parameters, folder)


def schedule(config: Config, iterations: int | None) -> list[str]:
    """Options that stretch a config's training to so many iterations.

    Args:
        config (Config): Its schedulers count iterations.
        iterations (int, optional): None leaves it as it is.

    Returns:
        list[str]: ``KEY=VALUE``.

    Raises:
        InputError: If the number is too small.
    """
    if iterations is None:
        return []
    if iterations < 1:
        raise InputError(f'--iters must be positive, got {iterations}')
    options = [f'train_cfg.max_iters={iterations}']
    schedulers = config.get('param_scheduler') or []
    places = (
        [('param_scheduler', schedulers)]
        if isinstance(schedulers, dict)
        else [(f'param_scheduler.{n}', s) for n, s in enumerate(schedulers)]
    )
    for place, scheduler in places:
        counts = {
            # A warm-up of a single iteration would never end.
            key: max(2, round(old * iterations / config.train_cfg.max_iters))
            for key, old in scheduler.items()
            if key in ('begin', 'end', 'step_size', 'T_max') and old > 0
        }
        if counts.get('end', np.inf) - counts.get('begin', 0) < 2:
            raise InputError(f'--iters {iterations} is too few for {place}; give more')
        options += [f'{place}.{key}={count}' for key, count in counts.items()]
    return options
