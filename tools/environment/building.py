"""From nothing to a complete `.venv`."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from . import CONSTRAINTS, ROOT
from .machine import check_machine
from .steps import run
from .wheels import mmcv_wheel

EXTRAS = 'mmagic,demo,tests,lint,docs,release'
OURS = sorted(Path(__file__).parent.glob('*.py'))


def fingerprint(light: bool = False) -> str:
    """Everything the environment depends on.

    Args:
        light (bool): Whether it is for restoring alone. Default: False.

    Returns:
        str: Hash.
    """
    place = f'{ROOT} {sys.version} {sys.base_prefix}{" light" * light}'
    digest = hashlib.sha256(place.encode())
    for path in (CONSTRAINTS, ROOT / 'setup.py', *OURS):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def build(venv: Path, light: bool = False) -> None:
    """Create or complete the environment; a full one serves for a light one.

    Args:
        venv (Path): Its folder.
        light (bool): Whether it is for restoring alone. Default: False.

    Raises:
        SetupError: If the machine does not suffice, or a step fails.
    """
    python = venv / 'bin' / 'python'
    stamp = venv / '.complete'
    wanted = fingerprint(light)
    if stamp.exists() and stamp.read_text() in {wanted, fingerprint()}:
        return
    check_machine(venv, light)
    minutes = '3 min' if light else '5 min on 2 cores, half of it downloads'
    print(f'Building {venv}: about {minutes}.', flush=True)
    log = venv / 'setup.log'
    venv.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    run(
        'creating the virtual environment',
        [sys.executable, '-m', 'venv', *(['--clear'] if python.exists() else []), venv],
        # --clear empties the folder, so this one log lies beside it.
        venv.with_suffix('.log'),
    )
    venv.with_suffix('.log').replace(log)
    pip = [python, '-m', 'pip', 'install', '-c', CONSTRAINTS]
    (install_light if light else install_all)(python, pip, log)
    stamp.write_text(wanted)
    print(f'{venv} is complete.')


def install_light(python: Path, pip: list[object], log: Path) -> None:
    """What restores photos.

    Args:
        python (Path): Of the environment.
        pip (list[object]): Command that installs what is behind it.
        log (Path): File to which output is appended.
    """
    run('PyTorch and what reads photos (3 GB)', [*pip, '-e', ROOT], log, minutes=3)
    run('importing it', [python, '-c', 'import mmagic_inik.models'], log)


def install_all(python: Path, pip: list[object], log: Path) -> None:
    """MMagic and all it imports, tests and demo.

    Args:
        python (Path): Of the environment.
        pip (list[object]): Command that installs what is behind it.
        log (Path): File to which output is appended.
    """
    run(
        'PyTorch with CUDA and the build tools (3 GB)',
        [*pip, 'pip', 'setuptools', 'wheel', 'ninja', 'psutil']
        + ['torch', 'torchvision', 'numpy', 'mmengine'],
        log,
        minutes=2,
    )
    wheel = mmcv_wheel(python, log)
    run(
        'MMagic and the packages it imports',
        # The build tools above are pinned; an isolated build would fetch others.
        [*pip, '--no-build-isolation', wheel, '-e', f'{ROOT}[{EXTRAS}]'],
        log,
        minutes=3,
    )
    run('checking that the versions fit', [python, '-m', 'pip', 'check'], log)
    run(
        'importing MMagic',
        [python, '-c', 'from mmagic.utils import register_all_modules as r; r()'],
        log,
    )
