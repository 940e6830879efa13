"""Compares designs of a lighter INIKNet, and scenes, at equal seconds of training.

`benchmarks/designs.py PHOTOS --seconds 1800 [--designs NAME...]` first times a step of
training and the restoration of 640x640 pixels of every design, which wants a machine
that does nothing else. Then each is trained on synthetic defocus of the sharp PHOTOS by
configs/iniknet_light_start.py for as many iterations as the seconds would hold, the
schedule fitted to them, and judged on held-out scenes (benchmarks/held_out.py), as
configs/iniknet_light_synthetic.py has them whatever scenes it was trained on. After a
kill the same command goes on. Writes benchmarks/results/designs.md and .json.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from held_out import groups, psnr, restored, scenes
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from overlap import load
from speed_cases import Case
from straightforward import photo
from torch import Tensor

from mmagic_inik.benchmark.measuring import timed
from mmagic_inik.benchmark.origin import describe_commit, describe_device
from mmagic_inik.errors import InputError
from mmagic_inik.restoration import load_restorer

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / 'benchmarks' / 'results' / 'designs'
RECIPE = ROOT / 'configs' / 'iniknet_light_start.py'
JUDGED = ROOT / 'configs' / 'iniknet_light_synthetic.py'
REPEATS = 5
# What is timed: crops of a step, and a photo.
BATCH = Case('', 128, 128, '', '', batch=8)
PHOTO = Case('', 640, 640, '', '')


# That of configs/iniknet_small_synthetic.py.
SMALL = 'small: necks at full resolution, eight sizes'
ALL_SIZES = dict(kernel_sizes=(1, 3, 5, 7, 9, 11, 13, 15))


def reduced(channels: int, reduction: int, details: int = 16) -> dict:
    """Options of a generator all of whose features are at a reduced resolution.

    It sees frequency bands of the image itself: else it learns next to nothing.
    """
    return dict(
        backbone=dict(
            base_channels=channels,
            reduction=reduction,
            energy_bands=4,
            signed_bands=4 if details else 0,
        ),
        neck=dict(channels=channels, reduction=1),
        head=dict(
            in_channels=channels,
            reduction=reduction,
            mixing_start=0.3,
            coarser=(),
            detail_channels=details,
            detail_blocks=2 if details else 0,
            atom_bank=dict(num_atoms=6, kernel_sizes=(3, 5, 9, 15), zero_sum=True),
        ),
    )


# What a generator differs by from the recipe's.
DESIGNS = {
    'C = 16, necks at 1/2 (the recipe)': {},
    'C = 16, necks at 1/4': dict(neck=dict(reduction=4)),
    'C = 16, all eight sizes': dict(head=dict(atom_bank=ALL_SIZES)),
    'C = 16, N = 6': dict(head=dict(atom_bank=dict(num_atoms=6))),
    'C = 16, ConvNeck': dict(
        neck=dict(_delete_=True, type='ConvNeck', channels=16, num_res_blocks=1)
    ),
    'C = 16, two scales': dict(num_scales=2),
    'C = 16, sizes to 21, no reduced images': dict(
        head=dict(coarser=(), atom_bank=dict(kernel_sizes=(1, 3, 5, 9, 15, 21)))
    ),
    'C = 16, no reduced images': dict(head=dict(coarser=())),
    'C = 16, atoms of sum zero': dict(
        head=dict(mixing_start=0.3, atom_bank=dict(zero_sum=True))
    ),
    '1/2, C = 24': reduced(24, 2),
    '1/4, C = 32': reduced(32, 4),
    '1/4, C = 48': reduced(48, 4),
    '1/4, C = 32, without signed bands and details': reduced(32, 4, details=0),
    SMALL: dict(
        neck=dict(reduction=1),
        head=dict(border='zero', coarser=(), atom_bank=ALL_SIZES),
    ),
}
# What scenes of training differ by from the recipe's.
SCENES = {
    'scenes: a tenth in focus': dict(in_focus=0.1),
    'scenes: a fifth in focus, half of it soft': dict(in_focus=0.2, soft_in_focus=0.5),
    'scenes: targets softened': dict(softness=0.9),
    'scenes: radii to 16': dict(max_radius=16),
    'scenes: input of another brightness': dict(gain=(0.9, 1.1), color_gain=0.03),
}


def write_config(name: str, folder: Path) -> Path:
    """A design, or other scenes, as a config file."""
    lines = [
        f'_base_ = {str(RECIPE)!r}',
        f'model = dict(generator={DESIGNS.get(name, {})!r})',
        'dataset = _base_.train_dataloader.dataset',
        f'dataset.pipeline[1].update({SCENES.get(name, {})!r})',
        'train_dataloader = dict(dataset=dataset)',
    ]
    words = ''.join(c if c.isalnum() else ' ' for c in name).split()
    path = folder / ('_'.join(words) + '.py')
    path.write_text('\n'.join(lines) + '\n', encoding='utf-8')
    return path


def training_step(config: Path) -> Callable[[Tensor], None]:
    """A step of training by a config's loss, in its type, on sharp crops."""
    torch.manual_seed(0)
    model = Config.fromfile(config).model
    restorer = MODELS.build(model).train()
    adam = torch.optim.Adam(restorer.parameters())

    def step(sharp: Tensor) -> None:
        adam.zero_grad()
        blurred = F.avg_pool2d(sharp, 5, 1, 2)
        losses = restorer.forward_train(blurred, DataSample(gt_img=sharp))
        sum(losses.values()).backward()
        adam.step()

    return step


