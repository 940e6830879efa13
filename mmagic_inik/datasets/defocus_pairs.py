"""Pairs of a defocused and an all-in-focus photograph of the same scene."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmagic.registry import DATASETS, TRANSFORMS
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from ..errors import InputError
from ..photos import photo_size, read_photo
from .layouts import PRESETS, SPLITS, find_layout, make_layout
from .pairing import Pair, find_pairs, find_views, hold_out

MAX_REPORTED = 50
# What an item can hold, the input first, and what messages call it.
WORDS = dict(img='input', gt='target', left='left view', right='right view')
KEYS = tuple(WORDS)


@DATASETS.register_module()
class DefocusPairDataset(BaseDataset):
    """Pairs found by the folder layout of a known data set, or by one of your own.

    The first layout of the preset whose folders exist under ``data_root`` is taken.
    Before anything is trained, every file's header and end are read: unpaired files,
    unreadable files and pairs of different size are reported all at once.

    A validation split without a place of its own is taken from the test split. Of data
    that is not divided into splits, each split sees all pairs, or those that
    ``val_share`` leaves it.

    Args:
        data_root (str): Folder of the data set; not looked at where the layout's paths
            are absolute.
        split (str): ``'train'``, ``'val'`` or ``'test'``. Default: ``'train'``.
        preset (str): Name in :data:`~.layouts.PRESETS`. Default: ``'dpdd'``, which also
            takes plain ``input`` and ``target`` folders.
        layout (dict, optional): In place of a preset, attributes of
            :class:`~.layouts.Layout` that differ from its defaults. Default: None.
        val_share (float): Share of the targets, in [0, 1), that undivided data keeps
            out of ``'train'`` for ``'val'`` and ``'test'``, with all of their inputs:
            those that :func:`~.holding_out.held_out` chooses. 0: every split sees all.
            Default: 0.
        views (bool): Whether each item has the ``left`` and the ``right`` dual-pixel
            view of its input, too. Default: False.
        pipeline (list): Transforms; the first is ``LoadDefocusPair``.
        **kwargs: As in mmengine's ``BaseDataset``.

    Raises:
        InputError: If the folder is missing or empty, files do not pair, or an option
            is wrong.
        ValueError: If ``split`` is unknown.
    """

    METAINFO = dict(dataset_type='defocus_pairs', task_name='deblurring')

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        preset: str = 'dpdd',
        layout: dict | None = None,
        val_share: float = 0.0,
        views: bool = False,
        pipeline: list | tuple = (),
        **kwargs: object,
    ) -> None:
        if preset not in PRESETS:
            raise InputError(f'preset must be in {tuple(PRESETS)}, got {preset!r}')
        if split not in SPLITS:
            raise ValueError(f'split must be in {SPLITS}, got {split!r}')
        if not 0 <= val_share < 1:
            raise InputError(f'val_share must be in [0, 1), got {val_share!r}')
        self.split = split
        self.layouts = (make_layout(layout),) if layout else PRESETS[preset]
        self.val_share = val_share
        self.views = views
        super().__init__(data_root=data_root, pipeline=list(pipeline), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Find and check the pairs.

        Returns:
            list[dict]: ``img_path`` and, where there is ground truth, ``gt_path`` of
            each pair, in natural order of the inputs; with ``views``, ``left_path`` and
            ``right_path``.
        """
        root = Path(self.data_root)
        layout, place = find_layout(root, self.split, self.layouts)
        pairs, problems = find_pairs(root, layout)
        views = find_views(root, layout) if self.views else {}
        for view, paths in views.items():
            problems += [f'{p} has no {view} view' for p, _ in pairs if p not in paths]
            problems += check_pairs(list(paths.items()), f'{view} view')
        refuse(root, problems + check_pairs(pairs))
        if pairs[0][1] is None:
            if self.split == 'train':
                raise InputError(f'{root} ({layout}) has no ground truth to train on')
        elif place is None:
            pairs = self._share_of_split(pairs)
        elif place != self.split:
            _warn(
                f'{root} has no validation photos: the best checkpoint will have been '
                'chosen on the test photos.'
            )
        return [
            _as_item(*pair, **{view: paths[pair[0]] for view, paths in views.items()})
            for pair in pairs
        ]

    def _share_of_split(self, pairs: list[Pair]) -> list[Pair]:
        """Of undivided data, what this split may see."""
        if self.val_share:
            kept, kept_out = hold_out(pairs, self.val_share)
            print_log(
                f'{self.data_root}: {len(kept)} pairs to train on, {len(kept_out)} '
                'kept out for val and test.',
                'current',
            )
            warn_of_one_set(self.data_root, self.split)
            return kept if self.split == 'train' else kept_out
        _warn(
            f'{self.data_root} is not divided into train, val and test: all '
            f'{len(pairs)} pairs are used for {self.split}.'
        )
        return pairs


