"""Times SyntheticDefocus: one crop on one core, and the whole data loader.

`benchmarks/synthetic_defocus.py PHOTOS [--options KEY=VALUE ...] [--out FILE.json]`;
PHOTOS is a folder of sharp photos, the options are arguments of SyntheticDefocus. Crops
differ in cost, so the distribution is over different crops.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from mmagic.registry import DATASETS
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import mmagic_inik  # noqa: F401  registers the data set
from mmagic_inik.benchmark.origin import describe_commit, describe_device

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / 'configs' / '_base_' / 'datasets' / 'synthetic.py'
WARM_UP = 20


def crops_per_core(loader: Config, count: int) -> dict:
    """Cost of single crops in this process, on one thread.

    Args:
        loader (Config): ``train_dataloader``.
        count (int): Crops to time.

    Returns:
        dict: Milliseconds per crop; crops per second, and per second of CPU time,
        which other programs on the machine do not change.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    dataset = DATASETS.build(loader.dataset)
    for n in range(WARM_UP):
        dataset[n]
    seconds, cpu_start = [], time.process_time()
    for n in range(WARM_UP, WARM_UP + count):
        start = time.perf_counter()
        dataset[n]
        seconds.append(time.perf_counter() - start)
    cpu_seconds = time.process_time() - cpu_start
    milliseconds = 1e3 * np.array(seconds)
    low, median, high = np.percentile(milliseconds, (10, 50, 90)).round(2)
    return {
        'crops': count,
        'ms_per_crop': {'p10': low, 'median': median, 'p90': high},
        'crops_per_second': round(1e3 / milliseconds.mean(), 1),
        'crops_per_cpu_second': round(count / cpu_seconds, 1),
    }


def crops_of_loader(loader: Config, workers: int, count: int) -> dict:
    """Throughput of the data loader, its consumer doing nothing.

    Args:
        loader (Config): ``train_dataloader``.
        workers (int): Processes.
        count (int): Crops to time, once every worker has delivered some.

    Returns:
        dict: Crops per second.
    """
    loader = loader.copy()
    loader.num_workers = workers
    batches: Iterator = iter(Runner.build_dataloader(loader))
    for _ in range(4 * workers):
        next(batches)
    start = time.perf_counter()
    for _ in range(count // loader.batch_size):
        next(batches)
    rate = count / (time.perf_counter() - start)
    return {'workers': workers, 'crops': count, 'crops_per_second': round(rate, 1)}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('photos', type=Path)
    parser.add_argument('--crops', type=int, default=400)
    parser.add_argument('--workers', type=int, nargs='+', default=[1, os.cpu_count()])
    parser.add_argument(
        '--options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='arguments of SyntheticDefocus: crop_size=128 scale=0.4,1',
    )
    parser.add_argument('--out', type=Path)
    args = parser.parse_args()

    init_default_scope('mmagic')
    config = Config.fromfile(CONFIG)
    results = {
        'what': 'SyntheticDefocus',
        'options': {**config.renderer, **args.options},
        'device': describe_device('cpu'),
        'cores': os.cpu_count(),
        'load_before': os.getloadavg()[0],
        'versions': {'torch': torch.__version__, 'opencv': cv2.__version__},
        'commit': describe_commit(),
        'runs': [],
    }
    for cached in (False, True):
        loader = config.train_dataloader
        loader.dataset.data_root = str(args.photos)
        loader.dataset.pipeline[0].use_cache = cached
        loader.dataset.pipeline[1].update(args.options)
        run = {'photos_kept_in_memory': cached}
        run['one_core'] = crops_per_core(loader, args.crops)
        run['loader'] = [
            crops_of_loader(loader, workers, args.crops) for workers in args.workers
        ]
        print(json.dumps(run, indent=2))
        results['runs'].append(run)
    if args.out:
        args.out.write_text(json.dumps(results, indent=2) + '\n')


if __name__ == '__main__':
    main()
