"""Measures how far a network looks, and what overlap its pieces need.

`benchmarks/overlap.py PHOTO... --config CONFIG [--checkpoint FILE] [--out FILE.json]`.
Every photo is cut into two halves that share exactly so many pixels, and the result is
compared with that of the whole photo. Without a checkpoint the weights are random.
"""

import argparse
import json
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import torch
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from mmagic_inik.benchmark.complexity import build_network
from mmagic_inik.benchmark.origin import describe_commit, describe_device
from mmagic_inik.datasets import read_photo
from mmagic_inik.engine import load_weights
from mmagic_inik.models.restorer import MultiScaleRestorer
from mmagic_inik.models.tiling import tile_count, tile_side

STRIP = 32, 1024
SHARE = 0.999
# What a table's last column counts: 24 megapixels, in pieces of so many pixels a side.
LARGE, TILE = (4000, 6000), 1024


def load(config: str, checkpoint: str | None) -> MultiScaleRestorer:
    """The network of a config, with trained weights or random ones of seed 0."""
    torch.manual_seed(0)
    restorer = build_network(config)
    if checkpoint:
        load_weights(restorer, checkpoint)
    return restorer


@torch.no_grad()
def reach(network: nn.Module) -> int | None:
    """How far from a cut the result can differ, by the network's structure alone.

    Half of a strip is made NaN, which every operation hands on into the other half. The
    strip is cut where pieces are, on the grid of the coarsest scale.

    Args:
        network (nn.Module): (B, 3, H, W) → the same, in double precision, for which
            PyTorch has no Winograd convolution to spread NaN further.

    Returns:
        int | None: Pixels; None if all of the strip.
    """
    height, width = STRIP
    reached = []
    for half in (slice(width // 2), slice(width // 2, None)):
        strip = torch.rand(1, 3, height, width, dtype=torch.double)
        strip[..., half] = torch.nan
        clean = network(strip).isfinite().flatten(0, 2).all(0)
        reached.append(width // 2 - clean.sum().item())
    return max(reached) if max(reached) < width // 2 else None


def influence(network: nn.Module, photo: Tensor) -> dict:
    """How far away the pixels are that the photo's middle depends on.

    Args:
        network (nn.Module): As of :func:`reach`.
        photo (Tensor): (1, 3, H, W) in [0, 1].

    Returns:
        dict: Distances in columns, from the central pixel of a strip of the photo: of
        the farthest non-zero gradient of the three colours' sum, and within which
        ``SHARE`` of the absolute gradients lie.
    """
    top, middle = (side // 32 * 16 for side in photo.shape[-2:])
    strip = photo[..., top : top + STRIP[0], :].double().requires_grad_()
    network(strip)[..., STRIP[0] // 2, middle].sum().backward()
    columns = strip.grad.abs().sum((0, 1, 2))
    distance = (torch.arange(len(columns)) - middle).abs()
    by_distance = torch.zeros_like(columns).index_add(0, distance, columns)
    share = by_distance.cumsum(0) / by_distance.sum()
    return {
        'farthest': by_distance.nonzero().max().item(),
        f'within_for_{SHARE:.1%}': (share < SHARE).sum().item(),
    }


@torch.no_grad()
def compare(
    restorer: MultiScaleRestorer, photos: Sequence[Tensor], overlaps: Sequence[int]
) -> list[dict]:
    """Restore photos in halves and as wholes.

    Args:
        restorer (MultiScaleRestorer): The network.
        photos (Sequence[Tensor]): (1, 3, H, W) in [0, 1] of equal size, at least twice
            as wide as high.
        overlaps (Sequence[int]): Pixels that the halves share, multiples of 16.

    Returns:
        list[dict]: For each overlap the largest and the mean absolute difference in
        units of 1/255, and by how much ``LARGE`` in pieces of ``TILE`` takes more work.
    """
    wholes, rows = {}, []
    for overlap in overlaps:
        # So that halves begin on the grid.
        width = photos[0].shape[-1]
        width -= (width - overlap) % 32
        differences = []
        for number, photo in enumerate(photos):
            photo = photo[..., :width]
            if (number, width) not in wholes:
                wholes[number, width] = restorer.restore(photo)
            halves = restorer.restore(photo, (width + overlap) // 2, overlap)
            differences.append(255 * (halves - wholes[number, width]).abs())
        pixels = tile_count(*LARGE, TILE, overlap)
        for side in LARGE:
            pixels *= tile_side(side, TILE, overlap)
        rows.append(
            {
                'overlap': overlap,
                'max': max(d.max().item() for d in differences),
                'mean': sum(d.mean().item() for d in differences) / len(differences),
                'extra_percent': 100 * (pixels / (LARGE[0] * LARGE[1]) - 1),
            }
        )
    return rows


def as_markdown(rows: Sequence[dict]) -> str:
    """The table of :func:`compare`."""
    lines = [
        '| overlap | largest difference (1/255) | mean (1/255) | more pixels |',
        '|---|---|---|---|',
    ]
    lines += [
        f'| {r["overlap"]} | {r["max"]:.4f} | {r["mean"]:.6f} '
        f'| {r["extra_percent"]:.0f} % |'
        for r in rows
    ]
    return '\n'.join(lines)


def read_crop(path: Path, width: int, height: int) -> Tensor:
    """The left upper part of a photo, (1, 3, height, width) in [0, 1]."""
    photo = torch.from_numpy(read_photo(path)).permute(2, 0, 1)[None].float() / 255
    if photo.shape[-2] < height or photo.shape[-1] < width:
        raise SystemExit(
            f'{path} is smaller than {width}x{height}; give a lower --crop'
        )
    return photo[..., :height, :width]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('photos', nargs='+', type=Path)
    parser.add_argument('--config', required=True)
    parser.add_argument('--checkpoint')
    parser.add_argument(
        '--overlaps', type=int, nargs='+', default=[0, 16, 32, 64, 128, 256, 512]
    )
    parser.add_argument(
        '--crop',
        type=int,
        nargs=2,
        default=[1024, 512],
        metavar=('WIDTH', 'HEIGHT'),
        help='of the photos; multiples of 32, HEIGHT at most half of WIDTH - 16',
    )
    parser.add_argument('--out', type=Path, help='JSON file')
    args = parser.parse_args()

    init_default_scope('mmagic')
    restorer = load(args.config, args.checkpoint)
    photos = [read_crop(path, *args.crop) for path in args.photos]
    network = deepcopy(restorer.generator).double()
    results = {
        'config': args.config,
        'checkpoint': args.checkpoint or 'random weights, seed 0',
        'photos': [path.name for path in args.photos],
        'crop': args.crop,
        'reach_of_a_cut': reach(network),
        'gradient': influence(network, photos[0]),
    }
    print(json.dumps(results, indent=2))
    results['overlaps'] = compare(restorer, photos, args.overlaps)
    print(as_markdown(results['overlaps']))
    results |= {
        'device': describe_device('cpu'),
        'torch': torch.__version__,
        'commit': describe_commit(),
    }
    if args.out:
        args.out.write_text(json.dumps(results, indent=2) + '\n')


if __name__ == '__main__':
    main()
