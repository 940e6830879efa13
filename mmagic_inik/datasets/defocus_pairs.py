"""Pairs of a defocused and an all-in-focus photograph of the same scene."""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmagic.registry import DATASETS, TRANSFORMS
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from natsort import natsorted

from ..errors import InputError
from .photos import EXTENSIONS, photo_size, read_photo

MAX_REPORTED = 50


class Layout(NamedTuple):
    """Where a data set keeps its two halves, relative to its root.

    Attributes:
        input (str): Folder of blurred photographs.
        target (str): Folder of sharp photographs.
        pair_by (str): ``'name'``: same stem, extensions may differ; ``'order'``: the
            n-th of either folder in natural order.
    """

    input: str
    target: str
    pair_by: str = 'name'

    def __str__(self) -> str:
        """As error messages write it."""
        return f'{self.input} + {self.target}'


_PLAIN = Layout('input', 'target')
PRESETS = {
    # The original DPDD names source and target of a pair a number or two apart; the
    # repacked one (as Restormer distributes it) names them alike.
    'dpdd': {
        'train': (
            Layout('train_c/source', 'train_c/target', 'order'),
            Layout('train/inputC', 'train/target'),
            Layout('train/input', 'train/target'),
            _PLAIN,
        ),
        'val': (
            Layout('val_c/source', 'val_c/target', 'order'),
            Layout('val/inputC', 'val/target'),
            Layout('val/input', 'val/target'),
            # The repacked form has no validation set of its own.
            Layout('test/inputC', 'test/target'),
            Layout('test/input', 'test/target'),
            _PLAIN,
        ),
        'test': (
            Layout('test_c/source', 'test_c/target', 'order'),
            Layout('test/inputC', 'test/target'),
            Layout('test/input', 'test/target'),
            _PLAIN,
        ),
    },
}


