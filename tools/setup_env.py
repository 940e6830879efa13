"""Build the environment `.venv` with the versions that work. Standard library only.

`make env` calls this. It checks the machine before it downloads anything, compiles
mmcv's operators once per machine into a wheel cache of our own, and returns within a
second when the environment is already complete. `make restore-env` calls it with
--light: what restores photos, without MMagic, and so without a compiler.
"""

import argparse
import sys
from pathlib import Path

from environment import ROOT, SetupError
from environment.building import build


def main() -> None:
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
