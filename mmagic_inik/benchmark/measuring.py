"""Time and memory of this process."""

import re
import time
from collections.abc import Callable
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
    synchronize = torch.cuda.synchronize if image.is_cuda else lambda: None
    synchronize()
    start = time.perf_counter()
    forward(image)
    synchronize()
    return time.perf_counter() - start


def memory_of(device: str) -> tuple[Callable[[], object], Callable[[], int]]:
    """How to measure a peak of memory.

    Args:
        device (str): ``'cpu'``: of this process; ``'cuda'``: of PyTorch's allocator.

    Returns:
        tuple[Callable, Callable]: Functions that forget the peak so far, and that tell
        it in bytes.
    """
    if device == 'cuda':
        return torch.cuda.reset_peak_memory_stats, torch.cuda.max_memory_allocated
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
    return 1024 * int(re.search(rf'{field}:\s+(\d+) kB', status)[1])
