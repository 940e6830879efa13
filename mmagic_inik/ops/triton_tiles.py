"""How much of Eq. 9 a program of a GPU does at a time, and the choice of it.

Every default fits the least shared memory of GPUs that the kernels run on, 101,376
bytes a program, and needs no memory for registers that overflow
(``benchmarks/compile_kernels.py`` shows both). On a GPU, the first large enough call of
a kind tries the alternatives.
"""

import math
from collections.abc import Callable, Hashable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from triton.runtime.errors import OutOfResources, PTXASError

# Pixels of all images from which a choice is worth the seconds of compiling.
_WORTH_TRYING = 2**16
_WARM_UPS, _REPEATS = 2, 5

T = TypeVar('T')


class Tile(NamedTuple):
    """What a program does at a time.

    Attributes:
        pixels (int): A power of two, as the next two.
        taps (int): At least 16.
        columns (int): Sizes times atoms that are treated together, at least 16.
        warps (int): Of 32 threads.
        stages (int): Loads on their way.
    """

    pixels: int
    taps: int
    columns: int
    warps: int
    stages: int


# By kernel and bytes of a number: the default first.
TILES = {
    ('forward', 2): [
        Tile(64, 32, 32, 8, 2),
        Tile(64, 16, 32, 4, 2),
        Tile(64, 32, 32, 4, 3),
        Tile(128, 32, 32, 8, 2),
        Tile(64, 32, 64, 8, 2),
    ],
    ('forward', 4): [
        Tile(64, 16, 32, 4, 2),
        Tile(64, 32, 32, 8, 2),
        Tile(64, 16, 16, 4, 2),
        Tile(32, 16, 32, 4, 2),
    ],
    ('backward_weights', 2): [
        Tile(64, 32, 32, 8, 2),
        Tile(64, 32, 16, 8, 2),
        Tile(32, 32, 32, 4, 2),
        Tile(128, 32, 32, 8, 2),
    ],
    ('backward_weights', 4): [
        Tile(64, 16, 32, 8, 2),
        Tile(64, 16, 16, 8, 2),
        Tile(64, 16, 16, 4, 2),
        Tile(32, 16, 32, 4, 2),
    ],
    ('backward_dictionary', 2): [
        Tile(32, 64, 32, 8, 2),
        Tile(32, 32, 32, 4, 2),
        Tile(64, 64, 32, 8, 2),
        Tile(64, 64, 32, 4, 3),
    ],
    ('backward_dictionary', 4): [
        Tile(32, 32, 32, 4, 2),
        Tile(16, 32, 32, 4, 2),
        Tile(16, 64, 32, 8, 2),
        Tile(32, 64, 16, 8, 2),
    ],
}

# Milliseconds of what was tried, by kernel, device, type and kind.
_tried: dict[tuple, dict[Tile, float]] = {}


def with_best_tile(
    kernel: str,
    mu: Tensor,
    dtype: torch.dtype,
    kind: Hashable,
    run: Callable[[Tile], T],
) -> T:
    """Run a kernel with the tile for it, on the device of ``mu``.

    The choice is made once for a device, a type and a kind. Where results must be
    reproducible, while a CUDA graph is recorded, or where there is little to do, it is
    the default, as it is for a tile once chosen.

    Args:
        kernel (str): Name in ``triton_kernels``.
        mu (Tensor): Size weights, (B, R, H, W).
        dtype (torch.dtype): Of the products.
        kind (Hashable): What else decides how long a tile takes.
        run (Callable): Launches the kernel with a tile.

    Returns:
        What ``run`` returns.

    Raises:
        OutOfResources: If the GPU has room for none.
    """
    tiles = TILES[kernel, dtype.itemsize]
    with torch.cuda.device_of(mu):
        key = kernel, mu.device, dtype, kind
        if key not in _tried and _worth_trying(mu):
            _tried[key] = {tile: _time(run, tile) for tile in tiles}
        times = _tried.get(key, {})
        return run(min(times, key=times.__getitem__) if times else tiles[0])


def _worth_trying(mu: Tensor) -> bool:
    return (
        mu.is_cuda
        and mu[:, 0].numel() >= _WORTH_TRYING
        and not torch.are_deterministic_algorithms_enabled()
        and not torch.cuda.is_current_stream_capturing()
    )


def _time(run: Callable[[Tile], object], tile: Tile) -> float:
    """Milliseconds of the fastest of some runs; infinite where there is no room."""
    try:
        for _ in range(_WARM_UPS):
            run(tile)
    except (OutOfResources, PTXASError):
        return math.inf
    found = []
    for _ in range(_REPEATS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run(tile)
        end.record()
        end.synchronize()
        found.append(start.elapsed_time(end))
    return min(found)


def timings() -> dict[str, dict[str, float]]:
    """What was tried so far in this process.

    Returns:
        dict[str, dict[str, float]]: Milliseconds by tile, by what they were tried for.
    """
    return {
        ' '.join(map(str, key)): {
            '/'.join(map(str, tile)): time for tile, time in times.items()
        }
        for key, times in _tried.items()
    }
