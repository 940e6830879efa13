"""Steps of the set-up, a line each."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import ROOT, SetupError

HEARTBEAT_SECONDS = 60
BAR = 20  # characters


def run(
    title: str, command: Sequence[object], log: Path, minutes: float = 1, **env: str
) -> None:
    """Run a step in one line with a bar; note its output, show the end if it fails.

    Args:
        title (str): What it does.
        command (Sequence[object]): Program and arguments; run in the checkout.
        log (Path): File to which its output is appended.
        minutes (float): About how many it takes. Default: 1.
        **env (str): Variables of its environment, besides ours.

    Raises:
        SetupError: If it fails.
    """
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


def wait(process: subprocess.Popen, title: str, minutes: float) -> int:
    """Wait for a process, beside a bar of the minutes that it takes.

    Without a terminal, the title and a dot a minute, so that no watchdog thinks that
    nothing happens.

    Args:
        process (subprocess.Popen): That runs.
        title (str): What it does.
        minutes (float): About how many it takes.

    Returns:
        int: Its exit status.
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
