"""Where data sets of photographs keep their halves, and which files pair."""

import glob
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from natsort import natsorted

from ..errors import InputError
from ..photos import EXTENSIONS

SPLITS = ('train', 'val', 'test')
PAIR_BY = ('name', 'order', 'key', 'manifest')


class Layout(NamedTuple):
    r"""Where a data set keeps its two halves and what pairs them.

    Paths are relative to the data set's root, or absolute. ``{split}`` in a path stands
    for the split's name; a layout without it is not divided into splits.

    Attributes:
        input (str): Folder of blurred photographs. Default: ``'input'``.
        target (str, optional): Folder of sharp photographs; None: there is no ground
            truth. Default: ``'target'``.
        pair_by (str): ``'name'``: same path below its folder, extensions may differ;
            ``'order'``: the n-th of either in natural order; ``'key'``: the groups of
            ``input_key`` and ``target_key`` are equal, so that many inputs can have one
            target; ``'manifest'``: as a file lists them. Default: ``'name'``.
        input_key (str, optional): Regular expression for the whole name of an input
            without extension, with one group: ``'(.+)_blur\d'``. Default: None.
        target_key (str, optional): The same for targets. Default: None.
        input_files (str): Glob pattern, below the folder, of what is an input.
            Default: every photograph, in sub-folders too.
        target_files (str): The same for targets.
        manifest (str, optional): CSV file with ``input,target``, or ``input`` alone,
            in each line; paths relative to the file's folder, ``#`` begins a comment.
            Default: None.
        left (str, optional): Folder of the left dual-pixel views of the inputs, which
            pair with them as targets do by ``'name'`` or ``'order'``. Default: None,
            there are none.
        right (str, optional): The same of the right views.
    """

    input: str = 'input'
    target: str | None = 'target'
    pair_by: str = 'name'
    input_key: str | None = None
    target_key: str | None = None
    input_files: str = '**/*'
    target_files: str = '**/*'
    manifest: str | None = None
    left: str | None = None
    right: str | None = None

    def __str__(self) -> str:
        """As error messages write it."""
        if self.manifest:
            return self.manifest
        # A pattern tells what is looked for where the folder alone does not.
        named = self.input_files != '**/*'
        source = f'{self.input}/{self.input_files}' if named else self.input
        return f'{source} + {self.target}' if self.target else source

    @property
    def divided(self) -> bool:
        """Whether each split has a place of its own."""
        paths = (self.input, self.target, self.manifest)
        return any('{split}' in path for path in paths if path)

    def of_split(self, split: str) -> 'Layout':
        """The layout with ``{split}`` replaced."""
        paths = {
            key: path.replace('{split}', split)
            for key in ('input', 'target', 'manifest', 'left', 'right')
            if (path := getattr(self, key))
        }
        return self._replace(**paths)


PRESETS: dict[str, tuple[Layout, ...]] = {
    # The original DPDD names source and target of a pair a number or two apart; the
    # repacked one (as Restormer distributes it) names them alike.
    'dpdd': (
        *(
            Layout(
                f'{root}{{split}}_c/source',
                f'{root}{{split}}_c/target',
                'order',
                left=f'{root}{{split}}_l/source',
                right=f'{root}{{split}}_r/source',
            )
            for root in ('', 'dd_dp_dataset_png/')
        ),
        Layout(
            '{split}/inputC',
            '{split}/target',
            left='{split}/inputL',
            right='{split}/inputR',
        ),
        Layout('{split}/input', '{split}/target'),
        Layout(),
    ),
    # input/<scene>/<scene>_ap*.png → ground_truth/<scene>.png
    'lfdof': (
        Layout(
            '{split}_data/input',
            '{split}_data/ground_truth',
            'key',
            input_key='(.+)_ap.*',
            target_key='(.+)',
        ),
    ),
    'realdof': (Layout('source', 'target'),),
    # image/0/image_XX.png ↔ GT/sharp_XX.png
    'rtf': (
        Layout(
            'image/0',
            'GT',
            'key',
            input_key=r'image_(\d+)',
            target_key=r'sharp_(\d+)',
        ),
    ),
    # Its blur masks in other folders bear the photographs' names.
    'cuhk': (
        Layout('image', None, input_files='out_of_focus*'),
        Layout('.', None, input_files='out_of_focus*'),
    ),
    'folders': (Layout('{split}/input', '{split}/target'), Layout()),
}


def make_layout(options: dict) -> Layout:
    """A user's own layout.

    Args:
        options (dict): Attributes of :class:`Layout`; the others keep their defaults.

    Raises:
        InputError: If an option is unknown, missing, or of no use.
    """
    for key in options.keys() - set(Layout._fields):
        raise InputError(
            f'layout.{key} is unknown; a layout has {", ".join(Layout._fields)}'
        )
    layout = Layout(**options)
    if layout.manifest and 'pair_by' not in options:
        layout = layout._replace(pair_by='manifest')
    if layout.pair_by not in PAIR_BY:
        raise InputError(
            f'layout.pair_by is {layout.pair_by!r}; choose one of {", ".join(PAIR_BY)}'
        )
    needed = {'manifest': ('manifest',), 'key': ('input_key', 'target_key')}
    for pair_by, keys in needed.items():
        for key in keys:
            if (getattr(layout, key) is None) == (layout.pair_by == pair_by):
                raise InputError(
                    f'layout.{key} goes with layout.pair_by={pair_by}, but they are '
                    f'{getattr(layout, key)!r} and {layout.pair_by!r}; give both or '
                    'neither'
                )
    for key in needed['key']:
        _require_one_group(key, getattr(layout, key))
    return layout


