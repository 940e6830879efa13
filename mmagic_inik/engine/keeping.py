"""What of a training goes on elsewhere: its state and its progress, as files."""

import os
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError
from .checkpoints import load_checkpoint_file
from .progress_hook import draw_progress, joined, read_progress, write_progress
from .training_state import small_state


def last_checkpoint(training: Path) -> Path:
    """The checkpoint that a folder of a training names, or the given file itself.

    Args:
        training (Path): Work folder, or a checkpoint.

    Returns:
        Path: Checkpoint, which need not exist.

    Raises:
        InputError: If the folder names none.
    """
    if not training.is_dir():
        return training
    pointer = training / 'last_checkpoint'
    if not pointer.is_file():
        raise InputError(
            f'{training} has no last_checkpoint; give the work folder of a training '
            'that has saved one'
        )
    # The folder may have been moved since.
    return training / Path(pointer.read_text().strip()).name


def keep_state(checkpoint: Path, out: Path) -> dict[str, Any]:
    """Write the state, and its progress beside it.

    Args:
        checkpoint (Path): Of a training with ``EMAHook``, Adam and ``ProgressHook``.
        out (Path): File to write, ``.pth``.

    Returns:
        dict[str, Any]: The state.

    Raises:
        InputError: If a file cannot be used.
    """
    if out.suffix != '.pth':
        raise InputError(f'{out} does not end in .pth; name it so')
    if not out.parent.is_dir():
        raise InputError(f'{out.parent} is not a folder; create it first')
    loaded = load_checkpoint_file(str(checkpoint), 'cpu')
    try:
        state = small_state(loaded)
        progress = state['progress']
    except KeyError as error:
        raise InputError(
            f'{checkpoint} has no {error}; give a checkpoint of a training like '
            'configs/iniknet_light_synthetic.py, not exported weights'
        ) from None
    table = checkpoint.with_name('progress.csv')
    if table.is_file():
        rows = joined(progress['rows'], read_progress(table), loaded['meta']['iter'])
        state['progress'] = progress = dict(progress, rows=rows)
    part = out.with_name(out.name + '.part')
    torch.save(state, part)
    os.replace(part, out)
    if progress['rows']:
        write_progress(progress['rows'], out.with_suffix('.csv'))
        draw_progress(progress['rows'], out.with_suffix('.png'))
    return state
