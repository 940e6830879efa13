"""How many cores this process may use."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path('/sys/fs/cgroup')
_OWN_GROUPS = Path('/proc/self/cgroup')


def usable_cores() -> int:
    """Cores that this process may use, by its affinity and its control groups.

    Returns:
        int: One at least; of a fraction the next whole number.
    """
    cores = float(len(os.sched_getaffinity(0)))
    lines = _OWN_GROUPS.read_text().splitlines() if _OWN_GROUPS.exists() else []
    for line in lines:
        _, controllers, path = line.split(':', 2)
        cores = min(cores, *_quotas(controllers, path.lstrip('/')))
    return max(1, math.ceil(cores))


def _quotas(controllers: str, path: str) -> Iterator[float]:
    """Cores that a control group and those above it may use."""
    yield math.inf
    # Version 1 has a tree per controller.
    root = _CGROUPS / 'cpu' if 'cpu' in controllers.split(',') else _CGROUPS
    for group in (root / path, *(root / path).parents):
        if (group / 'cpu.max').is_file():  # version 2
            quota, period = (group / 'cpu.max').read_text().split()
        elif (group / 'cpu.cfs_quota_us').is_file():
            quota, period = (
                (group / f'cpu.cfs_{name}_us').read_text().strip()
                for name in ('quota', 'period')
            )
        else:
            continue
        if quota not in ('max', '-1'):
            yield int(quota) / int(period)