@TRANSFORMS.register_module()
class LoadDefocusPair(BaseTransform):
    """Read ``img_path``, ``gt_path`` and views into ``img``, ``gt``, …, RGB.

    What has no path is left out: ``gt``, ``left`` and ``right``. Sixteen-bit files
    become float32 in [0, 255], others uint8.

    Args:
        use_cache (bool): Keep every decoded photograph in memory, in each worker.
            For data sets of a few dozen photographs. Default: False.
    """

    def __init__(self, use_cache: bool = False) -> None:
        self.use_cache = use_cache
        self._cache: dict[str, np.ndarray] = {}

    def transform(self, results: dict) -> dict:
        """Add images, channel orders and ``scale`` (1, for MMagic's paired crop)."""
        for key in KEYS:
            if f'{key}_path' in results:
                results[key] = self._read(results[f'{key}_path'])
                results[f'{key}_channel_order'] = 'RGB'
                results[f'ori_{key}_shape'] = results[key].shape
        for key in KEYS[1:]:
            if key not in results:
                continue
            sizes = [results[k].shape[1::-1] for k in ('img', key)]
            paths = [results[f'{k}_path'] for k in ('img', key)]
            if sizes[0] != sizes[1]:
                raise InputError(_mismatch(paths, sizes, WORDS[key]))
        results['scale'] = 1
        return results

    def _read(self, path: str) -> np.ndarray:
        if not self.use_cache:
            return read_photo(path)
        if path not in self._cache:
            self._cache[path] = read_photo(path)
        # MMagic flips crops in place: what is cached is given out as a copy.
        return self._cache[path].copy()


def check_pairs(pairs: list[Pair], word: str = 'target') -> list[str]:
    """What is wrong with pairs, by their files' headers.

    Args:
        pairs (list[Pair]): Input and target, or what ``word`` says.
        word (str): What messages call the second of a pair. Default: ``'target'``.

    Returns:
        list[str]: A sentence per file that cannot be read, and per pair of different
        size.
    """
    problems = []
    # Many inputs can have one target, which is looked at once.
    sizes: dict[Path, tuple[int, int] | None] = {}
    for path in (path for pair in pairs for path in pair):
        if path is None or path in sizes:
            continue
        sizes[path] = None
        try:
            sizes[path] = photo_size(path)
        except InputError as error:
            problems.append(str(error))
    for first, second in pairs:
        if second is None:
            continue
        size, other = sizes[first], sizes[second]
        if size is not None and other is not None and size != other:
            problems.append(_mismatch((first, second), (size, other), word))
    return problems


def refuse(root: Path, problems: list[str]) -> None:
    """Report what is wrong with a data set, all at once.

    Args:
        root (Path): Folder of the data set.
        problems (list[str]): A sentence each.

    Raises:
        InputError: If there are any.
    """
    if problems:
        shown = problems[:MAX_REPORTED]
        if len(problems) > MAX_REPORTED:
            shown.append(f'and {len(problems) - MAX_REPORTED} more')
        raise InputError(f'{root} has files that cannot be used: ' + '; '.join(shown))


def warn_of_one_set(root: str, split: str) -> None:
    """Say once, at validation, that what is kept out is validated and tested on.

    Args:
        root (str): Folder of the data set.
        split (str): ``'train'``, ``'val'`` or ``'test'``.
    """
    if split == 'val':
        _warn(
            f'{root} has the same photos for val and test: the best checkpoint will '
            'have been chosen on the test photos.'
        )


def _as_item(img_path: Path, gt_path: Path | None, **views: Path) -> dict:
    paths = dict(img=img_path, gt=gt_path, **views)
    return {f'{key}_path': str(path) for key, path in paths.items() if path is not None}


def _warn(message: str) -> None:
    print_log(message, 'current', logging.WARNING)


def _mismatch(
    paths: Sequence[str | Path], sizes: Sequence[tuple[int, int]], word: str
) -> str:
    first, second = (f'{width}x{height}' for width, height in sizes)
    return (
        f'{paths[0]} is {first} pixels but its {word} {paths[1]} {second}; replace or '
        'remove one of them'
    )
