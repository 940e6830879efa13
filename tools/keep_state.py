"""Make of a training's last checkpoint what goes on elsewhere, small enough to commit.

`tools/keep_state.py WORK_DIR OUT.pth` takes the folder of a training (or a checkpoint
in it) and writes half of its size: see `mmagic_inik.engine.small_state`. The table and
the picture of its progress come beside it, OUT.csv and OUT.png. What was there is
replaced.
`tools/train.py CONFIG --resume --cfg-options load_from=OUT.pth` goes on.
"""

import mmagic_inik.full_setup  # noqa: F401

import argparse
import os
import sys
from pathlib import Path

import torch

from mmagic_inik.engine import load_checkpoint_file, small_state
from mmagic_inik.engine.progress_hook import (
    draw_progress,
    joined,
    read_progress,
    write_progress,
)
from mmagic_inik.errors import InputError


def last_checkpoint(training: Path) -> Path:
    """The checkpoint that a folder of a training names, or the given file itself.

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


def keep(checkpoint: Path, out: Path) -> dict:
    """Write the state, and its progress beside it.

    Args:
        checkpoint (Path): Of a training with ``EMAHook``, Adam and ``ProgressHook``.
        out (Path): File to write, ``.pth``.

    Returns:
        dict: The state.

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


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('training', type=Path, help='work folder, or a checkpoint')
    parser.add_argument('out', type=Path, help='file to write, .pth')
    args = parser.parse_args()
    try:
        state = keep(last_checkpoint(args.training), args.out)
    except InputError as error:
        sys.exit(f'keep_state: {error}')
    size = args.out.stat().st_size / 1e6
    print(f'{args.out}: iteration {state["meta"]["iter"]}, {size:.1f} MB')


if __name__ == '__main__':
    main()
