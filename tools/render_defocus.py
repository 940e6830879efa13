"""Render defocused copies of sharp photos into a data set of pairs.

`tools/render_defocus.py PHOTOS OUT` writes OUT/input and OUT/target (PNG) and OUT/coc
(NPY: signed blur radius of every pixel, in pixels). The same options give the same
pictures.
"""

import mmagic_inik.full_setup  # noqa: F401

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import DictAction
from mmengine.registry import init_default_scope

from mmagic_inik.command_line import sentences_of
from mmagic_inik.datasets.writing import render_pairs


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('photos', type=Path, help='folder of sharp photos')
    parser.add_argument('out', type=Path, help='folder to make')
    parser.add_argument('--depth', type=Path, help='folder of 16-bit PNG depth maps')
    parser.add_argument('--depth-unit', type=float, default=0.001, help='metres')
    parser.add_argument('--views', type=int, default=1, help='scenes of each photo')
    parser.add_argument(
        '--options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='arguments of SyntheticDefocus: max_radius=6 seed=1 psfs=disc,ring',
    )
    args = parser.parse_args(arguments)
    init_default_scope('mmagic')
    with sentences_of('render_defocus', TypeError, ValueError):
        render_pairs(
            args.photos,
            args.out,
            args.views,
            args.depth,
            args.depth_unit,
            args.options,
        )


if __name__ == '__main__':
    main()
