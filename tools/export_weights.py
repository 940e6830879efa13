"""Make of a training's checkpoint what is shipped: weights in float16, and a card.

`tools/export_weights.py CHECKPOINT OUT.pth --config CONFIG --remark commit=1234abc`
writes the weights alone, which are the averaged ones where the config averages, the
same as OUT.safetensors, and OUT.json with the network, the number of iterations, the
remarks and the files' hashes. With CONFIG, OUT.pth is a checkpoint to mmengine, MMagic
and every tool here.
"""

import mmagic_inik.full_setup  # noqa: F401

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmengine.registry import init_default_scope

from mmagic_inik.command_line import sentences_of
from mmagic_inik.engine.shipping import export_weights
from mmagic_inik.errors import InputError


def remarks_of(given: Sequence[str]) -> dict[str, str]:
    """``KEY=TEXT ...`` as texts by key."""
    for remark in given:
        if '=' not in remark:
            raise InputError(f'--remark {remark} has no =; give KEY=TEXT')
    return dict(remark.split('=', 1) for remark in given)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoint', help='of a training')
    parser.add_argument('destination', type=Path, help='file to write, .pth')
    parser.add_argument('--config', type=Path, required=True)
    parser.add_argument(
        '--remark',
        action='append',
        default=[],
        metavar='KEY=TEXT',
        help='for the card: commit, seed, data, hardware; may be repeated',
    )
    args = parser.parse_args(arguments)
    init_default_scope('mmagic')
    with sentences_of('export_weights'):
        remarks = remarks_of(args.remark)
        card = export_weights(args.checkpoint, args.destination, args.config, remarks)
    size = args.destination.stat().st_size / 1e6
    print(f'{args.destination}: {size:.2f} MB, sha256 {card["sha256"]}')


if __name__ == '__main__':
    main()
