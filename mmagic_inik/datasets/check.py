"""A data set is looked through: found, decoded, described and drawn."""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ..command_line import progress_bar
from ..cores import usable_cores
from ..errors import InputError
from ..photos import read_photo
from .inspection import UNDIVIDED, Checked, check_pair, suspicions
from .layouts import SPLITS, Layout, find_layout
from .pairing import Pair, find_pairs


def check_data_set(
    root: Path, layouts: Iterable[Layout], split: str, sheet: Path, num_pairs: int
) -> tuple[str, int]:
    """Check every pair of a data set, and draw some.

    Args:
        root (Path): Its folder.
        layouts (Iterable[Layout]): Candidates.
        split (str): One split, or ``'all'``.
        sheet (Path): File of the contact sheet; written if any pair can be used.
        num_pairs (int): At most so many are on it.

    Returns:
        tuple[str, int]: What is to be said of it, and the number of files that cannot
        be used.

    Raises:
        InputError: If there is none of the layouts.
    """
    if num_pairs < 1:
        raise InputError(f'--num-pairs is {num_pairs}; give 1 at least')
    splits = find_splits(root, layouts, split)
    checked = check_pairs({name: pairs for name, (_, pairs, _) in splits.items()})
    problems = [problem for _, _, unpaired in splits.values() for problem in unpaired]
    lines = []
    for name, (layout, _, _) in splits.items():
        lines += describe_split(name, layout, checked[name])
        problems += [problem for pair in checked[name] for problem in pair.problems]
    # A target of many inputs is read with each, and told once.
    problems = list(dict.fromkeys(problems))
    odd = suspicions(checked)
    lines += [f'unusable: {sentence}' for sentence in problems]
    lines += [f'suspicious: {sentence}' for sentence in odd]
    good = [p for of_split in checked.values() for p in of_split if not p.problems]
    if good:
        kinds = 'input' if good[0].paths[1] is None else 'input | target'
        shown = draw_sheet(good, num_pairs, f'{root}: {kinds}', sheet)
        lines.append(f'{sheet} shows {shown} of {len(good)}')
    lines.append(f'{len(problems)} unusable, {len(odd)} suspicious')
    return '\n'.join(lines), len(problems)


def find_splits(
    root: Path, layouts: Iterable[Layout], split: str
) -> dict[str, tuple[Layout, list[Pair], list[str]]]:
    """Layout, pairs and problems of each split that has a place of its own.

    Args:
        root (Path): The data set's folder.
        layouts (Iterable[Layout]): Candidates.
        split (str): One split, or ``'all'``.

    Returns:
        dict[str, tuple[Layout, list[Pair], list[str]]]: By split, or ``UNDIVIDED``.

    Raises:
        InputError: If there is none.
    """
    found: dict[str, tuple[Layout, list[Pair], list[str]]] = {}
    errors: list[InputError] = []
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


def check_pairs(pairs: dict[str, list[Pair]]) -> dict[str, list[Checked]]:
    """Check the pairs of every split, with a progress bar.

    Args:
        pairs (dict[str, list[Pair]]): By split.

    Returns:
        dict[str, list[Checked]]: Likewise.
    """
    waiting = [(split, pair) for split, of_split in pairs.items() for pair in of_split]
    checked: dict[str, list[Checked]] = {split: [] for split in pairs}
    # Decoders work outside Python's lock.
    with ThreadPoolExecutor(usable_cores()) as pool:
        results = pool.map(check_pair, [pair for _, pair in waiting])
        with progress_bar(len(waiting), 'pair') as bar:
            for (split, _), result in zip(waiting, results, strict=True):
                checked[split].append(result)
                bar.update()
    return checked


def describe_split(split: str, layout: Layout, checked: Sequence[Checked]) -> list[str]:
    """What one split holds.

    Args:
        split (str): Its name.
        layout (Layout): That it has.
        checked (Sequence[Checked]): Its pairs.

    Returns:
        list[str]: Lines: how many, sizes, kinds of files, and PSNR if there is any.
    """
    good = [pair for pair in checked if not pair.problems]
    targets = len({pair.paths[1] for pair in good} - {None})
    photos = [photo for pair in good for photo in pair.photos]
    lines = [
        f'\n{split} ({layout}): {len(good)} inputs, {targets or "no"} targets',
        f'  sizes: {_counted(photo.size for photo in photos)}',
        f'  files: {_counted(photo.kind for photo in photos)}',
    ]
    scored = sorted(
        (
            (pair.psnr, pair.paths[0].name)
            for pair in good
            if pair.psnr is not None and np.isfinite(pair.psnr)
        ),
        key=lambda of_pair: of_pair[0],
    )
    if scored:
        mean = np.mean([psnr for psnr, _ in scored])
        least, most = (f'{psnr:.2f} ({name})' for psnr, name in (scored[0], scored[-1]))
        lines.append(
            f'  PSNR of input against target in dB: mean {mean:.2f}, least {least}, '
            f'most {most}'
        )
    return lines


def draw_sheet(checked: Sequence[Checked], count: int, title: str, sheet: Path) -> int:
    """Write a contact sheet of pairs at even distances.

    Args:
        checked (Sequence[Checked]): Pairs that can be used.
        count (int): At most so many are drawn.
        title (str): Of the sheet.
        sheet (Path): File; its folder is made if absent.

    Returns:
        int: How many were drawn.
    """
    from ..visualization.contact_sheet import contact_sheet

    at = np.unique(np.linspace(0, len(checked) - 1, count).round().astype(int))
    images, titles = [], []
    for pair in (checked[n] for n in at):
        paths = [path for path in pair.paths if path is not None]
        images.append([read_photo(path) for path in paths])
        titles.append([path.name for path in paths])
        if pair.psnr is not None:
            titles[-1][0] += f', {pair.psnr:.2f} dB'
    sheet.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(images, titles, title).savefig(sheet, dpi=100)
    return len(at)


def _counted(values: Iterable[str], most: int = 8) -> str:
    counts = Counter(values).most_common()
    shown = [f'{value} ({count})' for value, count in counts[:most]]
    if len(counts) > most:
        shown.append(f'and {len(counts) - most} more')
    return ', '.join(shown) or 'none'
