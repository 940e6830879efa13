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
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from spectra import CLASSES, MIDDLES, crops_of_pairs, crops_of_scenes, describe

from mmagic_inik.benchmark.origin import describe_commit

RESULTS = Path(__file__).resolve().parent / 'results' / 'renderer_spectra'


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
