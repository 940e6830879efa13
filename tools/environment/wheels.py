"""The one package that is compiled here: mmcv, with its operators."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from . import CONSTRAINTS, SetupError
from .steps import run

# By folder, sources that name what others name, and cannot be compiled with them.
_ALONE = {
    'pytorch': ('pybind.cpp',),
    'pytorch/cpu': (
        'psamask.cpp',
        'roi_align.cpp',
        'roi_align_rotated.cpp',
        'rotated_feature_align.cpp',
    ),
}


def mmcv_wheel(python: Path | str, log: Path) -> Path:
    """Path of mmcv's wheel with operators, compiled here if the cache lacks it.

    pip's own cache keys such a wheel without regard to the torch it was built
    against; ours names Python, torch and CUDA.

    Args:
        python (Path | str): Of the environment, with torch.
        log (Path): File to which the output of the compiler is appended.

    Returns:
        Path: The wheel.

    Raises:
        SetupError: If it cannot be compiled.
    """
    version = pinned('mmcv')
    query = 'import torch; print(torch.__version__.split("+")[0], torch.version.cuda)'
    torch_version, cuda = subprocess.check_output(
        [str(python), '-c', query], text=True
    ).split()
    cache = Path(
        os.environ.get('MMAGIC_INIK_CACHE')
        or Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
        / 'mmagic_inik'
    )
    tag = 'cp{}{}'.format(*sys.version_info[:2])
    folder = cache / 'wheels' / f'{tag}-torch{torch_version}-cuda{cuda}-mmcv{version}'
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / '.lock').open('w') as lock:
        # A second checkout waits here instead of compiling the same thing.
        fcntl.flock(lock, fcntl.LOCK_EX)
        wheels = list(folder.glob('mmcv-*.whl'))
        if wheels:
            print(f"  mmcv's operators: taken from {wheels[0]}", flush=True)
            return wheels[0]
        building = folder / 'building'
        shutil.rmtree(building, ignore_errors=True)
        pip = [python, '-m', 'pip']
        options = ['--no-build-isolation', '--no-deps', '--no-cache-dir']
        run(
            f'fetching the source of mmcv {version}',
            [*pip, 'download', *options, '--no-binary', 'mmcv', '-d', building]
            + [f'mmcv=={version}'],
            log,
        )
        (archive,) = building.iterdir()
        shutil.unpack_archive(archive, building)
        (source,) = (path for path in building.iterdir() if path.is_dir())
        for place, alone in _ALONE.items():
            merge_sources(source / 'mmcv/ops/csrc' / place, alone)
        run(
            f"compiling mmcv {version}'s operators, once per machine",
            [*pip, 'wheel', *options, '-w', building, source],
            log,
            minutes=2,
            # The operators INIKNet's surroundings need run on the CPU; the network
            # itself uses torch's own CUDA kernels.
            CUDA_VISIBLE_DEVICES='',
            MMCV_WITH_OPS='1',
            FORCE_CUDA='0',
            MAX_JOBS=str(len(os.sched_getaffinity(0))),
            CFLAGS='-g0 -O1',
        )
        (built,) = building.glob('mmcv-*.whl')
        built.replace(folder / built.name)
        shutil.rmtree(building)
        return folder / built.name


def merge_sources(folder: Path, alone: Collection[str]) -> None:
    """Make one source of those of a folder.

    Of the seven seconds that each takes, six are those of PyTorch's headers, which all
    of them include.

    Args:
        folder (Path): With C++ sources.
        alone (Collection[str]): File names of those that stay as they are.
    """
    merged = sorted(path for path in folder.glob('*.cpp') if path.name not in alone)
    included = [path.rename(path.with_suffix('.inc')) for path in merged]
    lines = [f'#include "{path.name}"\n' for path in included]
    (folder / 'merged.cpp').write_text(''.join(lines))


def pinned(package: str) -> str:
    """Version of a package in the constraints file.

    Args:
        package (str): Its name.

    Returns:
        str: Version.

    Raises:
        SetupError: If there is none.
    """
    for line in CONSTRAINTS.read_text().splitlines():
        if line.startswith(f'{package}=='):
            return line.split('==')[1].split('#')[0].strip()
    raise SetupError(f'{CONSTRAINTS} pins no version of {package}')
