"""Networks on test sets, image by image."""

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmagic.registry import DATASETS
from mmengine.dataset import BaseDataset, pseudo_collate

from ..command_line import progress_bar
from ..evaluation import ImageQuality
from .contenders import Contender
from .measuring import wait_for
from .origin import describe_device
from .records import ImageRecords, Run


class PhotoSet(NamedTuple):
    """A data set and how it is scored.

    Attributes:
        name (str): As the user calls it.
        dataset (BaseDataset): All of its images.
        images (list[str]): Names of those that are scored, the first ones.
        paired (bool): Whether it has ground truth.
        metric (ImageQuality): NIQE alone where it has none.
        identity (str): Of its files and of the protocol.
    """

    name: str
    dataset: BaseDataset
    images: list[str]
    paired: bool
    metric: ImageQuality
    identity: str


def open_test_set(
    name: str,
    preset: str,
    root: str,
    scores: Sequence[str],
    limit: int | None = None,
    lpips_weights: dict[str, str] | None = None,
    **protocol: Any,
) -> PhotoSet:
    """Find the photographs of a test set and decide how to score them.

    Args:
        name (str): As the user calls it.
        preset (str): Layout of the data set.
        root (str): Its folder.
        scores (Sequence[str]): Used where there is ground truth; NIQE where not.
        limit (int, optional): Only so many images, the first. Default: None.
        lpips_weights (dict, optional): As in ``ImageQuality``. Default: None.
        **protocol: Further arguments of ``ImageQuality``.

    Returns:
        PhotoSet: With every pair found and checked.

    Raises:
        InputError: If they are missing or do not pair.
    """
    pipeline = [dict(type='LoadDefocusPair'), dict(type='PackInputs')]
    dataset = DATASETS.build(
        dict(
            type='DefocusPairDataset',
            data_root=root,
            preset=preset,
            split='test',
            pipeline=pipeline,
            test_mode=True,
        )
    )
    entries = [dataset.get_data_info(i) for i in range(len(dataset))]
    paths = [Path(entry['img_path']) for entry in entries]
    paired = 'gt_path' in entries[0]
    named = [
        Path(entry[k])
        for entry in entries
        for k in ('img_path', 'gt_path')
        if k in entry
    ]
    # A target of many inputs is read once.
    digests = {path: file_digest(path) for path in set(named)}
    files = [(str(path.relative_to(root)), digests[path]) for path in named]
    # By content: whatever has been put in its place is another network.
    lpips = {
        net: file_digest(path)
        for net, path in (lpips_weights or {}).items()
        if Path(path).is_file()
    }
    metric = ImageQuality(
        scores if paired else 'NIQE',
        lpips_weights=lpips_weights if paired else None,
        **protocol,
    )
    return PhotoSet(
        name,
        dataset,
        [path.relative_to(root).as_posix() for path in paths][:limit],
        paired,
        metric,
        json.dumps([preset, files, metric.scores, str(metric.protocol), lpips]),
    )


def file_digest(path: str | Path) -> str:
    """Hash of a file's content: its name and size stay when it is replaced.

    Args:
        path (str | Path): The file.

    Returns:
        str: SHA-256, hexadecimal.
    """
    with Path(path).open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def run_of(model: Contender, data: PhotoSet, device: str) -> Run:
    """Which records belong to a model on a data set.

    Args:
        model (Contender): The network.
        data (PhotoSet): The data set.
        device (str): As torch names it.

    Returns:
        Run: With a fingerprint of all that changes a score.
    """
    everything = '\n'.join([model.identity, data.identity, describe_device(device)])
    digest = hashlib.sha256(everything.encode()).hexdigest()
    return Run(model.name, data.name, digest[:16])


@torch.no_grad()
def restore(
    model: Contender, data: PhotoSet, image: str, device: str
) -> tuple[dict, float]:
    """Run a model on one image, as tools/test.py does.

    Args:
        model (Contender): The network.
        data (PhotoSet): The data set.
        image (str): One of ``data.images``.
        device (str): Where the network is.

    Returns:
        tuple[dict, float]: MMagic's data sample, and the seconds it took.
    """
    # Or MMagic would remark on every image that it has no ground truth.
    model.module.data_preprocessor.data_keys = ['gt_img'] if data.paired else None
    batch = pseudo_collate([data.dataset[data.images.index(image)]])
    # MMagic reflects images in batches, not in lists.
    batch['inputs'] = torch.stack(batch['inputs']).float()
    wait_for(device)
    start = time.perf_counter()
    (sample,) = model.module.test_step(batch)
    # The prediction has arrived on the CPU.
    return sample.to_dict(), time.perf_counter() - start


class Scored(NamedTuple):
    """Networks, test sets, and the scores of one on the other.

    Attributes:
        models (Sequence[Contender]): Networks, the untouched input before them.
        sets (Sequence[PhotoSet]): Data sets.
        records (ImageRecords): A record per network and image, as far as computed.
        device (str): Where to compute, as torch names it.
    """

    models: Sequence[Contender]
    sets: Sequence[PhotoSet]
    records: ImageRecords
    device: str

    def of(self, model: Contender, data: PhotoSet) -> dict[str, dict[str, float]]:
        """Scores and seconds of those images that are done.

        Args:
            model (Contender): One of the networks.
            data (PhotoSet): One of the data sets.

        Returns:
            dict[str, dict[str, float]]: By image and score.
        """
        return self.records.of(run_of(model, data, self.device), data.images)

    def origins(self, model: Contender, data: PhotoSet) -> list[str]:
        """What computed those images that are done: versions and commit of each.

        Args:
            model (Contender): One of the networks.
            data (PhotoSet): One of the data sets.

        Returns:
            list[str]: In the order of images.
        """
        return self.records.origins(run_of(model, data, self.device), data.images)


def score_all(scored: Scored, origin: str) -> None:
    """Compute every record that is not there yet, with a progress bar.

    Args:
        scored (Scored): Gets a record per network and image.
        origin (str): What computes: versions and commit.
    """
    models, sets, records, device = scored
    todo = {}
    for model in models:
        for data in sets:
            run = run_of(model, data, device)
            old = records.drop_outdated(run)
            if old:
                print(
                    f'{old} rows of {model.name} on {data.name} are computed anew: the '
                    'config, checkpoint, photographs, protocol or device has changed.'
                )
            done = scored.of(model, data)
            todo[model.name, data.name] = [i for i in data.images if i not in done]
    count = sum(map(len, todo.values()))
    if not count:
        return
    with progress_bar(count, 'image') as bar:
        for model in models:
            model.module.to(device)
            for data in sets:
                run = run_of(model, data, device)
                for image in todo[model.name, data.name]:
                    sample, seconds = restore(model, data, image, device)
                    data.metric.process(None, [sample])
                    scores = {**data.metric.results.pop(), 'seconds': seconds}
                    records.append(run, image, scores, origin)
                    bar.update()
            model.module.to('cpu')
