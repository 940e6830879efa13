"""Where a figure comes from."""

import platform
import re
import subprocess
from pathlib import Path

import torch

# Instructions that decide how fast a CPU multiplies matrices, as Linux names them.
_INSTRUCTIONS = ('avx512f', 'avx512_bf16', 'amx_bf16')


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
    """The processor's name; of a CPU, what it has for matrix products, too."""
    if device.startswith('cuda'):
        return torch.cuda.get_device_name(device)
    try:
        info = Path('/proc/cpuinfo').read_text()
    except OSError:  # no Linux
        info = ''
    model = re.search(r'^model name\s*: (.+)', info, re.M)
    flags = re.search(r'^flags\s*: (.+)', info, re.M)
    has = flags[1].split() if flags else []
    parts = [model[1] if model else platform.machine()]
    parts += [name for name in _INSTRUCTIONS if name in has]
    return f'CPU ({", ".join(parts)})'
