"""Make of a training's last checkpoint what goes on elsewhere, small enough to commit.

`tools/keep_state.py WORK_DIR OUT.pth` takes the folder of a training (or a checkpoint
in it) and writes half of its size: see `mmagic_inik.engine.small_state`. The table and
the picture of its progress come beside it, OUT.csv and OUT.png. What was there is
replaced.
`tools/train.py CONFIG --resume --cfg-options load_from=OUT.pth` goes on.
"""

import mmagic_inik.full_setup  # noqa: F401

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmagic_inik.command_line import sentences_of
from mmagic_inik.engine.keeping import keep_state, last_checkpoint


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('training', type=Path, help='work folder, or a checkpoint')
    parser.add_argument('out', type=Path, help='file to write, .pth')
    args = parser.parse_args(arguments)
    with sentences_of('keep_state'):
        state = keep_state(last_checkpoint(args.training), args.out)
    size = args.out.stat().st_size / 1e6
    print(f'{args.out}: iteration {state["meta"]["iter"]}, {size:.1f} MB')


if __name__ == '__main__':
    main()
