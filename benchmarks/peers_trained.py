"""Trains the compared systems beside INIKNet at equal cost and time, and scores them.

`benchmarks/peers_trained.py PHOTOS DATA --lpips-weights alexnet.pth [--seconds 1200]`.
Every system is made as narrow as it takes for a step of training to cost what one of
the lighter INIKNet does (`width`); then all are trained alike, by
configs/iniknet_light_start.py on synthetic defocus of the sharp PHOTOS, for as many
steps as the seconds hold, and scored as the shipped weights are, on the sets in DATA
(benchmarks/shipped_weights.py). Timing and training want a machine that does nothing
else. After a kill the same command goes on. Writes benchmarks/results/peers_trained.md,
.csv and .json.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import torch
from designs import DESIGNS, RECIPE, ROOT, SMALL, held_out, measure, train
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from shipped_weights import check, judge

from mmagic_inik.benchmark.origin import describe_commit, describe_device
from mmagic_inik.errors import InputError

RESULTS = ROOT / 'benchmarks' / 'results' / 'peers_trained'
OURS = 'INIKNet, lighter'
# Name → that of configs/peers/synthetic.py.
PEERS = {
    'DPDNet': 'dpdnet',
    'AIFNet': 'aifnet',
    'IFANet': 'ifan',
    'KPAC': 'kpac',
    'GKMNet': 'gkmnet',
    'MDP': 'mdp',
    'DRBNet': 'drbnet',
    'MPRNet': 'mprnet',
    'NRKNet': 'nrknet',
    'ConvIR-S': 'convir_s',
}
WIDTHS = 1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1
# MMagic's, as configs/peers/NAME_small_synthetic.py but for this option.
MMAGIC = {
    'NAFNet': ('nafnet', 'mid_channels', (4, 8, 12, 16, 24, 32)),
    'Restormer': ('restormer', 'dim', (8, 16, 24, 32, 48)),
}
SYSTEMS = (OURS, 'INIKNet, small', *PEERS, *MMAGIC)


def candidates(name: str) -> Iterator[tuple[str, dict]]:
    """A system's widths, the cheapest first, each with what the recipe's model becomes.

    Args:
        name (str): Of ``SYSTEMS``.

    Yields:
        tuple[str, dict]: What it is called in the table, and options of the model.
    """
    if name == OURS:
        yield '1', {}
    elif name == 'INIKNet, small':
        yield '1', dict(generator=DESIGNS[SMALL])
    elif name in PEERS:
        with mock.patch.dict(os.environ, PEER=PEERS[name]):
            model = Config.fromfile(
                ROOT / 'configs' / 'peers' / 'synthetic.py'
            ).model.to_dict()
        for width in WIDTHS:
            generator = dict(model['generator'], _delete_=True, width=width)
            sides = {key: model[key] for key in ('size_divisor', 'min_size')}
            yield f'{width:g}', dict(generator=generator, **sides)
    else:
        stem, option, values = MMAGIC[name]
        path = ROOT / 'configs' / 'peers' / f'{stem}_small_synthetic.py'
        base = Config.fromfile(path).model.generator.to_dict()
        for value in values:
            generator = dict(base, _delete_=True, **{option: value})
            yield f'{option} {value}', dict(generator=generator)


def write_config(model: dict, path: Path) -> Path:
    """The recipe with another network."""
    lines = [f'_base_ = {str(RECIPE)!r}', f'model = {model!r}']
    path.write_text('\n'.join(lines) + '\n', encoding='utf-8')
    return path


def fit(name: str, target: float | None, folder: Path) -> dict:
    """A system at the width whose step of training costs nearest to some seconds.

    Args:
        name (str): Of ``SYSTEMS``.
        target (float, optional): Seconds; None: of a single width.
        folder (Path): For the configs that are tried.

    Returns:
        dict: As of ``designs.measure``, and the ``width``.
    """
    tried: list[dict] = []
    for width, model in candidates(name):
        config = write_config(model, folder / 'tried.py')
        tried.append(dict(measure(config), width=width))
        if target is None or tried[-1]['step_seconds'] > target:
            break
    return min(
        tried, key=lambda row: abs(math.log(row['step_seconds'] / (target or 1)))
    )


def name_of_file(name: str) -> str:
    """A system's name without what a file's should not have."""
    return ''.join(c if c.isalnum() else '_' for c in name.lower())


def as_markdown(results: dict) -> str:
    """What the systems cost, and how they were trained."""
    titles = 'system', 'width', 'parameters (M)', 'step (s)', '640×640 (s)', 'steps'
    lines = [f'| {" | ".join(titles)} |', '|---' * len(titles) + '|']
    for name, row in results['systems'].items():
        cells = [name, row['width'], f'{row["parameters"] / 1e6:.3f}']
        cells += [f'{row[key]:.2f}' for key in ('step_seconds', 'photo_seconds')]
        lines.append(f'| {" | ".join(cells)} | {row["steps"]} |')
    lines += [
        '',
        'Each trained for {seconds:.0f} seconds of {threads} thread(s) by '
        'configs/iniknet_light_start.py; a step has 8 crops of 128×128. '
        '{device}; commit {commit}.'.format(**results),
    ]
    return '\n'.join(lines) + '\n'


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('photos')
    parser.add_argument('data', type=Path)
    parser.add_argument('--lpips-weights', type=Path, required=True, help="AlexNet's")
    parser.add_argument('--seconds', type=float, default=1200)
    parser.add_argument('--systems', nargs='+', choices=SYSTEMS, default=SYSTEMS)
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/peers_trained')
    )
    parser.add_argument('--out', type=Path, default=RESULTS)
    args = parser.parse_args()
    MMLogger.get_instance('peers_trained', log_level='ERROR')
    init_default_scope('mmagic')
    try:
        # Before hours of training.
        check(args.data, args.lpips_weights)
        held_out(args.photos)
    except InputError as error:
        sys.exit(f'peers_trained: {error}')
    folder = args.work_dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    path = args.out.with_suffix('.json')
    results = dict(
        seconds=args.seconds,
        threads=torch.get_num_threads(),
        device=describe_device('cpu'),
        commit=describe_commit(),
        systems={},
    )
    if path.exists():
        former = json.loads(path.read_text())
        if any(former[key] != results[key] for key in ('seconds', 'threads', 'device')):
            sys.exit(
                f'peers_trained: {path} was made with other seconds, threads or on '
                'another processor, which would not be equal; give another --out'
            )
        results = former
    rows = results['systems']
    # All are fitted before the first is trained, in one state of the machine.
    for name in dict.fromkeys([OURS, *args.systems]):
        if name not in rows:
            single = next(candidates(name))[0] == '1'
            target = None if single else rows[OURS]['step_seconds']
            row = fit(name, target, folder)
            row['steps'] = max(10, round(args.seconds / row['step_seconds']))
            rows[name] = row
            path.write_text(json.dumps(results, indent=1) + '\n')
            print(as_markdown(results))
    models = {}
    for name in args.systems:
        model = dict(candidates(name))[rows[name]['width']]
        config = write_config(model, folder / f'{name_of_file(name)}.py')
        checkpoint = train(config, args.photos, rows[name]['steps'])
        models[name] = tuple(os.path.relpath(p, ROOT) for p in (config, checkpoint))
    judge(models, args.data, args.lpips_weights, folder, args.out)
    table = args.out.with_suffix('.md')
    table.write_text(f'{as_markdown(results)}\n{table.read_text()}')
    print(table.read_text())


if __name__ == '__main__':
    main()
