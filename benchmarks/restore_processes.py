"""Measures tools/dist_restore.sh: several processes against one, speed and memory.

`benchmarks/restore_processes.py --out FILE.json [--processes 1 2] [--photos 16]`. The
photos are pieces of scikit-image's astronaut, 512 pixels a side. Every case is a run of
its own, start included; the time per photo is that between results. The table printed
at the end has medians.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import torch
from PIL import Image
from skimage import data

from mmagic_inik.benchmark.origin import describe_commit, describe_device

ROOT = Path(__file__).resolve().parents[1]
# Seconds between two looks at the processes, which take time themselves.
_INTERVAL = 0.5


def make_photos(folder: Path, count: int) -> None:
    """Write photos that differ, as PNG."""
    folder.mkdir()
    pixels = data.astronaut()
    for n in range(count):
        turned = Image.fromarray(pixels).rotate(90 * n)
        turned.crop((0, 0, 512, 512 - n // 4)).save(folder / f'{n}.png')


def memory_of(process: psutil.Process) -> int:
    """Bytes that a process and its children take, what they share counted once."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_full_info().pss
        except psutil.Error:  # it has just ended
            continue
    return total


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(('127.0.0.1', 0))
        return one.getsockname()[1]


def measure(folder: Path, out: Path, processes: int, threads: int) -> dict:
    """Restore a folder, and see how long it takes and what it needs.

    Args:
        folder (Path): Of photos.
        out (Path): For the results.
        processes (int): That restore.
        threads (int): Of each.

    Returns:
        dict: ``seconds`` of the run, ``seconds_per_photo`` from the first result to the
        last, and ``peak_memory`` of all processes, the launcher's among them, in bytes.
    """
    command = [ROOT / 'tools' / 'dist_restore.sh', folder, processes, '--out', out]
    begin, most = time.time(), 0
    started = psutil.Popen(
        [*map(str, command), '--device', 'cpu'],
        env=os.environ | dict(OMP_NUM_THREADS=str(threads), PORT=str(_free_port())),
        stderr=subprocess.DEVNULL,
    )
    while started.poll() is None:
        most = max(most, memory_of(started))
        time.sleep(_INTERVAL)
    seconds = time.time() - begin
    if started.returncode:
        raise SystemExit(f'{command[0]} failed; run it by hand to see why')
    # The time of modification is that of the photo, which is kept.
    times = sorted(path.stat().st_ctime for path in out.iterdir())
    # Those that begin together end together.
    rest = times[processes - 1 :]
    return dict(
        processes=processes,
        threads=threads,
        seconds=seconds,
        seconds_per_photo=(rest[-1] - rest[0]) / (len(rest) - 1),
        peak_memory=most,
    )


def table(cases: Sequence[dict]) -> str:
    """Medians by processes and threads, the first line being the measure.

    Args:
        cases (Sequence[dict]): From :func:`measure`.

    Returns:
        str: Markdown.
    """
    names = ('seconds', 'seconds_per_photo', 'peak_memory')
    groups = {}
    for case in cases:
        groups.setdefault((case['processes'], case['threads']), []).append(case)
    lines = ['| processes × threads | whole run (s) | s / photo | memory (MB) |']
    lines.append('| --- | --- | --- | --- |')
    first = None
    for (processes, threads), some in groups.items():
        medians = [statistics.median(case[name] for case in some) for name in names]
        first = first or medians[1]
        seconds, each, memory = medians
        lines.append(
            f'| {processes} × {threads} | {seconds:.1f} | {each:.2f} '
            f'({first / each:.2f}×) | {memory / 1e6:.0f} |'
        )
    return '\n'.join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, required=True, help='JSON file')
    parser.add_argument('--processes', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--photos', type=int, default=16)
    parser.add_argument('--repeats', type=int, default=3, help='runs, in turn')
    args = parser.parse_args(arguments)
    cores, cases = len(os.sched_getaffinity(0)), []
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, 'photos')
        make_photos(folder, args.photos)
        for n, processes in enumerate(args.processes * args.repeats):
            for threads in sorted({1, max(1, cores // processes)}):
                out = Path(scratch, f'out {n} {threads}')
                cases.append(measure(folder, out, processes, threads))
                print(json.dumps(cases[-1]))
    flags = psutil.LINUX and Path('/proc/cpuinfo').read_text()
    conditions = dict(
        device=describe_device('cpu'),
        avx2='avx2' in (flags or '').split(),
        cores=cores,
        load_before=load,
        torch=torch.__version__,
        commit=describe_commit(),
        photos=f'{args.photos} of 512x512 pixels',
    )
    args.out.write_text(json.dumps(conditions | dict(cases=cases), indent=2) + '\n')
    print(table(cases))


if __name__ == '__main__':
    main()
