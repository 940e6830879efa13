"""Look through a data set before training: what pairs, what is damaged, what it shows.

Every photo of every pair is decoded completely. Ends with status 1 if a file cannot be
used; a contact sheet shows pairs as they would be trained on.
"""

import mmagic_inik.full_setup  # noqa: F401

import argparse
import math
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from mmengine.utils import track_iter_progress

from mmagic_inik.datasets import read_photo
from mmagic_inik.datasets.inspection import (
    UNDIVIDED,
    Checked,
    check_pair,
    suspicions,
)
from mmagic_inik.datasets.layouts import (
    PRESETS,
    SPLITS,
    Layout,
    find_layout,
    make_layout,
)
from mmagic_inik.datasets.pairing import Pair, find_pairs
from mmagic_inik.errors import InputError
from mmagic_inik.visualization import contact_sheet

CGROUPS = Path('/sys/fs/cgroup')
OWN_GROUPS = Path('/proc/self/cgroup')


def find_splits(
    root: Path, layouts: Iterable[Layout], split: str
) -> dict[str, tuple[Layout, list[Pair], list[str]]]:
    """Layout, pairs and problems of each split that has a place of its own.

    Args:
        root (Path): The data set's folder.
        layouts (Iterable[Layout]): Candidates.
        split (str): One split, or ``'all'``.

    Raises:
        InputError: If there is none.
    """
    found, errors = {}, []
    for name in SPLITS if split == 'all' else (split,):
        try:
            layout, place = find_layout(root, name, layouts)
        except InputError as error:
            errors.append(error)
            continue
        found.setdefault(place or UNDIVIDED, (layout, *find_pairs(root, layout)))
    if not found:
        raise errors[0]
    return found


def report(split: str, layout: Layout, checked: list[Checked]) -> None:
    """Print what one split holds."""
    good = [pair for pair in checked if not pair.problems]
    targets = len({pair.paths[1] for pair in good} - {None})
    print(f'\n{split} ({layout}): {len(good)} inputs, {targets or "no"} targets')
    photos = [photo for pair in good for photo in pair.photos]
    print('  sizes:', _counted(photo.size for photo in photos))
    print('  files:', _counted(photo.kind for photo in photos))
    scored = sorted(
        (p for p in good if p.psnr is not None and np.isfinite(p.psnr)),
        key=lambda pair: pair.psnr,
    )
    if scored:
        mean = np.mean([pair.psnr for pair in scored])
        least, most = (
            f'{pair.psnr:.2f} ({pair.paths[0].name})'
            for pair in (scored[0], scored[-1])
        )
        print(
            f'  PSNR of input against target in dB: mean {mean:.2f}, least {least}, '
            f'most {most}'
        )


def draw(checked: list[Checked], count: int, title: str, out: Path) -> None:
    """Write a contact sheet of pairs at even distances."""
    at = np.unique(np.linspace(0, len(checked) - 1, count).round().astype(int))
    images, titles = [], []
    for pair in (checked[n] for n in at):
        paths = [path for path in pair.paths if path is not None]
        images.append([read_photo(path) for path in paths])
        titles.append([path.name for path in paths])
        if pair.psnr is not None:
            titles[-1][0] += f', {pair.psnr:.2f} dB'
    out.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(images, titles, title).savefig(out, dpi=100)
    print(f'{out} shows {len(at)} of {len(checked)}')


def _counted(values: Iterable[str], most: int = 8) -> str:
    counts = Counter(values).most_common()
    shown = [f'{value} ({count})' for value, count in counts[:most]]
    if len(counts) > most:
        shown.append(f'and {len(counts) - most} more')
    return ', '.join(shown) or 'none'


def _layout(options: list[str]) -> dict[str, str | None]:
    """``input=a target=None`` as a layout's options."""
    for option in options:
        if '=' not in option:
            raise InputError(f'--layout {option} is not of the form KEY=VALUE')
    pairs = (option.split('=', 1) for option in options)
    return {key: None if value == 'None' else value for key, value in pairs}


