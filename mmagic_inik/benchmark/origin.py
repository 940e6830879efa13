"""Where a figure comes from."""

import platform
import subprocess
from pathlib import Path

import torch


def describe_commit() -> str:
    """The commit of this repository, with a mark where files differ from it."""
    try:
        git = subprocess.run(
            ['git', 'describe', '--always', '--dirty', '--exclude=*', '--abbrev=12'],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
        )
    except OSError:  # no git
        return 'unknown'
    return git.stdout.strip() or 'unknown'


def describe_device(device: str) -> str:
    """The processor's name."""
    if device.startswith('cuda'):
        return torch.cuda.get_device_name(device)
    return f'CPU ({platform.machine()})'
