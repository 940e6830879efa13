"""Compares rendered defocus with real one, by spectra of inputs and targets.

`benchmarks/renderer_spectra.py PAIRS PHOTOS CONFIG [--out NAME]` takes PAIRS/input and
PAIRS/target, and scenes that the CONFIG's recipe renders of the sharp PHOTOS. In
windows of 64 x 64 pixels, T(f) is the root of the input's power over the target's, by
ring of spatial frequency. Windows are sorted by f50, the frequency in cycles per
pixel at which T falls to one half: how often which blur is met, how T goes on behind
it, how colours and neighbours differ, and how brightness does. Of the test pairs it
reads what the blur is like; nothing is trained or chosen by scores on them. Writes
NAME.md, NAME.json and NAME.png.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from mmagic.registry import DATASETS
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from mmagic_inik.benchmark.origin import describe_commit
from mmagic_inik.datasets import DefocusPairDataset, read_photo

RESULTS = Path(__file__).resolve().parent / 'results' / 'renderer_spectra'
SIDE, CROP = 64, 256
# Windows along a side of a crop.
COUNT = CROP // SIDE
RINGS = np.linspace(1.5 / SIDE, 0.5, 25)
MIDDLES = (RINGS[:-1] + RINGS[1:]) / 2
# Upper borders of f50: a disc of radius r falls to one half at about 0.36 / r.
CLASSES = 0.04, 0.08, 0.16, 0.32, 0.5
# Standard deviation in a window of the target, of [0, 255], below which it is flat.
LEAST_CONTRAST = 6
WINDOW = np.outer(np.hanning(SIDE), np.hanning(SIDE))[..., None]


def crops_of_pairs(root: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Inputs and targets, (256, 256, 3) RGB in [0, 255], side by side."""
    data = DefocusPairDataset(data_root=root, preset='folders', pipeline=[])
    for index in range(len(data)):
        paths = data.get_data_info(index)
        image, target = (read_photo(paths[key]) for key in ('img_path', 'gt_path'))
        height, width = target.shape[:2]
        for y in range(0, height - CROP + 1, CROP):
            for x in range(0, width - CROP + 1, CROP):
                yield tuple(p[y : y + CROP, x : x + CROP] for p in (image, target))