def measure(config: Path) -> dict:
    """Parameters, seconds of a training step and of restoring 640x640 pixels.

    Both in the type that is fastest here, where the config's training takes it, too.
    """
    restorer = load(str(config), None)
    work = {
        'step_seconds': (training_step(config), BATCH),
        'photo_seconds': (partial(restorer.restore, dtype='auto'), PHOTO),
    }
    seconds = {}
    for name, (run, case) in work.items():
        image = photo(case)
        with torch.set_grad_enabled(name == 'step_seconds'):
            run(image)
            seconds[name] = median(timed(run, image) for _ in range(REPEATS))
    count = sum(p.numel() for p in restorer.generator.parameters())
    return dict(parameters=count, **seconds)


def train(config: Path, photos: str, iterations: int) -> Path:
    """Train by the real tool; its last checkpoint."""
    work = config.with_suffix('')
    last = work / f'iter_{iterations}.pth'
    if not (work / 'last_checkpoint').exists() or (
        (work / 'last_checkpoint').read_text().strip() != str(last)
    ):
        command = [sys.executable, ROOT / 'tools/train.py', config, '--resume']
        command += ['--work-dir', work, '--cfg-options', f'data_root={photos}']
        # Rendering shares the processor with training.
        command.append('train_dataloader.dataset.pipeline.0.use_cache=True')
        subprocess.run(
            list(map(str, command)),
            check=True,
            cwd=ROOT,
            env=os.environ | dict(ITERS=str(iterations)),
        )
    return last


def held_out(photos: str) -> list[tuple[bool, np.ndarray, np.ndarray]]:
    """The scenes that every design is judged on.

    Raises:
        InputError: If there are no sharp photos.
    """
    recipe = Config.fromfile(JUDGED)
    recipe.val_dataloader.dataset.data_root = photos
    return list(scenes(recipe))


def judge(
    config: Path, checkpoint: Path, judged: list[tuple[bool, np.ndarray, np.ndarray]]
) -> dict[str, float]:
    """Mean gains in PSNR (dB) by group of held-out scenes."""
    network = load_restorer(str(config), str(checkpoint))
    in_focus, images, targets = zip(*judged, strict=True)
    before = psnr(targets, images)
    gains = psnr(targets, [restored(image, network) for image in images]) - before
    columns = groups(before, np.array(in_focus))
    return {name: float(gains[those].mean()) for name, those in columns.items()}


def as_markdown(results: dict) -> str:
    """The table, and where it comes from."""
    designs = results['designs']
    judged = [d for d in designs.values() if 'gains' in d]
    columns = list(judged[0]['gains']) if judged else []
    titles = ['design', 'parameters (M)', 'step (s)', '640×640 (s)', 'iterations']
    lines = [f'| {" | ".join(titles + columns)} |', '|---' * (5 + len(columns)) + '|']
    for name, design in designs.items():
        cells = [name, f'{design["parameters"] / 1e6:.3f}']
        cells += [f'{design["step_seconds"]:.2f}', f'{design["photo_seconds"]:.2f}']
        gains = design.get('gains', {})
        cells.append(str(design['iterations']))
        cells += [f'{gains[k]:+.2f}' if k in gains else '–' for k in columns]
        lines.append(f'| {" | ".join(cells)} |')
    origin = '; '.join(results[key] for key in ('device', 'commit'))
    seconds = f'{results["seconds"]:.0f} seconds of training each'
    threads = f'threads: {results["threads"]}'
    notes = ['Gains in PSNR (dB) on held-out scenes', seconds, threads, origin]
    lines += ['', '; '.join(notes) + '.']
    return '\n'.join(lines) + '\n'


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('photos')
    parser.add_argument('--seconds', type=float, default=1800)
    choices = [*DESIGNS, *SCENES]
    parser.add_argument('--designs', nargs='+', choices=choices, default=choices)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/designs'))
    parser.add_argument('--out', type=Path, default=RESULTS)
    args = parser.parse_args()
    # The table alone is printed, not what the data sets tell.
    MMLogger.get_instance('designs', log_level='ERROR')
    init_default_scope('mmagic')
    folder = args.work_dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    path = args.out.with_suffix('.json')
    results = dict(
        seconds=args.seconds,
        threads=torch.get_num_threads(),
        device=describe_device('cpu'),
        commit=describe_commit(),
        designs={},
    )
    if path.exists():
        former = json.loads(path.read_text())
        if all(former[k] == results[k] for k in ('seconds', 'threads', 'device')):
            results = former

    def save() -> None:
        path.write_text(json.dumps(results, indent=2) + '\n')
        args.out.with_suffix('.md').write_text(as_markdown(results))

    try:
        # Before the timing, which takes minutes.
        judged = held_out(args.photos)
        configs = {name: write_config(name, folder) for name in args.designs}
        for name, config in configs.items():
            if name not in results['designs']:
                design = measure(config)
                iterations = round(args.seconds / design['step_seconds'])
                results['designs'][name] = dict(design, iterations=max(10, iterations))
                save()
        for name, config in configs.items():
            design = results['designs'][name]
            if 'gains' not in design:
                last = train(config, args.photos, design['iterations'])
                design['gains'] = judge(config, last, judged)
                save()
    except InputError as error:
        sys.exit(f'designs: {error}')
    print(as_markdown(results))


if __name__ == '__main__':
    main()