def find_layout(
    root: Path, split: str, layouts: Iterable[Layout]
) -> tuple[Layout, str | None]:
    """The first layout whose folders, or whose manifest, exist.

    Divided layouts come before undivided ones; a validation split that has no place of
    its own is looked for where the test split is.

    Args:
        root (Path): The data set's folder.
        split (str): ``'train'``, ``'val'`` or ``'test'``.
        layouts (Iterable[Layout]): Candidates.

    Returns:
        tuple[Layout, str | None]: The layout, ``{split}`` replaced, and the split that
        replaced it; None if the layout is not divided.

    Raises:
        InputError: If there is none, or its folders hold no photographs.
    """
    layouts = list(layouts)
    places = ('val', 'test') if split == 'val' else (split,)
    candidates: list[tuple[Layout, str | None]] = [
        (layout.of_split(place), place)
        for place in places
        for layout in layouts
        if layout.divided
    ]
    candidates += [(layout, None) for layout in layouts if not layout.divided]
    accepted = (
        f'for {split} one of these is expected under it: '
        + ', '.join(str(layout) for layout, _ in candidates)
        + '; give another place, to train.py and test.py by '
        '`--cfg-options data_root=PATH`'
    )
    for layout, place in candidates:
        if _missing(root, layout):
            continue
        if layout.manifest or any(photos_of(root, layout)):
            return layout, place
        held = ' and '.join(map(str, folders_of(root, layout)))
        raise InputError(
            f'{held} hold no photographs ({", ".join(EXTENSIONS)}); {accepted}'
        )
    absolute = [path for path in _missing(Path(), candidates[0][0]) if path.root]
    if absolute:
        raise InputError(f'{absolute[0]}, which the layout names, does not exist')
    problem = 'has no known layout' if root.is_dir() else 'is not a folder'
    raise InputError(f'data set {root} {problem}; {accepted}')


def folders_of(root: Path, layout: Layout) -> list[Path]:
    """Its input folder, and its target folder if there is one."""
    return [root / part for part in (layout.input, layout.target) if part is not None]


def photos_of(root: Path, layout: Layout) -> tuple[list[Path], list[Path]]:
    """Inputs and targets in natural order; hidden files are not looked at."""
    found = []
    patterns = (layout.input_files, layout.target_files)
    for folder, pattern in zip(folders_of(root, layout), patterns, strict=False):
        names = map(Path, _matches(folder, pattern))
        photos = [folder / name for name in names if name.suffix.lower() in EXTENSIONS]
        found.append(natsorted(photos, key=normal_form))
    return found[0], [] if layout.target is None else found[1]


def normal_form(path: str | Path) -> str:
    """Text that is equal for equal names: systems compose accents differently."""
    return unicodedata.normalize('NFC', str(path))


def _matches(folder: Path, pattern: str) -> Iterator[str]:
    """What a glob pattern with ``**`` finds, links to folders followed, but not round.

    ``glob`` would list what is in a loop of links at every level, and in two loops at
    every way through both.
    """
    if re.search(r'(^|/)\*\*$', pattern):
        pattern += '/*'
    head, anywhere, tail = pattern.partition('**/')
    if not anywhere:
        yield from glob.glob(pattern, root_dir=folder)
        return
    # Not `ends**/`, which means no more than a single asterisk.
    tops = glob.glob(head, root_dir=folder) if head else ['']
    for top in tops:
        for inside in _folders(folder / top):
            for name in _matches(inside, tail):
                yield str((inside / name).relative_to(folder))


def _folders(top: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """A folder and all within it that are not hidden, none within itself."""
    real = top.resolve()
    if real in above or not top.is_dir():
        return
    yield top
    with os.scandir(top) as entries:
        inside = sorted(e.name for e in entries if e.is_dir())
    for name in inside:
        if not name.startswith('.'):
            yield from _folders(top / name, (*above, real))


def _missing(root: Path, layout: Layout) -> list[Path]:
    """What the layout names and is not there."""
    if layout.manifest:
        path = root / layout.manifest
        return [] if path.is_file() else [path]
    return [folder for folder in folders_of(root, layout) if not folder.is_dir()]


def _require_one_group(key: str, pattern: str | None) -> None:
    try:
        groups = 1 if pattern is None else re.compile(pattern).groups
    except re.error as error:
        raise InputError(
            f'layout.{key} {pattern!r} is no regular expression ({error}); correct it'
        ) from error
    if groups != 1:
        raise InputError(
            f'layout.{key} {pattern!r} has {groups} groups; put one (…) around what '
            'input and target have in common'
        )
