"""Build the environment `.venv` with the versions that work. Standard library only.

`make env` calls this. It checks the machine before it downloads anything, compiles
mmcv's operators once per machine into a wheel cache of our own, and returns within a
second when the environment is already complete. `make restore-env` calls it with
--light: what restores photos, without MMagic, and so without a compiler.
"""

import argparse
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / 'requirements' / 'constraints.txt'
PYTHON_VERSION = (3, 11)
# Measured: .venv 6.5 GB, downloaded and unpacked wheels in flight 4 GB; light 4.4 GB,
# and 3 GB in flight.
DISK_GB = 11
LIGHT_DISK_GB = 8
HEARTBEAT_SECONDS = 60
BAR = 20  # characters
EXTRAS = 'mmagic,demo,tests,lint,docs,release'


class SetupError(Exception):
    """One sentence: what is wrong and the cure."""


def check_machine(venv, light=False):
    """Refuse, in one line, a machine on which the set-up cannot end well."""
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


def check_headers():
    """Refuse a Python against which nothing can be compiled."""
    header = Path(sysconfig.get_path('include')) / 'Python.h'
    if not header.exists():
        raise SetupError(
            f'{header} is missing, without which mmcv cannot be compiled; '
            'on Debian and Ubuntu: apt install python3.11-dev'
        )


def check_compiler(compiler):
    """Compile one line of C++17, which is what torch's headers ask for."""
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


def fingerprint(light=False):
    """Everything the environment depends on, as one hash."""
    place = f'{ROOT} {sys.version} {sys.base_prefix}{" light" * light}'
    digest = hashlib.sha256(place.encode())
    for path in (CONSTRAINTS, ROOT / 'setup.py', Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def run(title, command, log, minutes=1, **env):
    """Run a step in one line with a bar; note its output, show the end if it fails."""
    start = time.monotonic()
    with log.open('ab') as output:
        output.write(f'\n$ {" ".join(map(str, command))}\n'.encode())
        output.flush()
        process = subprocess.Popen(
            list(map(str, command)),
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=str(ROOT),
            env={**os.environ, **env},
        )
        code = wait(process, title, minutes)
    if code:
        print(flush=True)
        tail = log.read_text(errors='replace').splitlines()[-25:]
        print('\n'.join(tail), file=sys.stderr)
        raise SetupError(f'the step above failed; its whole output is in {log}')
    seconds = f'{time.monotonic() - start:.0f} s'
    if sys.stdout.isatty():
        seconds = f'\r  [{"#" * BAR}] {title}: {seconds}\033[K'
    print(seconds, flush=True)


def wait(process, title, minutes):
    """The process's exit status; until it is there, a bar of the minutes that it takes.

    Without a terminal, the title and a dot a minute, so that no watchdog thinks that
    nothing happens.
    """
    start, rewrites = time.monotonic(), sys.stdout.isatty()
    if not rewrites:
        print(f'  {title} ', end='', flush=True)
    while True:
        try:
            return process.wait(1 if rewrites else HEARTBEAT_SECONDS)
        except subprocess.TimeoutExpired:
            passed = time.monotonic() - start
        if rewrites:
            # The last place is that of a step that is over.
            done = min(BAR - 1, int(BAR * passed / 60 / minutes))
            bar = '#' * done + '.' * (BAR - done)
            line = f'  [{bar}] {title}: {passed:.0f} s of about {60 * minutes:.0f}'
            print(f'\r{line}\033[K', end='', flush=True)
        else:
            print('.', end='', flush=True)


def mmcv_wheel(python, log):
    """Path of mmcv's wheel with operators, compiled here if the cache lacks it.

    pip's own cache keys such a wheel without regard to the torch it was built
    against; ours names Python, torch and CUDA.
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
        run(
            f"compiling mmcv {version}'s operators, once per machine",
            [python, '-m', 'pip', 'wheel', '--no-build-isolation', '--no-deps']
            + ['--no-cache-dir', '-w', building, f'mmcv=={version}'],
            log,
            minutes=11,
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


def pinned(package):
    """Version of `package` in the constraints file."""
    for line in CONSTRAINTS.read_text().splitlines():
        if line.startswith(f'{package}=='):
            return line.split('==')[1].split('#')[0].strip()
    raise SetupError(f'{CONSTRAINTS} pins no version of {package}')


def build(venv, light=False):
    """Create or complete the environment; a full one serves for a light one."""
    python = venv / 'bin' / 'python'
    stamp = venv / '.complete'
    wanted = fingerprint(light)
    if stamp.exists() and stamp.read_text() in {wanted, fingerprint()}:
        return
    check_machine(venv, light)
    minutes = '3 min' if light else '15 min on 2 cores, 4 min of it downloads'
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


def install_light(python, pip, log):
    """What restores photos."""
    run('PyTorch and what reads photos (3 GB)', [*pip, '-e', ROOT], log, minutes=3)
    run('importing it', [python, '-c', 'import mmagic_inik.models'], log)


def install_all(python, pip, log):
    """MMagic and all it imports, tests and demo."""
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


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--venv', type=Path, default=ROOT / '.venv')
    parser.add_argument('--light', action='store_true', help='only to restore photos')
    args = parser.parse_args()
    try:
        build(args.venv.resolve(), args.light)
    except SetupError as error:
        sys.exit(f'set-up: {error}')


if __name__ == '__main__':
    main()
