"""Train variants of a network alike and compare their scores in one table.

All get the same number of iterations, the same seed and the same crops in the same
order. After a kill, the same command goes on: what is finished is not run again, what
is not goes on from its last checkpoint. Without --variant, the demo's network is
compared with its ablations on the demo's photos.
"""

import mmagic_inik.full_setup  # noqa: F401

import argparse
import copy
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmagic.registry import DATASETS, METRICS, MODELS
from mmengine.config import Config, DictAction
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from mmagic_inik.benchmark.origin import describe_commit, describe_device
from mmagic_inik.engine import load_checkpoint_file, spread_data_options
from mmagic_inik.errors import InputError
from mmagic_inik.evaluation.image_quality import format_score
from mmagic_inik.launch import keep_paths_whole
from mmagic_inik.processes import end_with_launcher

TOOLS = Path(__file__).resolve().parent
DEMO = TOOLS.parent / 'configs' / 'iniknet_demo.py'
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


NOTE = (
    '- Scores are of the last checkpoint; s / iteration is the median over training.\n'
    '- One seed does not tell its own spread: train with others before a small '
    'difference is believed.\n'
)


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


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='example: %(prog)s --variant INIKNet configs/iniknet_dpdd.py --variant '
        '"5 atoms" configs/iniknet_dpdd.py model.generator.head.atom_bank.num_atoms=5 '
        '--cfg-options data_root=/data/DPDD --out results',
    )
    parser.add_argument(
        '--variant',
        nargs='+',
        action='append',
        metavar=('NAME CONFIG', 'KEY=VALUE'),
        help="a network, with options of its own as after MMagic's --cfg-options; "
        'again for more (default: eight of configs/iniknet_demo.py)',
    )
    parser.add_argument('--out', type=Path, required=True, help='folder for results')
    parser.add_argument(
        '--iters',
        type=int,
        metavar='N',
        help="iterations, the schedule in proportion (default: the config's)",
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='for all'
    )
    parser.add_argument(
        '--lpips-weights', metavar='PATH', help="AlexNet's, for LPIPS_alex too"
    )
    return parser.parse_args(arguments)


def variants(args: argparse.Namespace) -> list[Variant]:
    """Every variant, its network built once.

    Raises:
        InputError: If one cannot be trained or they would not be comparable.
    """
    given = args.variant or [
        [name, str(DEMO), *(f'model.generator.{option}' for option in options)]
        for name, options in DEMO_VARIANTS.items()
    ]
    found = []
    for one in given:
        if len(one) < 2:
            raise InputError(f'--variant takes NAME CONFIG [KEY=VALUE ...], got {one}')
        found.append(variant(*one[:2], one[2:], args))
        if found[-1].folder in [other.folder for other in found[:-1]]:
            raise InputError(f'--variant has the name {one[0]} twice; rename one')
    budgets = {v.name: v.config.train_cfg.max_iters for v in found}
    if len(set(budgets.values())) > 1:
        raise InputError(
            f'the variants would train for unequal times, {budgets}; give --iters'
        )
    return found


def variant(name: str, path: str, own: list[str], args: argparse.Namespace) -> Variant:
    """A variant from what the command line says of it.

    Raises:
        InputError: Names the variant and what is wrong.
    """
    for option in (*args.cfg_options, *own):
        if '=' not in option:
            raise InputError(f'--variant {name}: options are KEY=VALUE, got {option}')
    if not Path(path).is_file():
        raise InputError(f'--variant {name}: config {path} does not exist')
    config = Config.fromfile(path)
    common = [f'randomness.seed={args.seed}', *schedule(config, args.iters)]
    # The user's options win.
    common += args.cfg_options
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    options = parser.parse_args(['--cfg-options', *common, *own]).cfg_options
    options = spread_data_options(config, options)
    try:
        config.merge_from_dict(options)
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
    folder = args.out / re.sub(r'[^\w.-]+', '_', name)
    return Variant(name, path, common, own, config, parameters, folder)


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


def result_of(one: Variant, scores: dict[str, str]) -> dict:
    """Train and test a variant, as far as that is not done.

    Args:
        one (Variant): What to train.
        scores (dict[str, str]): Wanted scores, and options that they need.

    Returns:
        dict: What is in its ``result.json``.

    Raises:
        InputError: If its folder is of other settings, or a tool fails.
    """
    file, settings = one.folder / 'result.json', one.folder / 'settings.json'
    text = json.dumps(one.config.to_dict(), indent=1, sort_keys=True, default=str)
    if settings.exists() and settings.read_text(encoding='utf-8') != text:
        raise InputError(
            f'{one.folder} was trained with other settings; give another --out, or '
            'remove it'
        )
    if file.exists():
        result = json.loads(file.read_text(encoding='utf-8'))
        if result['scores'].keys() >= scores.keys():
            return result
    one.folder.mkdir(parents=True, exist_ok=True)
    write(settings, text)
    last = one.folder / f'iter_{one.config.train_cfg.max_iters}.pth'
    if last_checkpoint(one.folder) != last.name:
        run(one, 'train.py', '--resume', '--work-dir', one.folder)
    metrics = one.folder / 'metrics.json'
    wanted = [
        f'test_evaluator.0.scores={",".join(scores)}',
        *filter(None, scores.values()),
    ]
    run(
        one,
        'test.py',
        *(last, '--work-dir', one.folder / 'test', '--out', metrics),
        options=wanted,
    )
    # Every iteration's, those before a kill too.
    times = load_checkpoint_file(last, 'cpu')['message_hub']['log_scalars']
    measured = json.loads(metrics.read_text())
    result = dict(
        name=one.name,
        config=Path(one.path).name,
        options=one.own,
        parameters=one.parameters,
        scores={name: measured[name] for name in scores},
        seconds_per_iteration=float(np.median(times['train/time'].data[0])),
        conditions=conditions(one, list(scores)),
    )
    write(file, json.dumps(result, indent=1))
    return result


