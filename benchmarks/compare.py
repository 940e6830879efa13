"""Compares two results of benchmarks/speed.py: which cases lost their lead.

`benchmarks/compare.py OLD.json NEW.json [--tolerance 0.2]`. What is compared are the
ratios to the straightforward form, which was measured in the same run; seconds of two
machines could not be compared. Ends with status 1 where a ratio has got worse.
"""

import argparse
import json
from pathlib import Path

RATIOS = {'times_faster': 'time', 'times_less_memory': 'memory'}
CONDITIONS = ('device', 'threads')
# Of floating-point numbers that were written as decimals.
ROUNDING = 1e-9


def compare(old: dict, new: dict, tolerance: float) -> tuple[list[str], bool]:
    """Ratios of two results, case by case.

    Args:
        old (dict): Result of speed.py.
        new (dict): Likewise.
        tolerance (float): By which part a ratio may shrink, exclusive.

    Returns:
        tuple[list[str], bool]: Lines of Markdown, and whether a ratio has got worse.
    """
    lines = [
        f'{key} differs: {old[key]} before, {new[key]} now; the ratios are compared '
        'nevertheless.\n'
        for key in CONDITIONS
        if old[key] != new[key]
    ]
    lines += ['| case | ratio | before | now | change | |', '|---|---|---|---|---|---|']
    before, now = _ratios(old), _ratios(new)
    worse = False
    for (name, ratio), value in before.items():
        if (name, ratio) not in now:
            continue
        change = now[name, ratio] / value - 1
        bad = change <= -tolerance + ROUNDING
        worse |= bad
        lines.append(
            f'| {name} | {RATIOS[ratio]} | {value:.2f} | {now[name, ratio]:.2f} '
            f'| {change:+.0%} | {"WORSE" if bad else ""} |'
        )
    missing = {'before': now.keys() - before.keys(), 'now': before.keys() - now.keys()}
    for where, keys in missing.items():
        lines += [f'\nmissing {where}: {name}' for name in sorted({k[0] for k in keys})]
    return lines, worse


def _ratios(results: dict) -> dict[tuple[str, str], float]:
    """By case and ratio; the plain form's, which are one, left out."""
    return {
        (f'{case["group"]}: {case["form"]}', ratio): case[ratio]
        for case in results['cases']
        for ratio in RATIOS
        if ratio in case and not case['plain']
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('old', type=Path)
    parser.add_argument('new', type=Path)
    parser.add_argument(
        '--tolerance', type=float, default=0.2, help='by which part ratios may shrink'
    )
    args = parser.parse_args()
    old, new = (_read(path) for path in (args.old, args.new))
    lines, worse = compare(old, new, args.tolerance)
    print('\n'.join(lines))
    raise SystemExit(int(worse))


def _read(path: Path) -> dict:
    try:
        results = json.loads(path.read_text())
    except (OSError, ValueError):
        results = {}
    if not isinstance(results, dict) or 'cases' not in results:
        raise SystemExit(f'{path} is no result of benchmarks/speed.py; give its --out')
    return results


if __name__ == '__main__':
    main()
