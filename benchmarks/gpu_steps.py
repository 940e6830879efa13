"""Steps of benchmarks/gpu_day.py; each returns what it found."""

import argparse
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import torch
from PIL import Image
from skimage import data
from straightforward import JOBS, Case

from mmagic_inik.errors import InputError
from mmagic_inik.ops import inverse_filter

ROOT = Path(__file__).resolve().parent.parent
TRAINED = 'configs/iniknet_small_synthetic.py'
REHEARSED = 'configs/iniknet_demo.py'
# Of a rehearsed training: where its pieces end, and what makes it small. Its config
# wants at least 10 iterations.
FEW = 10, 12
SMALL = (
    'train_dataloader.dataset.pipeline.1.crop_size=64',
    'train_dataloader.batch_size=1',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'val_dataloader=None',
    'val_cfg=None',
    'val_evaluator=None',
    'default_hooks.checkpoint.interval=1',
)


def tests(args: argparse.Namespace) -> dict:
    """`pytest -m cuda`; without a GPU, the names of what it would have run."""
    report = args.out / 'cuda_tests.xml'
    report.unlink(missing_ok=True)
    _run('-m', 'pytest', '-q', '-m', 'cuda', f'--junitxml={report}', may_fail=True)
    found = dict(passed=[], failed=[], skipped=[])
    for case in ElementTree.parse(report).iter('testcase'):
        kinds = {child.tag for child in case}
        kind = 'skipped' if 'skipped' in kinds else 'failed'
        kind = kind if kinds & {'skipped', 'failure', 'error'} else 'passed'
        found[kind].append(f'{case.get("classname")}::{case.get("name")}')
    return found


def tiles(args: argparse.Namespace) -> dict:
    """Milliseconds of each tile, for the shipped configurations in all types."""
    if args.device == 'cpu':
        return dict(skipped='tiles: no CUDA device')
    from compile_kernels import SHIPPED

    from mmagic_inik.ops.triton_tiles import timings

    for atoms, sides in SHIPPED.values():
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            _filter_once(args.device, atoms, sides, dtype)
    # JSON has no infinity, which is the time of a tile that the GPU has no room for.
    return {
        call: {t: ms if math.isfinite(ms) else 'no room' for t, ms in times.items()}
        for call, times in timings().items()
    }


def _filter_once(
    device: str, atoms: int, sides: tuple[int, ...], dtype: torch.dtype
) -> None:
    def weights(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=device, dtype=dtype, requires_grad=True)

    y = torch.rand(4, 3, 256, 256, device=device)
    mu, omega = weights(4, len(sides), 256, 256), weights(4, atoms, 256, 256)
    mixing = weights(3, len(sides), 3, atoms)
    out = inverse_filter(y, mu, omega, [weights(atoms, m, m) for m in sides], mixing)
    out.sum().backward()


def speed(args: argparse.Namespace) -> dict:
    """`benchmarks/speed.py`; rehearsed, the op alone."""
    out = args.out / f'speed_{args.device}.json'
    few = ['--cases', 'op forward 32x32', '--scale', '0.125', '--repeats', '1']
    few += ['--config', REHEARSED]
    options = few if args.device == 'cpu' else []
    _run('benchmarks/speed.py', '--device', args.device, '--out', out, *options)
    return json.loads(out.read_text())


def profile(args: argparse.Namespace) -> dict:
    """What takes the time of a training step, in milliseconds."""
    rehearsed = args.device == 'cpu'
    side, config = (32, REHEARSED) if rehearsed else (256, 'configs/iniknet_dpdd.py')
    case = Case('training step', side, side, 'fast', str(ROOT / config))
    found = {}
    for dtype in ('float32', 'bfloat16'):
        step, image = JOBS['training step'](
            case._replace(device=args.device, dtype=dtype, batch=1 if rehearsed else 4)
        )
        step(image)
        with torch.profiler.profile(record_shapes=False) as profiler:
            step(image)
            if not rehearsed:
                torch.cuda.synchronize()
        key = 'self_cpu_time_total' if rehearsed else 'self_device_time_total'
        events = sorted(profiler.key_averages(), key=lambda e: -getattr(e, key))
        found[dtype] = {event.key: getattr(event, key) / 1e3 for event in events[:25]}
    return found


def training(args: argparse.Namespace) -> dict:
    """Training in pieces: the second goes on where count or time ended the first.

    Raises:
        InputError: If a piece got nowhere.
    """
    folder, counts, limit, options = args.data, args.iterations, args.minutes * 30, ()
    if args.device == 'cpu':
        folder, counts, options = _few_photos(args.out / 'photos'), FEW, SMALL
    work = args.out / 'training'
    options = ['--cfg-options', f'data_root={folder}', *options]
    pieces = []
    for count in counts:
        before = _iteration(work)
        in_time = _run(
            *('tools/train.py', args.config, '--resume', '--work-dir', work, *options),
            limit=limit,
            environment={'ITERS': str(count)},
        )
        reached = _iteration(work)
        if reached <= before < count:
            raise InputError(
                f'{args.config} came from iteration {before} to no later checkpoint in '
                f'{limit:g} s; give more --minutes'
            )
        pieces.append(dict(to=count, before=before, reached=reached, in_time=in_time))
    return dict(config=args.config, pieces=pieces)


def _iteration(work: Path) -> int:
    """That of the last checkpoint, as a resumed training finds it; 0 without one."""
    last = work / 'last_checkpoint'
    if not last.is_file():
        return 0
    return int(re.search(r'iter_(\d+)\.pth$', last.read_text().strip())[1])


def _few_photos(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ('astronaut', 'chelsea', 'coffee'):
        Image.fromarray(getattr(data, name)()).save(folder / f'{name}.png')
    return folder


def _run(
    *command: object,
    may_fail: bool = False,
    limit: float | None = None,
    environment: dict | None = None,
) -> bool:
    """Run Python at the root of the project; what does not end in time is killed.

    Args:
        *command: What follows ``python``.
        may_fail (bool): Whether its exit status is none of ours.
        limit (float, optional): Seconds.
        environment (dict, optional): Variables to set.

    Returns:
        bool: Whether it ended in time.

    Raises:
        InputError: If it fails, with the end of what it said.
    """
    try:
        ended = subprocess.run(
            [sys.executable, *map(str, command)],
            cwd=ROOT,
            env=os.environ | (environment or {}),
            capture_output=True,
            text=True,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        print(f'{command[0]} was ended after {limit:g} s', file=sys.stderr)
        return False
    if ended.returncode and not may_fail:
        said = (ended.stderr or ended.stdout).strip().splitlines()[-3:]
        raise InputError(f'{" ".join(map(str, command))} failed: {" / ".join(said)}')
    return True


STEPS: dict[str, Callable[[argparse.Namespace], dict]] = {
    step.__name__: step for step in (tests, tiles, speed, profile, training)
}
