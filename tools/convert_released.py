"""Turn a published checkpoint into one for `tools/test.py`.

`tools/convert_released.py SRC.pth DST.pth`: of INIKNet or one of the systems of its
Table 1, told by the names in it. Names and shapes are checked against the network of
the config; where released weights expect BGR images, the result expects RGB.
"""

import mmagic_inik.full_setup  # noqa: F401

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmagic_inik.command_line import sentences_of
from mmagic_inik.engine.released_checkpoints import convert_checkpoint


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', help='published checkpoint')
    parser.add_argument('destination', type=Path, help='checkpoint to write')
    parser.add_argument(
        '--config', type=Path, help='default: the one of the network in the checkpoint'
    )
    parser.add_argument('--force', action='store_true', help='overwrite DESTINATION')
    args = parser.parse_args(arguments)
    source, destination = args.source, args.destination
    with sentences_of('convert_released'):
        name, config = convert_checkpoint(source, destination, args.config, args.force)
    print(
        f'{source} is {name}; {destination} is for tools/test.py {config} {destination}'
    )


if __name__ == '__main__':
    main()
