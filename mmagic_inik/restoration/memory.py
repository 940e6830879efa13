"""How much memory there is, and how much of it a network takes.

What a system does not tell (macOS, Windows, musl, a hardened or emulated Linux) is
replaced by a safe constant, which is said once.
"""

import ctypes
import os
import re
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import psutil
import torch

from ..benchmark.measuring import memory_of, resident
from ..models import Restorer

# Pixels a side of the piece on which memory is measured.
MEASURED = 256
# Bytes, where the system does not tell how much is free.
UNKNOWN_FREE = 4e9
# Bytes per pixel, where what a network takes cannot be measured: a guess on the safe
# side, about five times what the shipped network takes.
UNKNOWN_PER_PIXEL = 24_000.0
_CGROUPS = Path('/sys/fs/cgroup')
_PROCESS = Path('/proc/self')
# What is raised where a file, a line in it, or a function of the C library is missing.
_NOT_TOLD = (OSError, AttributeError, LookupError, TypeError, ValueError)
# Of glibc's mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Let this process use again what it freed, where the C library is glibc.

    It would give back blocks above 32 MB, such as the features of a large piece, as
    soon as they are free, and the system would clear their pages at every use: a
    sixth of a photo's time. For a process that ends with its photos.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except _NOT_TOLD:
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def bytes_per_pixel(restorer: Restorer, device: torch.device, dtype: str) -> float:
    """Memory that a network takes for each pixel it is given, measured.

    Args:
        restorer (Restorer): On the device.
        device (torch.device): Where it is.
        dtype (str): In which convolutions run.

    Returns:
        float: Bytes, with all that a first forward pass takes once.
    """
    image = torch.zeros(1, 3, MEASURED, MEASURED)
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        restorer.restore(image, dtype=dtype)
        taken = torch.cuda.max_memory_allocated(device) - before
        return max(taken, image.nbytes) / MEASURED**2
    try:
        # Or memory that is free, but not given back, would hide what is taken.
        ctypes.CDLL(None).malloc_trim(0)
        restart_peak, peak = memory_of('cpu')
        restart_peak()
        before = resident('VmRSS')
    except _NOT_TOLD:
        return _unmeasured()
    restorer.restore(image, dtype=dtype)
    try:
        most = peak()
    except _NOT_TOLD:
        return _unmeasured()
    # Emulated, both are zero, or the peak is.
    if not 0 < before < 2 * most:
        return _unmeasured()
    return max(most - before, image.nbytes) / MEASURED**2


def free_memory(device: torch.device) -> float:
    """Bytes that are free on a device.

    Args:
        device (torch.device): CPU or CUDA.

    Returns:
        float: Within a container's limit, and shared with the processes that torchrun
        started on this machine.
    """
    sharing = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
    free: float
    if device.type == 'cuda':
        free, _ = torch.cuda.mem_get_info(device)
        # What PyTorch keeps for itself is free for us.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free / -(-sharing // torch.cuda.device_count()) + kept
    try:
        free = psutil.virtual_memory().available
    except (psutil.Error, NotImplementedError, *_NOT_TOLD):
        _say_once(
            'this system does not tell how much memory is free: reckoning with '
            f'{UNKNOWN_FREE / 1e9:.0f} GB'
        )
        free = UNKNOWN_FREE
    return min(free, *_cgroup_rooms(), float('inf')) / sharing


def _unmeasured() -> float:
    _say_once(
        'this system does not tell how much memory a network takes: reckoning with '
        f'{UNKNOWN_PER_PIXEL / 1000:.0f} kB a pixel, so pieces are small; give a tile '
        'of your own for larger ones'
    )
    return UNKNOWN_PER_PIXEL


@cache
def _say_once(sentence: str) -> None:
    warnings.warn(sentence, stacklevel=3)


def _cgroup_rooms() -> Iterator[float]:
    """Bytes left in each control group of this process that has a limit."""
    try:
        lines = (_PROCESS / 'cgroup').read_text().splitlines()
    except OSError:
        return
    for line in lines:
        controllers, _, path = line.partition(':')[2].partition(':')
        if controllers == '':  # version 2
            root, limit, used = _CGROUPS, 'memory.max', 'memory.current'
        elif 'memory' in controllers.split(','):
            root, limit, used = (
                _CGROUPS / 'memory',
                'memory.limit_in_bytes',
                'memory.usage_in_bytes',
            )
        else:
            continue
        place = root / path.lstrip('/')
        for group in (place, *place.parents):
            try:
                # 'max' is no number, and no limit.
                yield int((group / limit).read_text()) - _used(group, used)
            except (OSError, ValueError):
                continue


def _used(group: Path, file: str) -> int:
    """Bytes in use, without the file cache that gives way."""
    used = int((group / file).read_text())
    try:
        statistics = (group / 'memory.stat').read_text()
    except OSError:
        return used
    cache = re.search(r'^(?:total_)?inactive_file (\d+)', statistics, re.MULTILINE)
    return used - (int(cache[1]) if cache else 0)
