"""What the systems of the paper's Table 1 cost beside INIKNet, in one run on a CPU.

`benchmarks/peers_cost.py [--repeats N] [--out FILE]`: parameters, operations, memory
and seconds of restoring an image in float32 and bfloat16, which wants a machine that
does nothing else; then the memory that a whole photo of DPDD takes, for which it need
not.
Each is measured in a process of its own; after a kill the same command goes on. Writes
benchmarks/results/peers_cost.md and .json.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import median

import mmagic
import torch
from mmengine.registry import init_default_scope

from mmagic_inik.benchmark.complexity import TOTAL, complexity
from mmagic_inik.benchmark.costs import describe_hardware, measure_alone
from mmagic_inik.benchmark.origin import describe_commit
from mmagic_inik.benchmark.peers import CONFIGS, PEERS, PHOTO, Peer
from mmagic_inik.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / 'benchmarks' / 'results' / 'peers_cost'
SIZE = 640, 640
DTYPES = 'float32', 'bfloat16'
# What the package's own photos are restored by is no system of the paper.
OURS = (
    Peer('INIKNet, small', str(CONFIGS / 'iniknet_small_synthetic.py')),
    Peer('INIKNet, lighter', str(CONFIGS / 'iniknet_light_synthetic.py')),
)
GIB = 2**30


def measure(peer: Peer, repeats: int) -> dict:
    """Counts of a system, and seconds and bytes of an image, by type."""
    count = complexity(peer.config, SIZE)
    row = dict(parameters=count.parameters[TOTAL], flops=count.flops[TOTAL])
    for dtype in DTYPES:
        cost = measure_alone(peer.config, SIZE, 'cpu', dtype, repeats)
        row[dtype] = dict(seconds=cost.seconds, memory=cost.memory)
    return row


def as_markdown(results: dict) -> str:
    """The table, and where it comes from."""
    titles = ['system', 'parameters (M)', 'GFLOP', 'float32 (s)', 'bfloat16 (s)']
    titles += ['float32 (GiB)', 'bfloat16 (GiB)']
    rows = results['systems']
    # The last that is measured.
    of_photo = any('photo_memory' in row for row in rows.values())
    titles += ['1680×1120, float32 (GiB)'] * of_photo
    lines = [f'| {" | ".join(titles)} |', '|---' * len(titles) + '|']
    for name, row in rows.items():
        cells = [name, f'{row["parameters"] / 1e6:.3f}', f'{row["flops"] / 1e9:.0f}']
        cells += [f'{median(row[dtype]["seconds"]):.2f}' for dtype in DTYPES]
        cells += [f'{row[dtype]["memory"] / GIB:.2f}' for dtype in DTYPES]
        if of_photo:
            photo = row.get('photo_memory')
            cells.append('–' if photo is None else f'{photo / GIB:.2f}')
        lines.append(f'| {" | ".join(cells)} |')
    lines += [
        '',
        'One RGB image of 640×640, random weights: median of {repeats} passes after '
        'one; growth of the peak resident memory of a fresh process. {hardware}; torch '
        '{torch}, MMagic {mmagic}; commit {commit}.'.format(**results),
    ]
    return '\n'.join(lines) + '\n'


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--out', type=Path, default=RESULTS)
    args = parser.parse_args()
    init_default_scope('mmagic')
    results = dict(
        repeats=args.repeats,
        hardware=describe_hardware('cpu', torch.get_num_threads()),
        torch=torch.__version__,
        mmagic=mmagic.__version__,
        commit=describe_commit(),
        systems={},
    )
    path = args.out.with_suffix('.json')
    if path.exists():
        former = json.loads(path.read_text())
        kept = ('repeats', 'hardware', 'torch', 'mmagic')
        if all(former[key] == results[key] for key in kept):
            results['systems'] = former['systems']
    rows: dict = results['systems']

    def save() -> None:
        path.write_text(json.dumps(results, indent=1) + '\n')
        args.out.with_suffix('.md').write_text(as_markdown(results))

    peers = [peer for peer in (*OURS, *PEERS) if peer.available]
    try:
        for peer in peers:
            if peer.name not in rows:
                rows[peer.name] = measure(peer, args.repeats)
                save()
        for peer in peers:
            if 'photo_memory' not in rows[peer.name]:
                # The pass that warms up is enough.
                cost = measure_alone(peer.config, PHOTO, 'cpu', 'float32', 0)
                rows[peer.name]['photo_memory'] = cost.memory
                save()
    except InputError as error:
        sys.exit(f'peers_cost: {error}')
    print(as_markdown(results))


if __name__ == '__main__':
    main()
