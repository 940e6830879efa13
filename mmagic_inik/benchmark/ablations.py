"""Variants of a network, trained alike, and their scores in one table."""

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmagic.registry import DATASETS, METRICS
from mmengine.config import Config

from ..command import TOOLS
from ..engine import load_checkpoint_file
from ..errors import InputError
from ..processes import end_with_launcher
from ..restoration.encoding import write_whole
from .ablation_table import ablation_table
from .origin import describe_commit, describe_device
from .variants import Variant


def compare_variants(todo: Sequence[Variant], out: Path, scores: dict[str, str]) -> str:
    """Train and test variants, as far as that is not done, and tabulate them.

    Args:
        todo (Sequence[Variant]): What to compare.
        out (Path): Folder for ``table.md`` and ``results.json``, which are written
            anew with every variant.
        scores (dict[str, str]): As of :func:`wanted_scores`.

    Returns:
        str: What is in ``table.md``.

    Raises:
        InputError: As of :func:`result_of`.
    """
    results: list[dict[str, Any]] = []
    for number, one in enumerate(todo, 1):
        print(f'{number}/{len(todo)} {one.name}: {one.folder}', flush=True)
        results.append(result_of(one, scores))
        text = json.dumps(results, indent=1) + '\n'
        write_whole(out / 'results.json', text.encode())
        write_whole(out / 'table.md', ablation_table(results, list(scores)).encode())
    return ablation_table(results, list(scores))


def wanted_scores(lpips_weights: str | None) -> dict[str, str]:
    """Scores of a comparison, and options that they need.

    Args:
        lpips_weights (str | None): File of AlexNet's.

    Returns:
        dict[str, str]: ``KEY=VALUE`` by score, or nothing.

    Raises:
        InputError: If the file does not exist.
    """
    scores = dict(PSNR='', SSIM_7x7='')
    if lpips_weights:
        if not Path(lpips_weights).is_file():
            raise InputError(f'--lpips-weights {lpips_weights} does not exist')
        option = f'test_evaluator.0.lpips_weights.alex={lpips_weights}'
        scores['LPIPS_alex'] = option
    return scores


def result_of(one: Variant, scores: dict[str, str]) -> dict[str, Any]:
    """Train and test a variant, as far as that is not done.

    Args:
        one (Variant): What to train.
        scores (dict[str, str]): Wanted scores, and options that they need.

    Returns:
        dict[str, Any]: What is in its ``result.json``.

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
    write_whole(settings, text.encode())
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
    times = load_checkpoint_file(str(last), 'cpu')['message_hub']['log_scalars']
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
    write_whole(file, json.dumps(result, indent=1).encode())
    return result


def last_checkpoint(folder: Path) -> str | None:
    """Name of the last checkpoint that is written completely, if any.

    mmengine writes it down when the checkpoint is on disk; a kill in between leaves a
    part of the checkpoint under its whole name.

    Args:
        folder (Path): Of a training.

    Returns:
        str | None: None: there is none.
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

    Args:
        one (Variant): Whose folder has the file, ``train.log`` or ``test.log``.
        script (str): ``'train.py'`` or ``'test.py'``.
        *arguments (object): Behind the config.
        options (Sequence[str]): ``KEY=VALUE`` besides the variant's. Default: ().

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
    """Run a command, which ends with this process.

    Args:
        command (list[str]): As for :func:`subprocess.run`.
        log (Path): File to which its output is appended.

    Returns:
        int: Exit status.
    """
    with log.open('a', encoding='utf-8') as file:
        # A training that outlived this process would meet its successor.
        return subprocess.run(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_launcher,
        ).returncode


def conditions(one: Variant, scores: list[str]) -> dict[str, object]:
    """What must be known to compare a result with another.

    Args:
        one (Variant): That was trained.
        scores (list[str]): That it was tested with.

    Returns:
        dict[str, object]: JSON can hold it.
    """
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