@DATASETS.register_module()
class DefocusPairDataset(BaseDataset):
    """Pairs found by the folder layout of a known data set.

    The first layout of the preset whose two folders exist under ``data_root`` is
    taken. Before anything is trained, every file's header and end are read: unpaired
    files, unreadable files and pairs of different size are reported all at once.

    Args:
        data_root (str): Folder of the data set.
        split (str): ``'train'``, ``'val'`` or ``'test'``. Default: ``'train'``.
        preset (str): Name in :data:`PRESETS`. Default: ``'dpdd'``, which also takes
            plain ``input`` and ``target`` folders.
        pipeline (list): Transforms; the first is ``LoadDefocusPair``.
        **kwargs: As in mmengine's ``BaseDataset``.

    Raises:
        InputError: If the folder is missing or empty, or files do not pair.
        ValueError: If ``preset`` or ``split`` is unknown.
    """

    METAINFO = dict(dataset_type='defocus_pairs', task_name='deblurring')

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        preset: str = 'dpdd',
        pipeline: list | tuple = (),
        **kwargs,
    ) -> None:
        if preset not in PRESETS:
            raise ValueError(f'preset must be in {tuple(PRESETS)}, got {preset!r}')
        if split not in PRESETS[preset]:
            raise ValueError(
                f'split must be in {tuple(PRESETS[preset])}, got {split!r}'
            )
        self.split = split
        self.layouts = PRESETS[preset][split]
        self.test_layouts = PRESETS[preset]['test']
        super().__init__(data_root=data_root, pipeline=list(pipeline), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Find and check the pairs.

        Returns:
            list[dict]: ``img_path`` and ``gt_path`` of each pair, in natural order.
        """
        layout = self._find_layout()
        folders = [Path(self.data_root, part) for part in (layout.input, layout.target)]
        inputs, targets = map(_photos, folders)
        if layout.pair_by == 'order':
            pairs, problems = _pair_by_order(inputs, targets, folders)
        else:
            pairs, problems = _pair_by_name(inputs, targets)
        problems += [problem for paths in pairs for problem in _check_pair(*paths)]
        if problems:
            shown = problems[:MAX_REPORTED]
            if len(problems) > MAX_REPORTED:
                shown.append(f'and {len(problems) - MAX_REPORTED} more')
            raise InputError(
                f'{self.data_root} has files that cannot be used: ' + '; '.join(shown)
            )
        if layout is _PLAIN:
            print_log(
                f'{self.data_root} is not divided into train, val and test: all '
                f'{len(pairs)} pairs are used for {self.split}.',
                'current',
                logging.WARNING,
            )
        elif self.split == 'val' and layout in self.test_layouts:
            print_log(
                f'{self.data_root} has no validation photos: the best checkpoint will '
                'have been chosen on the test photos.',
                'current',
                logging.WARNING,
            )
        return [dict(img_path=str(i), gt_path=str(t)) for i, t in pairs]

    def _find_layout(self) -> Layout:
        root = Path(self.data_root)
        accepted = (
            f'for {self.split} one of these folder pairs is expected under it: '
            + ', '.join(map(str, self.layouts))
            + '; `--cfg-options data_root=PATH` names another place'
        )
        if not root.is_dir():
            raise InputError(f'data_root {root} is not a folder; {accepted}')
        for layout in self.layouts:
            folders = root / layout.input, root / layout.target
            if all(folder.is_dir() for folder in folders):
                if any(map(_photos, folders)):
                    return layout
                raise InputError(
                    f'{folders[0]} and {folders[1]} hold no photographs '
                    f'({", ".join(EXTENSIONS)}); {accepted}'
                )
        raise InputError(f'data_root {root} has no known layout; {accepted}')


@TRANSFORMS.register_module()
class LoadDefocusPair(BaseTransform):
    """Read ``img_path`` and ``gt_path`` into ``img`` and ``gt``, RGB.

    Sixteen-bit files become float32 in [0, 255], others uint8.

    Args:
        use_cache (bool): Keep every decoded photograph in memory, in each worker.
            For data sets of a few dozen photographs. Default: False.
    """

    def __init__(self, use_cache: bool = False) -> None:
        self.use_cache = use_cache
        self._cache: dict[str, np.ndarray] = {}

    def transform(self, results: dict) -> dict:
        """Add images, channel orders and ``scale`` (1, for MMagic's paired crop)."""
        for key in ('img', 'gt'):
            results[key] = self._read(results[f'{key}_path'])
            results[f'{key}_channel_order'] = 'RGB'
            results[f'ori_{key}_shape'] = results[key].shape
        _require_same_size(
            results['img_path'],
            results['img'].shape[1::-1],
            results['gt_path'],
            results['gt'].shape[1::-1],
        )
        results['scale'] = 1
        return results

    def _read(self, path: str) -> np.ndarray:
        if not self.use_cache:
            return read_photo(path)
        if path not in self._cache:
            self._cache[path] = read_photo(path)
        # MMagic flips crops in place: what is cached is given out as a copy.
        return self._cache[path].copy()


def _photos(folder: Path) -> list[Path]:
    files = (path for path in folder.iterdir() if not path.name.startswith('.'))
    return natsorted(path for path in files if path.suffix.lower() in EXTENSIONS)


def _pair_by_name(
    inputs: list[Path], targets: list[Path]
) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Pairs of equal stem, and what is wrong with the rest."""
    problems = []
    by_stem: list[dict[str, Path]] = []
    for paths in (inputs, targets):
        stems: dict[str, Path] = {}
        for path in paths:
            if path.stem in stems:
                problems.append(f'{stems[path.stem]} and {path} share one name')
            stems[path.stem] = path
        by_stem.append(stems)
    ours, theirs = by_stem
    problems += [f'{ours[s]} has no target' for s in ours.keys() - theirs.keys()]
    problems += [f'{theirs[s]} has no input' for s in theirs.keys() - ours.keys()]
    pairs = [(path, theirs[s]) for s, path in ours.items() if s in theirs]
    return pairs, natsorted(problems)


def _pair_by_order(
    inputs: list[Path], targets: list[Path], folders: list[Path]
) -> tuple[list[tuple[Path, Path]], list[str]]:
    """The n-th input with the n-th target, if there are as many of either."""
    if len(inputs) == len(targets):
        return list(zip(inputs, targets, strict=True)), []
    return [], [
        f'{folders[0]} holds {len(inputs)} and {folders[1]} {len(targets)} '
        'photographs, which pair by sorted order and must be as many'
    ]


def _check_pair(img_path: Path, gt_path: Path) -> list[str]:
    """What is wrong with a pair, by its files' headers."""
    problems, sizes = [], []
    for path in (img_path, gt_path):
        try:
            sizes.append(photo_size(path))
        except InputError as error:
            problems.append(str(error))
    if not problems:
        try:
            _require_same_size(img_path, sizes[0], gt_path, sizes[1])
        except InputError as error:
            problems.append(str(error))
    return problems


def _require_same_size(
    img_path: str | Path,
    img_size: tuple[int, int],
    gt_path: str | Path,
    gt_size: tuple[int, int],
) -> None:
    if tuple(img_size) != tuple(gt_size):
        raise InputError(
            f'{img_path} is {img_size[0]}x{img_size[1]} pixels but its target '
            f'{gt_path} {gt_size[0]}x{gt_size[1]}; replace or remove one of them'
        )
