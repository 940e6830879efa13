"""Train variants of a network alike and compare their scores in one table.

All get the same number of iterations, the same seed and the same crops in the same
order. After a kill, the same command goes on: what is finished is not run again, what
is not goes on from its last checkpoint. Without --variant, the demo's network is
compared with its ablations on the demo's photos.
"""

import mmagic_inik.full_setup  # noqa: F401

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from mmagic_inik.benchmark.ablations import compare_variants, wanted_scores
from mmagic_inik.benchmark.variants import variants
from mmagic_inik.command_line import sentences_of


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='example: %(prog)s --variant INIKNet configs/iniknet_dpdd.py --variant '
        '"5 atoms" configs/iniknet_dpdd.py model.generator.head.atom_bank.num_atoms=5 '
        '--cfg-options data_root=/data/DPDD --out results',
    )
    parser.add_argument(
        '--variant',
        nargs='+',
        action='append',
        metavar=('NAME CONFIG', 'KEY=VALUE'),
        help="a network, with options of its own as after MMagic's --cfg-options; "
        'again for more (default: eight of configs/iniknet_demo.py)',
    )
    parser.add_argument('--out', type=Path, required=True, help='folder for results')
    parser.add_argument(
        '--iters',
        type=int,
        metavar='N',
        help="iterations, the schedule in proportion (default: the config's)",
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='for all'
    )
    parser.add_argument(
        '--lpips-weights', metavar='PATH', help="AlexNet's, for LPIPS_alex too"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    args = parse_arguments(arguments)
    MMLogger.get_instance('run_ablations', log_level='ERROR')
    init_default_scope('mmagic')
    with sentences_of('run_ablations'):
        scores = wanted_scores(args.lpips_weights)
        todo = variants(args.variant, args.out, args.iters, args.seed, args.cfg_options)
        if not args.variant and not any('data_root=' in o for o in args.cfg_options):
            from mmagic_inik.datasets.demo_data import make_demo_data

            make_demo_data(Path('data/demo'))
        table = compare_variants(todo, args.out, scores)
    print(f'\n{table}\nTable and results: {args.out}')


if __name__ == '__main__':
    main()
