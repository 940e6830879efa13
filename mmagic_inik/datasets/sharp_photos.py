"""Sharp photographs, with or without depth, to be blurred by a rendered lens."""

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from mmagic.registry import DATASETS, TRANSFORMS
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from PIL import Image

from ..errors import InputError
from ..photos import EXTENSIONS, check_png, photo_size, read_photo
from .defocus_pairs import refuse, warn_of_one_set
from .holding_out import held_out
from .layouts import SPLITS, Layout, photos_of


@DATASETS.register_module()
class SharpPhotoDataset(BaseDataset):
    """Every photograph in a folder and its sub-folders, as often as wanted.

    Item n depends on n alone; its ``sample_idx`` is n, on which everything random of
    ``SyntheticDefocus`` depends. Before anything is trained, every
    file's header and end are read, and whatever cannot be used is reported at once.

    Args:
        data_root (str): Folder of sharp photographs.
        depth_root (str, optional): Folder of depth maps under the photographs' names:
            PNG of 16 bits. Default: None, no depth.
        split (str): ``'train'``, ``'val'`` or ``'test'``. Default: ``'train'``.
        val_share (float): Share of the photographs, in [0, 1), that is kept out of
            ``'train'`` for ``'val'`` and ``'test'``: those that
            :func:`~.holding_out.held_out` chooses. 0: every split sees all. Default: 0.
        num_samples (int, optional): Length of the data set. Default: None, every
            photograph once, in natural order.
        seed (int, optional): With ``num_samples``, every round through the photographs
            has an order of its own, drawn from this and the round's number; from 0.
            None: natural order in all. Default: 0.
        pipeline (list): Transforms; the first is ``LoadSharpPhoto``.
        **kwargs: As in mmengine's ``BaseDataset``.

    Raises:
        InputError: If the folder is missing or without photographs, or files cannot be
            used.
        ValueError: If an argument is out of its range.
    """

    METAINFO = dict(dataset_type='sharp_photos', task_name='deblurring')

    def __init__(
        self,
        data_root: str,
        depth_root: str | None = None,
        split: str = 'train',
        val_share: float = 0.0,
        num_samples: int | None = None,
        seed: int | None = 0,
        pipeline: list | tuple = (),
        **kwargs: object,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f'split must be in {SPLITS}, got {split!r}')
        if not 0 <= val_share < 1:
            raise InputError(f'val_share must be in [0, 1), got {val_share!r}')
        if num_samples is not None and num_samples < 1:
            raise ValueError(f'num_samples must be positive, got {num_samples}')
        if seed is not None and seed < 0:
            raise ValueError(f'seed must not be negative, got {seed}')
        self.depth_root = depth_root
        self.split = split
        self.val_share = val_share
        self.num_samples = num_samples
        self.seed = seed
        super().__init__(data_root=data_root, pipeline=list(pipeline), **kwargs)

    def __len__(self) -> int:
        """Number of samples."""
        return self.num_samples or super().__len__()

    def get_data_info(self, idx: int) -> dict:
        """Paths of a sample, and its own number as ``sample_idx``.

        Raises:
            IndexError: Beyond the samples; a loop over the data set ends by it.
        """
        if not -len(self) <= idx < len(self):
            raise IndexError(f'sample {idx} of {len(self)}')
        idx %= len(self)
        photos = super().__len__()
        number, place = divmod(idx, photos)
        # In natural order, the same photographs would meet in every round's batches.
        if self.num_samples is not None and self.seed is not None:
            place = _order_of_round(self.seed, number, photos)[place]
        return dict(super().get_data_info(int(place)), sample_idx=idx)

    def load_data_list(self) -> list[dict]:
        """Find and check the photographs.

        Returns:
            list[dict]: ``gt_path`` and, where there is depth, ``depth_path``.
        """
        root = Path(self.data_root)
        if not root.is_dir():
            raise InputError(
                f'data set {root} is not a folder; give one with sharp photographs, '
                'to train.py and test.py by `--cfg-options data_root=PATH`'
            )
        paths, _ = photos_of(root, Layout('.', None))
        if not paths:
            raise InputError(
                f'{root} holds no photographs ({", ".join(EXTENSIONS)}); give another '
                'folder'
            )
        items, problems = [], []
        photo_of: dict[Path, Path] = {}
        for path in paths:
            item = dict(gt_path=str(path))
            if self.depth_root is not None:
                depth = Path(
                    self.depth_root, path.relative_to(root).with_suffix('.png')
                )
                item['depth_path'] = str(depth)
                other = photo_of.setdefault(depth, path)
                if other != path:
                    problems.append(f'{other} and {path} have one depth map, {depth}')
            problems += _problems(item)
            items.append(item)
        refuse(root, problems)
        return self._share_of_split(items)

    def _share_of_split(self, items: list[dict]) -> list[dict]:
        """The photographs that this split may see."""
        if not self.val_share:
            return items
        kept_out = held_out((Path(item['gt_path']) for item in items), self.val_share)
        print_log(
            f'{self.data_root}: {len(items) - len(kept_out)} photos to train on, '
            f'{len(kept_out)} kept out for val and test.',
            'current',
        )
        warn_of_one_set(self.data_root, self.split)
        training = self.split == 'train'
        return [
            item for item in items if (Path(item['gt_path']) in kept_out) != training
        ]


