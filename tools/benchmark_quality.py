"""Scores of several networks on several test sets, as the tables of papers.

Every image's scores are on disk at once: after a kill, the same command goes on.
"""

import mmagic_inik.full_setup  # noqa: F401

import argparse
import itertools
import re
import sys
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import mmagic
import numpy as np
import skimage
import torch
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from mmagic_inik.benchmark.complexity import complexity
from mmagic_inik.benchmark.contenders import (
    Contender,
    build_contender,
    untouched_input,
)
from mmagic_inik.benchmark.origin import describe_commit, describe_device
from mmagic_inik.benchmark.peers import PEERS, PHOTO, Peer, find_checkpoint
from mmagic_inik.benchmark.published import published_parameters, published_scores
from mmagic_inik.benchmark.records import ImageRecords
from mmagic_inik.benchmark.scoring import (
    PhotoSet,
    open_test_set,
    restore,
    run_of,
    score_all,
)
from mmagic_inik.benchmark.tables import (
    UNTOUCHED,
    Column,
    Row,
    csv_table,
    gains_table,
    markdown_table,
    peers_table,
)
from mmagic_inik.errors import InputError
from mmagic_inik.evaluation import ImageQuality
from mmagic_inik.evaluation.image_quality import (
    DEFINITIONS,
    finite_mean,
    format_score,
)
from mmagic_inik.launch import check_device
from mmagic_inik.visualization.gallery import Case, best_median_worst, gallery

