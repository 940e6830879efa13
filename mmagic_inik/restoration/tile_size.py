"""How large a piece of a photograph a network can be given."""

import math
from weakref import WeakKeyDictionary

import torch
from torch import nn

from ..models import Restorer
from .memory import MEASURED, bytes_per_pixel, free_memory

# Pixels a side. The largest keeps every tensor below 2³¹ numbers.
LEAST_TILE, MOST_TILE = 128, 2048
# Bytes that pieces are given on a CPU; with more they are computed no faster.
_MOST_ON_CPU = 2.8e9
# Bytes per pixel of what is float32 at a time: read, padded, restored.
_FLOATS = 3 * 3 * 4
# Others want memory, too; on a GPU it comes in pieces that do not fill all gaps.
_SHARE = {'cpu': 0.5, 'cuda': 0.8}
# Bytes per pixel by network, type of device, and dtype.
_measured: WeakKeyDictionary[nn.Module, dict] = WeakKeyDictionary()


def choose_tile(
    restorer: Restorer,
    height: int,
    width: int,
    overlap: int,
    dtype: str,
    kept: int = 0,
) -> int | None:
    """The largest tile for which there is memory.

    Pieces of ``t`` pixels a side take ``a t² + 36 w t`` bytes: the network's share and
    one row of pieces in float32, whatever the photo's height.

    Args:
        restorer (Restorer): On the device that will be used.
        height (int): Of the photograph, in pixels.
        width (int): Likewise.
        overlap (int): Pixels that neighbouring pieces share.
        dtype (str): In which convolutions run.
        kept (int): Bytes of main memory that the photo will take beside. Default: 0.

    Returns:
        int | None: Side in pixels, a multiple of 16 and of what the network needs; None
        if the whole photograph fits.
    """
    if max(height, width) <= MEASURED:
        return None
    device = next(restorer.parameters(), torch.empty(0)).device
    by_kind = _measured.setdefault(restorer, {})
    if (device, dtype) not in by_kind:
        by_kind[device, dtype] = bytes_per_pixel(restorer, device, dtype)
    per_pixel = by_kind[device, dtype]
    free = free_memory(device)
    on_cpu = device.type == 'cpu'
    room = _SHARE['cpu' if on_cpu else 'cuda'] * free
    if on_cpu:
        room = min(room - kept, _MOST_ON_CPU)
    floats = _FLOATS if on_cpu else 0
    pixels = height * width
    if (per_pixel + floats) * pixels <= room and pixels <= MOST_TILE**2:
        return None
    unit = math.lcm(16, restorer.size_divisor)
    # The positive root of a t² + b t = room.
    half = floats * width / per_pixel / 2
    side = math.sqrt(half**2 + max(room, 0) / per_pixel) - half
    side = int(min(side, MOST_TILE)) // unit * unit
    # With three quarters of a piece's sides its own, no more than 16/9 of the pixels
    # are computed; with half, four times as many. Others may have to give way.
    for share in (4, 2):
        least = max(share * overlap, LEAST_TILE, restorer.min_size)
        least = -(-least // unit) * unit
        taken = (per_pixel * least + floats * width) * least
        if taken + (kept if on_cpu else 0) <= free:
            break
    return max(side, least)
