"""Which networks can be exported: those of all configs, with random weights.

`benchmarks/exports.py [CONFIG...]` writes benchmarks/results/exports.json and .md; rows
of configs that are not named stay as they are.
"""

import argparse
import json
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmagic_inik.benchmark.origin import describe_commit
from mmagic_inik.errors import InputError
from mmagic_inik.export import to_onnx
from mmagic_inik.export.checking import SIZES, compare
from mmagic_inik.models import Restorer
from mmagic_inik.models.build import build_part

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / 'benchmarks' / 'results' / 'exports.json'


def try_config(path: Path) -> dict:
    """Export a config's network with random weights, seed 0, and compare.

    Args:
        path (Path): Config.

    Returns:
        dict: ``network``; ``errors`` (largest difference by size), ``megabytes`` and
        ``seconds`` of the processor, or ``reason`` why it cannot be exported.
    """
    model = Config.fromfile(path).model
    torch.manual_seed(0)
    network = build_part(model.generator.to_dict())
    sides = model.get('size_divisor', 16), model.get('min_size', 32)
    row = dict(network=type(network).__name__)
    start = time.process_time()
    try:
        # MMagic's own get sides that all of them can take.
        restorer = Restorer(network, *sides).eval()
        content = to_onnx(restorer).SerializeToString()
        found = compare(content, restorer, 'float32')
    # Whatever a network or onnxruntime raises is the result.
    except Exception as error:
        cause = error.__cause__ or error
        lines = str(error if isinstance(error, InputError) else cause).splitlines()
        return row | dict(reason=lines[0][:200])
    row |= dict(
        errors=[agreement.error for agreement in found],
        enough=all(agreement.enough for agreement in found),
        megabytes=len(content) / 1e6,
        seconds=time.process_time() - start,
    )
    return row


def as_markdown(results: dict) -> str:
    """A table, a config a row."""
    sizes = ', '.join(f'{b}x3x{h}x{w}' for b, h, w in SIZES)
    lines = [
        f'Largest difference from PyTorch in onnxruntime on {sizes}, relative to the '
        'largest value where that is above 1.',
        '',
        '| config | network | goes | largest difference | MB |',
        '|---|---|---|---|---|',
    ]
    for name, row in sorted(results['configs'].items()):
        cells = [name, row['network'], row.get('reason', '–'), '–', '–']
        if 'errors' in row:
            cells[2] = 'yes' if row['enough'] else 'differs'
            cells[3] = f'{max(row["errors"]):.1e}'
            cells[4] = f'{row["megabytes"]:.1f}'
        lines.append(f'| {" | ".join(c.replace("|", "/") for c in cells)} |')
    lines += ['', f'{results["versions"]}; commit {results["commit"]}.', '']
    lines += ['    python benchmarks/exports.py', '']
    return '\n'.join(lines)


def all_configs() -> list[Path]:
    """Those that name a model, in order."""
    return [
        path
        for path in sorted((ROOT / 'configs').rglob('*.py'))
        if '_base_' not in path.parts and 'model' in Config.fromfile(path)
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('configs', nargs='*', type=Path, help='default: all of them')
    parser.add_argument('--out', type=Path, default=OUT, help='JSON file')
    args = parser.parse_args()
    init_default_scope('mmagic')
    torch.set_num_threads(1)
    results = dict(configs={})
    if args.out.is_file():
        results = json.loads(args.out.read_text())
    packages = ('torch', 'onnx', 'onnxruntime')
    named = [f'{package} {version(package)}' for package in packages]
    results['versions'] = ', '.join([f'Python {platform.python_version()}', *named])
    results['commit'] = describe_commit()
    for path in args.configs or all_configs():
        name = str(path.resolve().relative_to(ROOT / 'configs'))
        results['configs'][name] = try_config(path)
        print(name, results['configs'][name], file=sys.stderr, flush=True)
        args.out.write_text(json.dumps(results, indent=2) + '\n')
        args.out.with_suffix('.md').write_text(as_markdown(results))


if __name__ == '__main__':
    main()