LARGER_IS_BETTER = ('PSNR', 'PSNR_matched', 'SSIM_7x7', 'SSIM_11x11')


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
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu'
    )
    parser.add_argument(
        '--limit', type=int, metavar='N', help='only the first N images of each set'
    )
    parser.add_argument(
        '--crop-to-multiple',
        type=int,
        metavar='N',
        help='crop predictions and targets at right and bottom',
    )
    parser.add_argument(
        '--bit-depth', type=int, choices=(8, 16), help='of targets (default: as stored)'
    )
    parser.add_argument(
        '--round', action='store_true', help='predictions to --bit-depth, too'
    )
    parser.add_argument('--no-clip', action='store_true', help='of predictions')
    parser.add_argument(
        '--channel-order',
        choices=('RGB', 'BGR'),
        default='RGB',
        help='for LPIPS and NIQE (default: RGB)',
    )
    parser.add_argument(
        '--lpips-weights',
        nargs='+',
        default=[],
        metavar='NET=PATH',
        help="torchvision's file of alex, squeeze or vgg (default: its hub cache)",
    )
    return parser.parse_args(arguments)


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse what could only fail later.

    Raises:
        InputError: Names the option.
    """
    for option, names in (
        ('--model', [UNTOUCHED, *(name for name, _, _ in args.model)]),
        ('--data', [name for name, _, _ in args.data]),
    ):
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise InputError(f'{option} has the name {twice.pop()} twice; rename one')
    files: dict[str, tuple[str, str]] = {}
    for pair in itertools.product(
        [m[0] for m in args.model], [d[0] for d in args.data]
    ):
        other = files.setdefault(gallery_name(*pair).casefold(), pair)
        if other != pair:
            raise InputError(
                f'{" on ".join(other)} and {" on ".join(pair)} would have one gallery, '
                f'{gallery_name(*pair)}; rename one of --model or --data'
            )
    if args.limit is not None and args.limit < 1:
        raise InputError(f'--limit must be positive, got {args.limit}')
    for pair in args.lpips_weights:
        if '=' not in pair:
            raise InputError(f'--lpips-weights takes NET=PATH, got {pair}')
    check_device(args.device)


def open_test_sets(args: argparse.Namespace) -> list[PhotoSet]:
    """Every ``--data``, with the protocol of the other options.

    Raises:
        InputError: If one cannot be used.
    """
    return [
        open_test_set(
            *given,
            args.metrics,
            args.limit,
            dict(pair.split('=', 1) for pair in args.lpips_weights),
            crop_to_multiple=args.crop_to_multiple,
            bit_depth=args.bit_depth,
            clip=not args.no_clip,
            round=args.round,
            channel_order=args.channel_order,
            device=args.device,
        )
        for given in args.data
    ]


def add_peers(args: argparse.Namespace) -> list[Peer]:
    """Add the systems of ``--peers`` whose weights there are to ``--model``.

    Returns:
        list[Peer]: Those whose weights there are not.

    Raises:
        InputError: If the folder is none.
    """
    if args.peers is None:
        return []
    if not args.peers.is_dir():
        raise InputError(
            f'--peers {args.peers} is no folder; give the one with the checkpoints'
        )
    found = {peer: find_checkpoint(peer, args.peers) for peer in PEERS}
    args.model += [
        (peer.name, peer.config, str(path)) for peer, path in found.items() if path
    ]
    return [peer for peer, path in found.items() if path is None]


def without_weights(absent: Sequence[Peer], folder: Path) -> str:
    """Which systems were not scored, and what they would have needed."""
    return ''.join(
        f'- {peer.name} is not scored: {folder} has neither {peer.stem}.pth nor '
        f'{peer.stem}/best_*.pth.\n'
        for peer in absent
    )


def origin() -> str:
    """What computes scores now."""
    return (
        f'torch {torch.__version__}, MMagic {mmagic.__version__}, scikit-image '
        f'{skimage.__version__}, lpips {version("lpips")}; commit {describe_commit()}'
    )


def notes(
    models: Sequence[Contender],
    sets: Sequence[PhotoSet],
    records: ImageRecords,
    args: argparse.Namespace,
) -> str:
    """What must be known to compare the table with another."""
    lines = []
    for data in sets:
        total = len(data.dataset)
        part = f' (the first of {total})' if len(data.images) < total else ''
        line = data.metric.protocol_line(len(data.images))
        lines.append(f'{data.name}{part}: {line}.')
    lines += [f'{model.remark}.' for model in models if model.remark]
    if args.peers is not None:
        lines.append(
            'GMAC: multiply-accumulates of a photo of 1680 × 1120, in 10⁹; seconds in '
            'the paper: 640 × 640 on an RTX 2080 Ti.'
        )
    if any(
        published_parameters(m.name) or published_scores(m.name, d.name)
        for m in models
        for d in sets
    ):
        lines.append(
            'In brackets: figures of the INIKNet paper, by its own protocol (8 bits, '
            'cropped to multiples of 32, LPIPS of unclipped BGR images).'
        )
    # Rows of an earlier call are of what computed them then.
    origins = Counter(
        one
        for model in models
        for data in sets
        for one in records.origins(run_of(model, data, args.device), data.images)
    )
    for one, count in origins.items():
        part = f' ({count} of {origins.total()} rows)' if len(origins) > 1 else ''
        lines.append(f'{describe_device(args.device)}; {one}{part}.')
    return ''.join(f'- {line}\n' for line in lines)


def write_tables(
    models: Sequence[Contender],
    sets: Sequence[PhotoSet],
    records: ImageRecords,
    args,
    absent: Sequence[Peer],
) -> str:
    """Write ``table.md`` and ``table.csv``; with ``--peers``, also of ``absent``.

    Returns:
        str: The former.
    """
    columns = [Column(d.name, d.metric.scores, len(d.images)) for d in sets]
    scores = {
        (model.name, data.name): records.of(
            run_of(model, data, args.device), data.images
        )
        for model in models
        for data in sets
    }
    rows = []
    for model in models:
        means = {}
        for data in sets:
            images = scores[model.name, data.name]
            means[data.name] = {
                name: finite_mean({i: s[name] for i, s in images.items()})[0]
                for name in (*data.metric.scores, 'seconds')
            }
        network = getattr(model.module, 'generator', model.module)
        parameters = sum(p.numel() for p in network.parameters())
        rows.append(Row(model.name, parameters or None, means))
    told = notes(models, sets, records, args) + left_out(scores, sets)
    if args.peers is None:
        text = f'{markdown_table(rows, columns)}\n{told}'
    else:
        text = (
            f'{table_of_peers(rows, columns)}\n{told}'
            f'{without_weights(absent, args.peers)}'
        )
    for data in sets:
        if 'PSNR' in data.metric.scores and len(models) > 1:
            after = {
                model.name: {
                    image: of_image['PSNR']
                    for image, of_image in scores[model.name, data.name].items()
                }
                for model in models
            }
            before = after.pop(UNTOUCHED)
            text += f'\n{gains_table(data.name, before, after)}'
    (args.out / 'table.md').write_text(text, encoding='utf-8')
    (args.out / 'table.csv').write_text(csv_table(rows, columns), encoding='utf-8')
    return text


def table_of_peers(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """Table 1 in its order, other contenders before it."""
    scored = {row.model: row for row in rows}
    counts = {
        peer.name: complexity(peer.config, PHOTO) for peer in PEERS if peer.available
    }
    total = {
        name: (count.parameters['total'], count.flops['total'] // 2)
        for name, count in counts.items()
    }
    names = [peer.name for peer in PEERS]
    ordered = [row for row in rows if row.model not in names] + [
        scored.get(name) or Row(name, total.get(name, (None,))[0], {}) for name in names
    ]
    return peers_table(
        ordered, columns, {name: macs for name, (_, macs) in total.items()}
    )


def left_out(scores: dict, sets: Sequence[PhotoSet]) -> str:
    """Which images are in no mean, for their score is infinite or not a number.

    Args:
        scores (dict): Scores by model and data set, then by image.
        sets (Sequence[PhotoSet]): Data sets.

    Returns:
        str: A line per model, data set and score with such images.
    """
    lines = []
    for (model, data), images in scores.items():
        (metric,) = (d.metric for d in sets if d.name == data)
        for name in metric.scores:
            values = {image: of_image[name] for image, of_image in images.items()}
            _, odd = finite_mean(values)
            if odd:
                named = ', '.join(f'{image} ({values[image]})' for image in odd)
                lines.append(f'- {model} on {data}: {name} without {named}.\n')
    return ''.join(lines)


def write_galleries(
    models: Sequence[Contender], sets: Sequence[PhotoSet], records: ImageRecords, args
) -> None:
    """Write a picture of the best, median and worst image per model and data set."""
    untouched, *networks = models
    for model in networks:
        model.module.to(args.device)
        for data in sets:
            before, after = (
                records.of(run_of(m, data, args.device), data.images)
                for m in (untouched, model)
            )
            score = 'PSNR' if 'PSNR' in data.metric.scores else data.metric.scores[0]
            sign = 1 if score in LARGER_IS_BETTER else -1
            gains = [sign * (after[i][score] - before[i][score]) for i in data.images]
            cases = []
            for word, index in best_median_worst(gains).items():
                image = data.images[index]
                sample, _ = restore(model, data, image, args.device)
                heading = (
                    f'{word} of {len(gains)}: {image}, {score} '
                    f'{format_score(score, before[image][score])} → '
                    f'{format_score(score, after[image][score])}'
                )
                cases.append(
                    picture(sample, heading, data.metric, before[image], after[image])
                )
            if cases:
                file = args.out / gallery_name(model.name, data.name)
                gallery(cases).savefig(file, dpi=100)
        model.module.to('cpu')


def gallery_name(model: str, data: str) -> str:
    """File of a gallery: what file systems may not take becomes ``_``."""
    name = re.sub(r'[^\w.-]+', '_', f'gallery_{data}_{model}')
    return f'{name}.png'


def picture(sample: dict, heading: str, metric: ImageQuality, before, after) -> Case:
    """One image of a gallery."""

    def titled(word: str, scores: dict[str, float]) -> str:
        shown = (f'{k} {format_score(k, scores[k])}' for k in metric.scores)
        return f'{word}\n' + ', '.join(shown)

    tensors = [sample['input'], sample['output']['pred_img']]
    titles = [titled('input', before), titled('restored', after)]
    if 'gt_img' in sample:
        tensors.append(sample['gt_img'])
        titles.append('target\n')
    images = [
        np.rint(x.cpu().numpy().clip(0, 255)).astype(np.uint8)[::-1].transpose(1, 2, 0)
        for x in tensors
    ]
    return Case(heading, images, titles)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    args = parse_arguments(arguments)
    # MMagic remarks on every image.
    MMLogger.get_instance('benchmark_quality', log_level='ERROR')
    init_default_scope('mmagic')
    try:
        absent = add_peers(args)
        check_arguments(args)
        sets = open_test_sets(args)
        models = [
            untouched_input(),
            *(build_contender(*given, clip=not args.no_clip) for given in args.model),
        ]
        for data in sets:
            for model in models:
                data.metric.prepare(model.module, data)
        args.out.mkdir(parents=True, exist_ok=True)
        records = ImageRecords(args.out / 'per_image.csv')
        score_all(models, sets, records, args.device, origin())
        table = write_tables(models, sets, records, args, absent)
        write_galleries(models, sets, records, args)
    except InputError as error:
        sys.exit(f'benchmark_quality: {error}')
    print(f'{table}\nTables, scores per image and galleries: {args.out}')


if __name__ == '__main__':
    main()