def usable_cores() -> int:
    """Cores that this process may use, by its affinity and its control groups."""
    cores = float(len(os.sched_getaffinity(0)))
    lines = OWN_GROUPS.read_text().splitlines() if OWN_GROUPS.exists() else []
    for line in lines:
        _, controllers, path = line.split(':', 2)
        cores = min(cores, *_quotas(controllers, path.lstrip('/')))
    return max(1, math.ceil(cores))


def _quotas(controllers: str, path: str) -> Iterator[float]:
    """Cores that a control group and those above it may use."""
    yield math.inf
    # Version 1 has a tree per controller.
    root = CGROUPS / 'cpu' if 'cpu' in controllers.split(',') else CGROUPS
    for group in (root / path, *(root / path).parents):
        if (group / 'cpu.max').is_file():  # version 2
            quota, period = (group / 'cpu.max').read_text().split()
        elif (group / 'cpu.cfs_quota_us').is_file():
            quota, period = (
                (group / f'cpu.cfs_{name}_us').read_text().strip()
                for name in ('quota', 'period')
            )
        else:
            continue
        if quota not in ('max', '-1'):
            yield int(quota) / int(period)


def check(pairs: dict[str, list[Pair]]) -> dict[str, list[Checked]]:
    """Check the pairs of every split, with a progress bar."""
    waiting = [(split, pair) for split, of_split in pairs.items() for pair in of_split]
    checked: dict[str, list[Checked]] = {split: [] for split in pairs}
    # Decoders work outside Python's lock.
    with ThreadPoolExecutor(usable_cores()) as pool:
        results = pool.map(check_pair, [pair for _, pair in waiting])
        bar = track_iter_progress((results, len(waiting)), file=sys.stderr)
        for (split, _), result in zip(waiting, bar, strict=True):
            checked[split].append(result)
    return checked


def run(args: argparse.Namespace) -> int:
    """Check, report and draw; returns the number of problems."""
    if args.num_pairs < 1:
        raise InputError(f'--num-pairs is {args.num_pairs}; give 1 at least')
    layouts = PRESETS[args.preset]
    if args.layout:
        layouts = (make_layout(_layout(args.layout)),)
    splits = find_splits(args.root, layouts, args.split)
    checked = check({split: pairs for split, (_, pairs, _) in splits.items()})
    problems = [problem for _, _, unpaired in splits.values() for problem in unpaired]
    for split, (layout, _, _) in splits.items():
        report(split, layout, checked[split])
        problems += [problem for pair in checked[split] for problem in pair.problems]
    # A target of many inputs is read with each, and told once.
    problems = list(dict.fromkeys(problems))
    odd = suspicions(checked)
    for kind, sentences in (('unusable', problems), ('suspicious', odd)):
        for sentence in sentences:
            print(f'{kind}: {sentence}')
    good = [p for of_split in checked.values() for p in of_split if not p.problems]
    if good:
        kinds = 'input' if good[0].paths[1] is None else 'input | target'
        draw(good, args.num_pairs, f'{args.root}: {kinds}', args.out)
    print(f'{len(problems)} unusable, {len(odd)} suspicious')
    return len(problems)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('root', type=Path, help="the data set's folder")
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--preset', choices=PRESETS, default='folders')
    what.add_argument(
        '--layout',
        nargs='+',
        metavar='KEY=VALUE',
        help='your own, such as input=blurred target=sharp pair_by=order; KEY is '
        + ', '.join(Layout._fields),
    )
    parser.add_argument('--split', choices=('all', *SPLITS), default='all')
    parser.add_argument('--out', type=Path, default='contact_sheet.png')
    parser.add_argument(
        '--num-pairs', type=int, default=12, help='on the contact sheet'
    )
    args = parser.parse_args()
    try:
        sys.exit(bool(run(args)))
    except InputError as error:
        sys.exit(f'check_dataset: {error}')


if __name__ == '__main__':
    main()
