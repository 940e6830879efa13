"""How large a piece of a photograph a network can be given."""

import ctypes
import math
import re
from collections.abc import Iterator
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from torch import nn

from ..benchmark.measuring import memory_of, resident

# Pixels a side. The largest keeps every tensor below 2³¹ numbers.
LEAST_TILE, MOST_TILE = 128, 2048
# Of a piece on which memory is measured; what is not larger is not worth it.
_MEASURED = 256
# Bytes: 4 GB, less what the program takes itself.
_MOST_ON_CPU = 2.8e9
# Bytes per pixel of a photograph: float32 before, padded, and restored.
_COPIES = 3 * 3 * 4
# Others want memory, too; on a GPU it comes in pieces that do not fill all gaps.
_SHARE = {'cpu': 0.5, 'cuda': 0.8}
_CGROUPS = Path('/sys/fs/cgroup')
# Bytes per pixel by network, type of device, and dtype.
_measured: WeakKeyDictionary[nn.Module, dict] = WeakKeyDictionary()


def choose_tile(
    restorer: nn.Module, height: int, width: int, overlap: int, dtype: str
) -> int | None:
    """The largest tile for which there is memory.

    Args:
        restorer (Restorer): On the device that will be used.
        height (int): Of the photograph, in pixels.
        width (int): Likewise.
        overlap (int): Pixels that neighbouring pieces share.
        dtype (str): In which convolutions run.

    Returns:
        int | None: Side in pixels, a multiple of 16 and of what the network needs; None
        if the whole photograph fits.
    """
    if max(height, width) <= _MEASURED:
        return None
    device = next(restorer.parameters(), torch.empty(0)).device
    by_kind = _measured.setdefault(restorer, {})
    if (device, dtype) not in by_kind:
        by_kind[device, dtype] = bytes_per_pixel(restorer, device, dtype)
    room = usable_memory(device)
    if device.type == 'cpu':
        room = max(room - _COPIES * height * width, 0)
    pixels = min(room / by_kind[device, dtype], MOST_TILE**2)
    if height * width <= pixels:
        return None
    # With less than half of a piece its own, most would be computed several times.
    least = max(2 * overlap, LEAST_TILE, restorer.min_size)
    unit = math.lcm(16, restorer.size_divisor)
    return max(int(math.sqrt(pixels)) // unit, -(-least // unit)) * unit


def bytes_per_pixel(restorer: nn.Module, device: torch.device, dtype: str) -> float:
    """Memory that a network takes for each pixel it is given, measured.

    Args:
        restorer (Restorer): On the device.
        device (torch.device): Where it is.
        dtype (str): In which convolutions run.

    Returns:
        float: Bytes, with all that a first forward pass takes once.
    """
    image = torch.zeros(1, 3, _MEASURED, _MEASURED)
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        restorer.restore(image, dtype=dtype)
        taken = torch.cuda.max_memory_allocated(device) - before
    else:
        # Or memory that is free, but not given back, would hide what is taken.
        ctypes.CDLL(None).malloc_trim(0)
        restart_peak, peak = memory_of('cpu')
        restart_peak()
        before = resident('VmRSS')
        restorer.restore(image, dtype=dtype)
        taken = peak() - before
    return max(taken, image.nbytes) / _MEASURED**2


def usable_memory(device: torch.device) -> float:
    """Bytes that the network may take on a device.

    Args:
        device (torch.device): CPU or CUDA.

    Returns:
        float: A share of what is free, within a container's limit.
    """
    if device.type == 'cuda':
        free, _ = torch.cuda.mem_get_info(device)
        # What PyTorch keeps for itself is free for us.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return _SHARE['cuda'] * (free + kept)
    meminfo = Path('/proc/meminfo').read_text()
    available = 1024 * int(re.search(r'MemAvailable:\s+(\d+) kB', meminfo)[1])
    return min(_SHARE['cpu'] * min(available, *_cgroup_rooms()), _MOST_ON_CPU)


def _cgroup_rooms() -> Iterator[float]:
    """Bytes left in each control group of this process that has a limit."""
    yield math.inf
    for line in Path('/proc/self/cgroup').read_text().splitlines():
        _, controllers, path = line.split(':', 2)
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
            if (group / limit).is_file() and (group / used).is_file():
                most = (group / limit).read_text().strip()
                if most != 'max':
                    yield int(most) - _used(group, used)


def _used(group: Path, file: str) -> int:
    """Bytes in use, without the file cache that gives way."""
    statistics = (group / 'memory.stat').read_text()
    cache = re.search(r'^(?:total_)?inactive_file (\d+)', statistics, re.MULTILINE)
    return int((group / file).read_text()) - (int(cache[1]) if cache else 0)
