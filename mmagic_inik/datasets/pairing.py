"""Which photographs of a layout belong together."""

import csv
import re
from pathlib import Path

from natsort import natsorted

from ..errors import InputError
from .holding_out import held_out
from .layouts import PAIR_BY, Layout, folders_of, normal_form, photos_of

# Input and target; without ground truth the latter is None.
Pair = tuple[Path, Path | None]


def find_pairs(root: Path, layout: Layout) -> tuple[list[Pair], list[str]]:
    """Pair the files of a layout that :func:`find_layout` found.

    Args:
        root (Path): The data set's folder.
        layout (Layout): With ``{split}`` replaced.

    Returns:
        tuple[list[Pair], list[str]]: Pairs in natural order of the inputs (a manifest:
        in its order), and what is wrong with the rest.
    """
    if layout.manifest:
        return _pairs_of_manifest(root / layout.manifest)
    inputs, targets = photos_of(root, layout)
    if layout.target is None:
        return [(path, None) for path in inputs], []
    folders = folders_of(root, layout)
    if layout.pair_by == 'order':
        return _pair_by_order(inputs, targets, folders)
    keys: list[dict[Path, str | None]]
    if layout.pair_by == 'key':
        keys = [
            {path: _group(pattern or '', path.stem) for path in paths}
            for pattern, paths in (
                (layout.input_key, inputs),
                (layout.target_key, targets),
            )
        ]
    else:
        keys = [
            {
                path: normal_form(path.relative_to(folder).with_suffix(''))
                for path in paths
            }
            for folder, paths in zip(folders, (inputs, targets), strict=True)
        ]
    return _pair_by_key(keys[0], keys[1], layout.pair_by == 'key', folders)


def find_views(root: Path, layout: Layout) -> dict[str, dict[Path, Path]]:
    """The dual-pixel views of a layout's inputs.

    Args:
        root (Path): The data set's folder.
        layout (Layout): With ``{split}`` replaced.

    Returns:
        dict[str, dict[Path, Path]]: ``left`` and ``right``: the view of every input
        that has one.

    Raises:
        InputError: If the layout has none, or their folders do not fit its inputs.
    """
    if not (layout.left and layout.right) or layout.pair_by not in ('name', 'order'):
        raise InputError(
            f'{root} ({layout}) has no left and right views; give views=False, or a '
            "layout with left and right that pairs by 'name' or 'order'"
        )
    views = {}
    for view in ('left', 'right'):
        # As if the views were the ground truth.
        halves = layout._replace(target=getattr(layout, view), target_files='**/*')
        folder = folders_of(root, halves)[1]
        if not folder.is_dir():
            raise InputError(
                f'{folder}, where the {view} views of {root} ({layout}) should be, is '
                'no folder; give views=False, or put them there'
            )
        pairs, problems = find_pairs(root, halves)
        if problems and not pairs:
            raise InputError(f'{view} views of {root}: {"; ".join(problems)}')
        views[view] = {path: of_path for path, of_path in pairs if of_path is not None}
    return views


def hold_out(pairs: list[Pair], share: float) -> tuple[list[Pair], list[Pair]]:
    """Divide pairs, by whole targets, into those to train on and those to test on.

    Args:
        pairs (list[Pair]): With ground truth.
        share (float): Of the targets, in (0, 1), as :func:`held_out` takes it.

    Returns:
        tuple[list[Pair], list[Pair]]: For training, and kept out.

    Raises:
        InputError: If they cannot be divided.
    """
    targets = (target for _, target in pairs if target is not None)
    kept_out = held_out(targets, share)
    return (
        [pair for pair in pairs if pair[1] not in kept_out],
        [pair for pair in pairs if pair[1] in kept_out],
    )


def _as_stored(folder: Path, name: str) -> Path:
    """The file of that name, whose accents the system may have composed otherwise."""
    at = folder
    for part in Path(name).parts:
        here = at / part
        if not here.exists() and at.is_dir():
            same = (p for p in at.iterdir() if normal_form(p.name) == normal_form(part))
            here = next(same, here)
        at = here
    return at


def _group(pattern: str, stem: str) -> str | None:
    match = re.fullmatch(pattern, normal_form(stem))
    return match and match[1]


def _pair_by_key(
    inputs: dict[Path, str | None],
    targets: dict[Path, str | None],
    many: bool,
    folders: list[Path],
) -> tuple[list[Pair], list[str]]:
    """Pairs of equal key, and what is wrong with the rest."""
    problems = []
    by_key: list[dict[str | None, Path]] = []
    for keys, unique in ((inputs, not many), (targets, True)):
        paths: dict[str | None, Path] = {}
        for path, key in keys.items():
            if unique and key is not None and key in paths:
                problems.append(f'{paths[key]} and {path} share one name')
            paths[key] = path
        by_key.append(paths)
    ours, theirs = (paths.keys() - {None} for paths in by_key)
    if not ours & theirs:
        return [], [
            f'nothing in {folders[0]} pairs with anything in {folders[1]} by '
            f'{"key" if many else "name"}; choose another layout.pair_by '
            f'({", ".join(PAIR_BY)})'
        ]
    pairs: list[Pair] = [
        (path, by_key[1][key])
        for path, key in inputs.items()
        if key in theirs and (many or by_key[0][key] == path)
    ]
    problems += [f'{p} has no target' for p, key in inputs.items() if key not in theirs]
    problems += [f'{p} has no input' for p, key in targets.items() if key not in ours]
    return pairs, natsorted(problems)


def _pair_by_order(
    inputs: list[Path], targets: list[Path], folders: list[Path]
) -> tuple[list[Pair], list[str]]:
    """The n-th input with the n-th target, if there are as many of either."""
    if len(inputs) == len(targets):
        return list(zip(inputs, targets, strict=True)), []
    return [], [
        f'{folders[0]} holds {len(inputs)} and {folders[1]} {len(targets)} '
        'photographs, which pair by sorted order and must be as many'
    ]


def _pairs_of_manifest(manifest: Path) -> tuple[list[Pair], list[str]]:
    """The pairs that a file lists, and its bad lines."""
    pairs, problems = [], []
    try:
        # Spreadsheets begin a file with a byte order mark.
        lines = manifest.read_text('utf-8-sig').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f'{manifest} cannot be read ({error}); save it as UTF-8 text'
        ) from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith('#'):
            continue
        row = next(csv.reader([line], skipinitialspace=True))
        cells = [cell.strip() for cell in row]
        where = f'{manifest} line {number}'
        if len(cells) > 2 or not all(cells):
            problems.append(f'{where} is not `input,target` or `input`: {line}')
            continue
        paths = [_as_stored(manifest.parent, cell) for cell in cells]
        problems += [f'{where}: {p} is no file' for p in paths if not p.is_file()]
        pairs.append((paths[0], paths[1] if len(paths) == 2 else None))
    if len({target is None for _, target in pairs}) > 1:
        problems.append(f'{manifest} has lines with and lines without a target')
    if not pairs and not problems:
        problems.append(f'{manifest} lists no photographs')
    return pairs, problems
