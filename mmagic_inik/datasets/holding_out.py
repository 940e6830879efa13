"""Which photographs are kept from training, so that none of them has a twin there."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from natsort import natsorted

from ..errors import InputError
from .layouts import normal_form

# Parts, with what is left of their names: of equal beginning within one list.
_Named = tuple[tuple[str, ...], Path]
# Bursts and sub-images of up to so many are kept together in small sets, too, even if
# that is more than the share.
_SMALL_GROUP = 16


def held_out(paths: Iterable[Path], share: float) -> set[Path]:
    """Choose photographs to keep out, by whole groups and in runs.

    What shows one scene is seldom told apart by anything but its name: neighbours of a
    burst, sub-images of a photograph, the frames in a sub-folder. Names fall into
    groups by what they have in common from the left, number by number, and so do
    sub-folders. Groups no larger, on the average, than what is to be kept out (or than
    16, if there are at least three) are not divided: the last of them in natural order
    are kept out, so that scenes that no name tells apart are cut once. Larger groups,
    such as folders of a data set each, give their part each. Equal files go together,
    whatever their names.

    Args:
        paths (Iterable[Path]): The photographs.
        share (float): Of them, in (0, 1); about so many are kept out, and at least one.

    Returns:
        set[Path]: The photographs to keep out; some are left.

    Raises:
        InputError: If they are not of two groups at least.

    Example:
        >>> names = [f'scene{n}_{m}.png' for n in (1, 2, 3) for m in (1, 2)]
        >>> sorted(map(str, held_out(map(Path, names), 0.2)))
        ['scene3_1.png', 'scene3_2.png']
    """
    paths = natsorted(set(paths), key=normal_form)
    count = min(max(1, round(share * len(paths))), len(paths) - 1)
    kept_out = set(_choose([(_parts(path), path) for path in paths], count))
    kept_out = _with_twins(kept_out, paths)
    if not 0 < len(kept_out) < len(paths):
        raise InputError(
            f'val_share is {share}, but {paths[0]} is the only photo, or all have one '
            'name or content, and cannot be divided; give more or val_share=0'
        )
    return kept_out


def _parts(path: Path) -> tuple[str, ...]:
    """Folders, and the name in pieces of figures and of others; no extension."""
    path = Path(normal_form(path))
    # A folder ends in what no name has.
    folders = [f'{folder}/' for folder in path.parent.parts]
    return (*folders, *re.findall(r'\d+|\D+', path.stem))


def _choose(named: Sequence[_Named], count: int) -> list[Path]:
    """About ``count`` of the photographs."""
    if count in (0, len(named)):
        return [path for _, path in named[:count]]
    groups = _groups(named)
    largest = max(count, min(_SMALL_GROUP, len(named) // 3))
    if len(groups) == 1 or len(named) <= largest * len(groups):
        return _last(groups, count)
    chosen: list[Path] = []
    counts = _in_proportion([len(group) for group in groups], count)
    for group, of_group in zip(groups, counts, strict=True):
        chosen += _choose(group, of_group)
    return chosen


def _groups(named: Sequence[_Named]) -> list[list[_Named]]:
    """Divide by the first part that is not common to all."""
    while True:
        groups: dict[str, list[_Named]] = {}
        for parts, path in named:
            # What ends here is one group, whose parts are then empty.
            groups.setdefault(parts[0] if parts else '', []).append((parts[1:], path))
        if len(groups) > 1 or '' in groups:
            return list(groups.values())
        (named,) = groups.values()


def _last(groups: list[list[_Named]], count: int) -> list[Path]:
    """The last whole groups that come nearest to ``count``; one, and not all."""
    chosen: list[Path] = []
    for group in reversed(groups[1:]):
        # A group too large for the rest, at the very end, is left to training.
        if len(chosen) + len(group) / 2 <= count:
            chosen += [path for _, path in group]
        elif chosen:
            break
    if not chosen and len(groups) > 1:
        smallest = min(reversed(groups), key=len)
        chosen = [path for _, path in smallest]
    return chosen


def _with_twins(kept_out: set[Path], paths: Sequence[Path]) -> set[Path]:
    """Photographs, and all whose file is the same or holds the same bytes."""
    by_size: dict[int | None, list[Path]] = {}
    for path in paths:
        # What does not exist is reported where it is read.
        size = path.stat().st_size if path.is_file() else None
        by_size.setdefault(size, []).append(path)
    twins = set(kept_out)
    for size, of_size in by_size.items():
        if size is None or kept_out.isdisjoint(of_size) or kept_out >= set(of_size):
            continue
        digests = {path: _digest(path) for path in of_size}
        known = {digests[path] for path in of_size if path in kept_out}
        twins |= {path for path in of_size if digests[path] in known}
    return twins


def _digest(path: Path) -> bytes:
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'blake2b').digest()


def _in_proportion(sizes: list[int], count: int) -> list[int]:
    """Whole parts of ``count`` in proportion to sizes; the largest remainders more."""
    exact = [count * size / sum(sizes) for size in sizes]
    parts = [int(part) for part in exact]
    by_rest = sorted(range(len(sizes)), key=lambda n: parts[n] - exact[n])
    for n in by_rest[: count - sum(parts)]:
        parts[n] += 1
    return parts
