"""Scores of several networks on several test sets, as the tables of papers.

Every image's scores are on disk at once: after a kill, the same command goes on.
"""

import mmagic_inik.full_setup  # noqa: F401

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from mmagic_inik.benchmark.quality import benchmark_quality
from mmagic_inik.command_line import add_device_option, sentences_of
from mmagic_inik.evaluation.image_quality import DEFINITIONS
from mmagic_inik.evaluation.protocol_options import add_protocol_options, protocol_of


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=(
            'example: %(prog)s --model INIKNet configs/iniknet_dpdd.py iniknet.pth '
            '--model Restormer mmagic::restormer/restormer_official_dpdd-single.py '
            'restormer.pth --data DPDD dpdd /data/DPDD --data CUHK cuhk /data/CUHK '
            '--out results'
        ),
    )
    parser.add_argument(
        '--model',
        nargs=3,
        action='append',
        default=[],
        metavar=('NAME', 'CONFIG', 'CHECKPOINT'),
        help="a network; again for more; the paper's figures stand beside those of "
        'its names (INIKNet; trained on LFDOF: "INIKNet (LFDOF)"); CONFIG may be one '
        "of MMagic's, as mmagic::nafnet/FILE.py",
    )
    parser.add_argument(
        '--data',
        nargs=3,
        action='append',
        required=True,
        metavar=('NAME', 'PRESET', 'ROOT'),
        help='a test set, in the layout PRESET under ROOT; again for more',
    )
    parser.add_argument(
        '--metrics',
        nargs='+',
        default=['PSNR', 'SSIM_7x7', 'LPIPS_alex'],
        choices=DEFINITIONS,
        metavar='METRIC',
        help=f'of {", ".join(DEFINITIONS)}; sets without ground truth get NIQE alone '
        '(default: PSNR SSIM_7x7 LPIPS_alex)',
    )
    parser.add_argument(
        '--peers',
        type=Path,
        metavar='FOLDER',
        help="every system of the paper's Table 1 whose weights are in FOLDER, as "
        'drbnet_dpdd.pth or drbnet_dpdd/best_*.pth by the name of its config; prints '
        'that table, with what each costs',
    )
    parser.add_argument('--out', type=Path, required=True, help='folder for results')
    add_device_option(parser)
    parser.add_argument(
        '--limit', type=int, metavar='N', help='only the first N images of each set'
    )
    add_protocol_options(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    args = parse_arguments(arguments)
    # MMagic remarks on every image.
    MMLogger.get_instance('benchmark_quality', log_level='ERROR')
    init_default_scope('mmagic')
    with sentences_of('benchmark_quality'):
        table = benchmark_quality(
            args.model,
            args.data,
            args.out,
            args.metrics,
            args.device,
            args.peers,
            args.limit,
            **protocol_of(args),
        )
    print(f'{table}\nTables, scores per image and galleries: {args.out}')


if __name__ == '__main__':
    main()
