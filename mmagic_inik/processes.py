"""Processes that train or test together, started by torchrun or Slurm.

MMEngine lets them meet on GPUs. Here they meet on CPUs, too, and part so that the one
who is left behind says what happened.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError

if TYPE_CHECKING:
    from mmengine.config import Config

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PORT = '29500'  # PyTorch's own


def end_with_launcher() -> None:
    """Do not outlive torchrun, whose kill would leave the ranks writing on."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def join_cpu_group(timeout: float | None = None) -> None:
    """Without a GPU, form the launcher's process group with gloo.

    MMEngine would call ``torch.cuda.set_device`` for every rank.

    Args:
        timeout (float, optional): Seconds after which a silent process is given up.
            Default: PyTorch's, 30 minutes.
    """
    import torch

    if not torch.cuda.is_available():
        options: dict[str, Any] = {}
        if timeout is not None:
            options['timeout'] = timedelta(seconds=timeout)
        torch.distributed.init_process_group('gloo', **options)


def leave_group() -> None:
    """End a distributed run together.

    A rank that leaves while others still talk to it may abort in gloo's threads, and
    torchrun would then call the whole run failed.
    """
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def take_rank_from_slurm() -> None:
    """Give the process its rank where PyTorch looks for it.

    As MMEngine does; but that would want a GPU.

    Raises:
        InputError: If it was not started by ``srun``, or Slurm's ``scontrol`` is not
            there.
    """
    try:
        rank, size = os.environ['SLURM_PROCID'], os.environ['SLURM_NTASKS']
        nodes = os.environ['SLURM_NODELIST']
    except KeyError as error:
        raise InputError(
            f'--launcher slurm without {error.args[0]}, which srun sets; start it by '
            'tools/slurm_train.sh or tools/slurm_test.sh'
        ) from error
    if 'MASTER_ADDR' not in os.environ:
        command = ['scontrol', 'show', 'hostname', nodes]
        try:
            listed = subprocess.run(command, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise InputError(
                f'{" ".join(command)} cannot be run ({error}); set MASTER_ADDR to the '
                'address of the first node'
            ) from error
        os.environ['MASTER_ADDR'] = listed.stdout.split()[0]
    os.environ.setdefault('MASTER_PORT', _PORT)
    local = os.environ.get('SLURM_LOCALID', rank)
    os.environ.update(RANK=rank, WORLD_SIZE=size, LOCAL_RANK=local)


@contextmanager
def say_if_others_are_lost(config: 'Config', resumable: bool) -> Iterator[None]:
    """Say in a sentence that another process is gone, and how to go on.

    Args:
        config (Config): With ``work_dir``, where checkpoints are.
        resumable (bool): Whether there is something to go on from: in training.

    Raises:
        InputError: If the others cannot be reached any more.
    """
    try:
        yield
    except RuntimeError as error:
        if not _is_about_others(error):
            raise
        raise InputError(
            f'process {os.environ.get("RANK", 0)} of '
            f'{os.environ.get("WORLD_SIZE", 1)} lost the others, one of which, or its '
            f'machine, has ended ({_reason(error)}); start all of them again'
            + (_how_to_go_on(config.work_dir) if resumable else '')
        ) from error


def _is_about_others(error: RuntimeError) -> bool:
    """Of NCCL and the store by their class; gloo raises plain errors."""
    import torch

    return isinstance(error, torch.distributed.DistError) or 'gloo' in str(error)


def _reason(error: RuntimeError) -> str:
    # '[/path/of/a/source.cc:42] Connection closed by peer …'
    return str(error).splitlines()[0].rpartition('] ')[2][:120]


def _how_to_go_on(work: str) -> str:
    pointer = Path(work) / 'last_checkpoint'
    if pointer.is_file():
        return f' with --resume, which goes on from {pointer.read_text().strip()}'
    if os.environ.get('RANK') not in (None, '0'):
        return (
            f' with --resume, if process 0 wrote a checkpoint; here is none in {work}'
        )
    return f' (no checkpoint was written to {work} yet)'
