"""Whether a machine can hold the environment, before anything is downloaded."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from . import ROOT, SetupError

PYTHON_VERSION = (3, 11)
# Measured: .venv 6.5 GB, downloaded and unpacked wheels in flight 4 GB; light 4.4 GB,
# and 3 GB in flight.
DISK_GB = 11
LIGHT_DISK_GB = 8


def check_machine(venv: Path, light: bool = False) -> None:
    """Refuse a machine on which the set-up cannot end well.

    Args:
        venv (Path): Folder of the environment.
        light (bool): Whether it is for restoring alone. Default: False.

    Raises:
        SetupError: Names what is missing, and the cure.
    """
    target = 'restore-env' if light else 'env'
    if sys.platform != 'linux' or platform.machine() != 'x86_64':
        raise SetupError(
            'the pinned packages are for Linux on x86_64; this is '
            f'{sys.platform} on {platform.machine()}'
        )
    if sys.version_info[:2] != PYTHON_VERSION:
        raise SetupError(
            f'Python 3.11 is needed, but {sys.executable} is '
            f'{platform.python_version()}; install python3.11 or name one: '
            f'make {target} PYTHON=/path/to/python3.11'
        )
    try:
        import ensurepip  # noqa: F401
        import venv as _  # noqa: F401
    except ImportError as error:
        raise SetupError(
            f'{sys.executable} lacks the {error.name} module; '
            'on Debian and Ubuntu: apt install python3.11-venv'
        ) from None
    if not light:
        check_headers()
        check_compiler(os.environ.get('CXX', 'c++'))
    # A complete or half-built .venv already holds part of what is needed.
    needed, held = (LIGHT_DISK_GB, 4) if light else (DISK_GB, 5)
    free = shutil.disk_usage(ROOT).free / 1e9 + (held if venv.exists() else 0)
    if free < needed:
        raise SetupError(
            f'{ROOT} has {free:.1f} GB free, the environment needs {needed} GB'
        )


def check_headers() -> None:
    """Refuse a Python against which nothing can be compiled.

    Raises:
        SetupError: If its headers are missing.
    """
    header = Path(sysconfig.get_path('include')) / 'Python.h'
    if not header.exists():
        raise SetupError(
            f'{header} is missing, without which mmcv cannot be compiled; '
            'on Debian and Ubuntu: apt install python3.11-dev'
        )


def check_compiler(compiler: str) -> None:
    """Compile one line of C++17, which is what torch's headers ask for.

    Args:
        compiler (str): Command.

    Raises:
        SetupError: If it cannot.
    """
    command = [*compiler.split(), '-std=c++17', '-x', 'c++', '-', '-o', os.devnull]
    program = '#include <optional>\nint main() { return !std::optional<int>(1); }\n'
    try:
        result = subprocess.run(
            command, input=program.encode(), stderr=subprocess.PIPE, check=False
        )
    except OSError:
        raise SetupError(
            f'no C++ compiler: {compiler!r} cannot be run; on Debian and Ubuntu: '
            'apt install g++'
        ) from None
    if result.returncode:
        raise SetupError(
            f'the C++ compiler {compiler!r} cannot build a C++17 program: '
            + result.stderr.decode(errors='replace').strip().splitlines()[-1]
        )
