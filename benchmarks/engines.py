"""Times a network in PyTorch, onnxruntime and OpenVINO on a CPU, with their memory.

`benchmarks/engines.py [--networks shipped light full] [--sides 256 640] [--threads 2]`
writes benchmarks/results/engines.json and .md. Every case runs in a process of its own;
those of exported models import no PyTorch. On a machine that does other things too,
`--threads 1` and the processor's time tell more than the clock. What was measured is
kept: the same command goes on after an interruption.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from importlib.metadata import version
from itertools import product
from pathlib import Path

from engines_runs import ENGINES, NETWORKS, OURS, PLAIN, bound, build, measure

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / 'benchmarks' / 'results' / 'engines.json'
_FLAGS = ('avx2', 'fma', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_bf16')


def run_all(args: argparse.Namespace) -> dict:
    """All cases, each in a process of its own.

    Args:
        args (argparse.Namespace): The command line.

    Returns:
        dict: What is written.
    """
    flags = re.search(r'flags\s*: (.*)', Path('/proc/cpuinfo').read_text())[1].split()
    results = dict(
        flags=[flag for flag in _FLAGS if flag in flags],
        threads=args.threads,
        versions={p: version(p) for p in ('torch', 'onnxruntime', 'openvino')},
        cases=[],
        bounds=[],
    )
    if args.out.is_file():
        before = json.loads(args.out.read_text())
        if all(before[k] == results[k] for k in ('flags', 'threads', 'versions')):
            results = before
    results['command'] = shlex.join(['python', 'benchmarks/engines.py', *sys.argv[1:]])
    with tempfile.TemporaryDirectory() as folder:
        for network in args.networks:
            model = Path(folder) / f'{network}.onnx'
            _child(['--export', network, str(model)])
            for side, engine in product(args.sides, args.engines):
                case = dict(network=network, engine=engine, side=side)
                if any(case.items() <= done.items() for done in results['cases']):
                    continue
                case |= dict(threads=args.threads, repeats=args.repeats)
                case |= dict(load=os.getloadavg()[0])
                case |= _child(['--child', json.dumps(case | dict(model=str(model)))])
                print(case, file=sys.stderr, flush=True)
                results['cases'].append(case)
                write(results, args.out)
            for side in args.sides:
                what = dict(network=network, side=side)
                if not any(what.items() <= done.items() for done in results['bounds']):
                    found = _child(['--bound', network, str(side), str(args.threads)])
                    results['bounds'].append(what | found)
                    write(results, args.out)
    return results


def write(results: dict, out: Path) -> None:
    """Keep what was measured so far; the same command goes on from there."""
    out.write_text(json.dumps(results, indent=2) + '\n')
    out.with_suffix('.md').write_text(as_markdown(results))


def _child(arguments: list[str]) -> dict:
    command = [sys.executable, __file__, *arguments]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(ended.stdout.splitlines()[-1])


def as_markdown(results: dict) -> str:
    """A table a network and side; ratios to the plain form and to ours."""
    threads = f'{results["threads"]} thread' + 's' * (results['threads'] > 1)
    versions = ', '.join(f'{k} {v}' for k, v in results['versions'].items())
    lines = [
        f'{threads}; processor with {", ".join(results["flags"])}; {versions}. '
        'Peak memory: the whole process. Load: of the machine when a case began.',
    ]
    shown = sorted({(case['network'], case['side']) for case in results['cases']})
    for network, side in shown:
        cases = {
            case['engine']: case
            for case in results['cases']
            if (case['network'], case['side']) == (network, side)
        }
        lines += [
            *('', f'**{network}, {side}×{side}**', ''),
            '| engine | processor (s) | clock (s) | load | plain / this | this / ours '
            '| peak (MB) |',
            '|---|---|---|---|---|---|---|',
        ]
        for engine in filter(cases.get, ENGINES):
            case = cases[engine]
            taken = case['processor']
            cells = [engine, f'{taken:.3f}', f'{case["seconds"]:.3f}']
            cells += [f'{case["load"]:.1f}']
            for ratio in (
                PLAIN in cases and cases[PLAIN]['processor'] / taken,
                OURS in cases and taken / cases[OURS]['processor'],
            ):
                cells.append(f'{ratio:.2f}' if ratio else '–')
            cells.append(f'{case["peak"] / 1e6:.0f}')
            lines.append(f'| {" | ".join(cells)} |')
        for limit in results['bounds']:
            if (limit['network'], limit['side']) == (network, side):
                lines += ['', _told(limit, cases.get(PLAIN))]
    return '\n'.join([*lines, '', f'    {results["command"]}', ''])


def _told(limit: dict, plain: dict | None) -> str:
    """A bound, in a sentence."""
    sentence = (
        f'Bound: {limit["flops"] / 1e9:.0f} GFLOP at the {limit["pace"] / 1e9:.0f} '
        f'GFLOP a processor second of a float32 matrix product take '
        f'{limit["seconds"]:.2f} s of the processor'
    )
    if plain:
        ratio = plain['processor'] / limit['seconds']
        sentence += f'; the plain form takes {ratio:.1f} times as long'
    return sentence + '.'


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--networks', nargs='+', choices=NETWORKS, default=[*NETWORKS])
    parser.add_argument('--sides', nargs='+', type=int, default=[256, 640])
    parser.add_argument('--engines', nargs='+', choices=ENGINES, default=[*ENGINES])
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--out', type=Path, default=OUT, help='JSON file')
    parser.add_argument('--child', help=argparse.SUPPRESS)
    parser.add_argument('--export', nargs=2, help=argparse.SUPPRESS)
    parser.add_argument('--bound', nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure(json.loads(args.child))))
    elif args.bound:
        print(json.dumps(bound(args.bound[0], *map(int, args.bound[1:]))))
    elif args.export:
        from mmagic_inik.export import to_onnx

        name, path = args.export
        Path(path).write_bytes(to_onnx(build(name)).SerializeToString())
        print('{}')
    else:
        print(as_markdown(run_all(args)))


if __name__ == '__main__':
    main()