@TRANSFORMS.register_module()
class LoadSharpPhoto(BaseTransform):
    """Read ``gt_path`` into ``gt``, RGB, and ``depth_path``, if any, into ``depth``.

    Args:
        depth_unit (float): Metres per count of a depth map. Default: 0.001.
        use_cache (bool): Keep every decoded photograph in memory, in each worker: three
            bytes per pixel, seven with depth. Default: False.

    Raises:
        ValueError: If ``depth_unit`` is not positive.
    """

    def __init__(self, depth_unit: float = 0.001, use_cache: bool = False) -> None:
        if depth_unit <= 0:
            raise ValueError(f'depth_unit must be positive, got {depth_unit}')
        self.depth_unit = depth_unit
        self.use_cache = use_cache
        self._cache: dict[str, dict[str, np.ndarray]] = {}

    def transform(self, results: dict) -> dict:
        """Add ``gt`` (H, W, 3) and ``depth`` (H, W) float32 in metres, 0 = unknown."""
        path = results['gt_path']
        images = self._cache.get(path)
        if images is None:
            images = dict(gt=read_photo(path))
            if 'depth_path' in results:
                counts = read_depth(results['depth_path'])
                images['depth'] = counts * np.float32(self.depth_unit)
            if self.use_cache:
                self._cache[path] = images
        results.update(images)
        return results


@lru_cache(maxsize=2)
def _order_of_round(seed: int, number: int, photos: int) -> np.ndarray:
    """Order of the photographs in one round through them."""
    return np.random.default_rng((seed, number)).permutation(photos)


def read_depth(path: str | Path) -> np.ndarray:
    """Decode a depth map.

    Args:
        path (str | Path): PNG of 16 bits, grey.

    Returns:
        np.ndarray: (H, W) uint16, in the file's unit.

    Raises:
        InputError: Names the file if it is absent, damaged or of another kind.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        check_png(data)
        # OpenCV would return a file that ends too early half black; Pillow tells.
        with Image.open(path, formats=['PNG']) as image:
            image.load()
        counts = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except Exception as error:  # Pillow's plugins raise all kinds
        raise InputError(
            f'{path} cannot be read as a depth map ({error}); give a PNG of 16 bits'
        ) from error
    if counts is None or counts.dtype != np.uint16 or counts.ndim != 2:
        raise InputError(f'{path} is no depth map; give a grey PNG of 16 bits')
    if not counts.any():
        raise InputError(f'{path} knows no depth at all; remove it and its photograph')
    return counts


def _problems(item: dict) -> list[str]:
    """What is wrong with a photograph and its depth map, by their headers."""
    problems, sizes = [], []
    for path in item.values():
        try:
            sizes.append(photo_size(path))
        except InputError as error:
            problems.append(str(error))
    if not problems and len(set(sizes)) > 1:
        (width, height), (depth_width, depth_height) = sizes
        problems.append(
            f'{item["gt_path"]} is {width}x{height} pixels but its depth map '
            f'{item["depth_path"]} {depth_width}x{depth_height}'
        )
    return problems
