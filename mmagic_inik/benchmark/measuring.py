"""Time and memory of this process."""

import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor


def timed(forward: Callable[[Tensor], object], image: Tensor) -> float:
    """Time a call.

    Args:
        forward (Callable): Takes the image.
        image (Tensor): On the device that computes.

    Returns:
        float: Seconds until the result has been computed, not only asked for.
    """
    wait_for(image.device)
    start = time.perf_counter()
    forward(image)
    wait_for(image.device)
    return time.perf_counter() - start


def wait_for(device: torch.device | str) -> None:
    """Let a device finish what it was asked for.

    Args:
        device (torch.device | str): Of any type; only a GPU, this one, is waited for.
    """
    if torch.device(device).type == 'cuda':
        torch.cuda.synchronize(device)


def memory_of(device: str) -> tuple[Callable[[], object], Callable[[], int]]:
    """How to measure a peak of memory.

    Args:
        device (str): ``'cpu'``: of this process; ``'cuda'``, with an index or without:
            of PyTorch's allocator for that GPU.

    Returns:
        tuple[Callable, Callable]: Functions that forget the peak so far, and that tell
        it in bytes.
    """
    if device.startswith('cuda'):
        return (
            partial(torch.cuda.reset_peak_memory_stats, device),
            partial(torch.cuda.max_memory_allocated, device),
        )
    # Linux sets the peak of a process back to its present memory, see proc(5);
    # getrusage() would give the parent's peak, if that is higher.
    forget = lambda: Path('/proc/self/clear_refs').write_text('5')  # noqa: E731
    return forget, lambda: resident('VmHWM')


def resident(field: str) -> int:
    """Resident memory of this process.

    Args:
        field (str): ``'VmRSS'``: now; ``'VmHWM'``: at its peak.

    Returns:
        int: Bytes.
    """
    status = Path('/proc/self/status').read_text()
    (kilobytes,) = re.findall(rf'{field}:\s+(\d+) kB', status)
    return 1024 * int(kilobytes)