def crops_of_scenes(
    config: str, photos: str, count: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same, rendered as for training, without scenes in focus."""
    data = Config.fromfile(config).train_dataloader.dataset
    load, renderer = data.pipeline[:2]
    renderer.update(crop_size=CROP, in_focus=0, soft_in_focus=0)
    data.update(data_root=photos, pipeline=[load, renderer])
    data = DATASETS.build(data)
    for index in np.random.default_rng(0).choice(len(data), count, replace=False):
        scene = data[int(index)]
        yield tuple(scene[key].astype(np.float32) for key in ('img', 'gt'))


def powers(crop: np.ndarray) -> np.ndarray:
    """Power by window, ring and colour, (4, 4, R, 3), of (256, 256, 3)."""
    windows = crop.reshape(COUNT, SIDE, COUNT, SIDE, 3).swapaxes(1, 2)
    windows = (windows - windows.mean((2, 3), keepdims=True)) * WINDOW
    spectrum = np.abs(np.fft.fft2(windows, axes=(2, 3))) ** 2
    f = np.fft.fftfreq(SIDE)
    ring = np.digitize(np.hypot(f[:, None], f), RINGS) - 1
    return np.stack(
        [spectrum[:, :, ring == n].mean(2) for n in range(len(MIDDLES))], axis=2
    )


def half_frequency(transfer: np.ndarray) -> np.ndarray:
    """Where (..., R) falls to one half first, in cycles per pixel; 0.5: nowhere."""
    below = transfer < 0.5
    first = np.where(below.any(-1), below.argmax(-1), len(MIDDLES) - 1)
    return np.where(below.any(-1), MIDDLES[first], 0.5)


def describe(crops: Iterator[tuple[np.ndarray, np.ndarray]]) -> dict:
    """Statistics of pairs."""
    transfers, textured, ratios = [], [], []
    for image, target in crops:
        blurred, sharp = powers(image), powers(target)
        transfers.append(np.sqrt(blurred / np.maximum(sharp, 1e-3)))
        grey = target.mean(2).reshape(COUNT, SIDE, COUNT, SIDE)
        textured.append(grey.std((1, 3)) >= LEAST_CONTRAST)
        ratios.append((image.mean((0, 1)) + 1) / (target.mean((0, 1)) + 1))
    transfer, textured = np.array(transfers), np.array(textured)
    ratio = np.array(ratios)
    f50 = half_frequency(np.moveaxis(transfer, 3, -1))  # crop, row, column, colour
    green = f50[..., 1]
    kind = np.digitize(green, CLASSES)
    curves, shares = [], []
    for n in range(len(CLASSES) + 1):
        those = textured & (kind == n)
        shares.append(float(those.sum() / textured.sum()))
        # Of few windows there is nothing to say.
        enough = those.sum() >= 10
        curves.append(
            np.median(transfer[those][..., 1], 0).tolist() if enough else None
        )
    both = textured[:, :, 1:] & textured[:, :, :-1]
    steps = np.abs(np.log2(green[:, :, 1:] / green[:, :, :-1]))[both]

    def quantiles(values: np.ndarray) -> list[float]:
        return np.quantile(values, (0.1, 0.5, 0.9)).round(4).tolist()

    blurred = textured & (green < CLASSES[3])
    return dict(
        crops=len(transfer),
        windows=int(textured.sum()),
        shares=shares,
        transfer=curves,
        quantiles={
            'f50 of red over green': quantiles((f50[..., 0] / green)[blurred]),
            'f50 of blue over green': quantiles((f50[..., 2] / green)[blurred]),
            'neighbours, octaves of f50': quantiles(steps),
            'brightness, input over target': quantiles(ratio.mean(1)),
            'red over green, as much': quantiles(ratio[:, 0] / ratio[:, 1]),
            'blue over green, as much': quantiles(ratio[:, 2] / ratio[:, 1]),
        },
    )


def class_names() -> list[str]:
    """Of the classes of f50, from the widest blur to none."""
    borders = 0, *CLASSES
    names = [f'{a}–{b}' for a, b in zip(borders, borders[1:], strict=False)]
    return [*names, 'never below 1/2']


def as_markdown(results: dict) -> str:
    """Tables."""
    real, rendered = results['real'], results['rendered']
    picked = [np.abs(MIDDLES - f).argmin() for f in (0.1, 0.2, 0.3, 0.45)]
    head = ' | '.join(f'T({MIDDLES[n]:.2f})' for n in picked)
    lines = [f'| f50 (cycles/pixel) | pairs | share | {head} |']
    lines.append('|---' * (3 + len(picked)) + '|')
    for n, name in enumerate(class_names()):
        for word, one in (('real', real), ('rendered', rendered)):
            curve = one['transfer'][n]
            cells = [f'{curve[k]:.3f}' if curve else '–' for k in picked]
            share = f'{one["shares"][n]:.1%}'
            lines.append(f'| {" | ".join([name, word, share, *cells])} |')
    lines += ['', '| | real: 10 %, median, 90 % | rendered |', '|---|---|---|']
    for name in real['quantiles']:
        cells = (
            ', '.join(f'{x:.3f}' for x in one['quantiles'][name])
            for one in (real, rendered)
        )
        lines.append(f'| {" | ".join([name, *cells])} |')
    lines += [
        '',
        f'{real["windows"]} windows of {real["crops"]} real crops, '
        f'{rendered["windows"]} of {rendered["crops"]} rendered ones; medians; '
        f'`{results["command"]}`; commit {results["commit"]}.',
    ]
    return '\n'.join(lines) + '\n'


def draw(results: dict) -> Figure:
    """T(f) of every class, real and rendered."""
    figure = Figure((9, 4.5), layout='constrained')
    axes = figure.subplots(1, 2, sharey=True)
    for word, one in zip(('real', 'rendered'), axes, strict=True):
        for name, curve in zip(class_names(), results[word]['transfer'], strict=True):
            if curve:
                one.semilogy(MIDDLES, curve, label=name)
        one.set(title=word, xlabel='cycles per pixel', ylim=(5e-3, 2))
        one.grid(alpha=0.3)
    axes[0].set_ylabel('T(f), green')
    # Where no curve is.
    axes[0].legend(title='f50', loc='lower right')
    return figure


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('pairs')
    parser.add_argument('photos')
    parser.add_argument('config')
    parser.add_argument('--scenes', type=int, default=480)
    parser.add_argument('--out', type=Path, default=RESULTS)
    args = parser.parse_args()
    MMLogger.get_instance('renderer_spectra', log_level='ERROR')
    init_default_scope('mmagic')
    scenes = crops_of_scenes(args.config, args.photos, args.scenes)
    results = dict(
        real=describe(crops_of_pairs(args.pairs)),
        rendered=describe(scenes),
        command=f'benchmarks/renderer_spectra.py PAIRS PHOTOS {args.config}',
        commit=describe_commit(),
    )
    text = as_markdown(results)
    args.out.with_suffix('.md').write_text(text, encoding='utf-8')
    json_text = json.dumps(results, indent=1) + '\n'
    args.out.with_suffix('.json').write_text(json_text, encoding='utf-8')
    draw(results).savefig(args.out.with_suffix('.png'), dpi=90)
    print(text)


if __name__ == '__main__':
    main()