def last_checkpoint(folder: Path) -> str | None:
    """Name of the last checkpoint that is written completely, if any.

    mmengine writes it down when the checkpoint is on disk; a kill in between leaves a
    part of the checkpoint under its whole name.
    """
    file = folder / 'last_checkpoint'
    if not file.exists():
        return None
    path = Path(file.read_text(encoding='utf-8').strip())
    if not (folder / path.name).is_file():
        # A kill while it was written, which --resume could not read either.
        file.unlink()
        return None
    return path.name


def run(
    one: Variant, script: str, *arguments: object, options: Sequence[str] = ()
) -> None:
    """Run one of the tools on a variant; its output goes to a file.

    Raises:
        InputError: With the last line of the output, if it fails.
    """
    log = one.folder / f'{Path(script).stem}.log'
    command = [sys.executable, TOOLS / script, one.path, *arguments]
    command += ['--cfg-options', *one.common, *one.own, *options]
    if status := execute(list(map(str, command)), log):
        lines = log.read_text(encoding='utf-8', errors='replace').strip().splitlines()
        reason = lines[-1] if lines else f'exit status {status}'
        raise InputError(f'{one.name}: {reason} (more in {log})')


def execute(command: list[str], log: Path) -> int:
    """Run a command, its output appended to a file; its exit status."""
    with log.open('a', encoding='utf-8') as file:
        # A training that outlived this process would meet its successor.
        return subprocess.run(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_launcher,
        ).returncode


def conditions(one: Variant, scores: list[str]) -> dict[str, object]:
    """What must be known to compare a result with another."""
    # As trained: mmengine writes down the config with all options.
    config = Config.fromfile(one.folder / Path(one.path).name)
    train, test = (
        DATASETS.build(config[f'{split}_dataloader'].dataset)
        for split in ('train', 'test')
    )
    config.test_evaluator[0].scores = scores
    metric = METRICS.build(config.test_evaluator[0])
    return dict(
        iterations=config.train_cfg.max_iters,
        seed=config.randomness.seed,
        batch_size=config.train_dataloader.batch_size,
        options=' '.join(one.common),
        train=f'{len(train)} images of {config.train_dataloader.dataset.data_root}',
        test=f'{metric.protocol_line(len(test))}, of '
        f'{config.test_dataloader.dataset.data_root}',
        device=describe_device('cuda' if torch.cuda.is_available() else 'cpu'),
        threads=torch.get_num_threads(),
        versions={
            name: version(name) for name in ('torch', 'mmagic', 'mmengine', 'mmcv')
        },
        commit=describe_commit(),
    )


def table(results: Sequence[dict], scores: Sequence[str]) -> str:
    """Markdown: a line per variant, what it is, and the conditions.

    Args:
        results (Sequence[dict]): What :func:`result_of` returns.
        scores (Sequence[str]): Names of the columns.

    Returns:
        str: Text.
    """
    lines = [['variant', 'parameters', *scores, 's / iteration']]
    lines.append(['---'] * len(lines[0]))
    for r in results:
        cells = [format_score(name, r['scores'][name]) for name in scores]
        lines.append(
            [r['name'], f'{r["parameters"]:,}', *cells]
            + [f'{r["seconds_per_iteration"]:.3f}']
        )
    cells = ([cell.replace('|', r'\|') for cell in line] for line in lines)
    text = ''.join(f'| {" | ".join(line)} |\n' for line in cells) + '\n'
    for r in results:
        text += f'- {r["name"]}: {" ".join([r["config"], *r["options"]])}\n'
    names = {}
    for r in results:
        names.setdefault(json.dumps(r['conditions']), []).append(r['name'])
    for described, of in names.items():
        facts = json.loads(described)
        facts |= facts.pop('versions')
        parts = (f'{key.replace("_", " ")} {value}' for key, value in facts.items())
        text += f'- {"All" if len(names) == 1 else ", ".join(of)}: {"; ".join(parts)}\n'
    return text + NOTE


def write(path: Path, text: str) -> None:
    """Write a file so that a kill leaves the old one or the new one."""
    draft = path.with_name(path.name + '.part')
    draft.write_text(text, encoding='utf-8')
    draft.replace(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    args = parse_arguments(arguments)
    MMLogger.get_instance('run_ablations', log_level='ERROR')
    init_default_scope('mmagic')
    # Options are read here as train.py reads them.
    keep_paths_whole()
    scores = dict(PSNR='', SSIM_7x7='')
    if args.lpips_weights:
        weights = f'test_evaluator.0.lpips_weights.alex={args.lpips_weights}'
        scores['LPIPS_alex'] = weights
    try:
        if args.lpips_weights and not Path(args.lpips_weights).is_file():
            raise InputError(f'--lpips-weights {args.lpips_weights} does not exist')
        todo = variants(args)
        if not args.variant and not any('data_root=' in o for o in args.cfg_options):
            command = [sys.executable, str(TOOLS / 'make_demo_data.py'), 'data/demo']
            subprocess.run(command, check=True)
        results = []
        for number, one in enumerate(todo, 1):
            print(f'{number}/{len(todo)} {one.name}: {one.folder}', flush=True)
            results.append(result_of(one, scores))
            write(args.out / 'results.json', json.dumps(results, indent=1) + '\n')
            write(args.out / 'table.md', table(results, list(scores)))
    except InputError as error:
        sys.exit(f'run_ablations: {error}')
    print(f'\n{table(results, list(scores))}\nTable and results: {args.out}')


if __name__ == '__main__':
    main()
