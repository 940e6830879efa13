"""The table of a comparison of variants."""

import json
from collections.abc import Sequence
from typing import Any

from ..evaluation.image_quality import format_score

NOTE = (
    '- Scores are of the last checkpoint; s / iteration is the median over training.\n'
    '- One seed does not tell its own spread: train with others before a small '
    'difference is believed.\n'
)


def ablation_table(results: Sequence[dict[str, Any]], scores: Sequence[str]) -> str:
    """Markdown: a line per variant, what it is, and the conditions.

    Args:
        results (Sequence[dict[str, Any]]): As of :func:`~.ablations.result_of`.
        scores (Sequence[str]): Names of the columns.

    Returns:
        str: Text.
    """
    lines = [['variant', 'parameters', *scores, 's / iteration']]
    lines.append(['---'] * len(lines[0]))
    for r in results:
        cells = [format_score(name, r['scores'][name]) for name in scores]
        lines.append(
            [r['name'], f'{r["parameters"]:,}', *cells]
            + [f'{r["seconds_per_iteration"]:.3f}']
        )
    escaped = ([cell.replace('|', r'\|') for cell in line] for line in lines)
    text = ''.join(f'| {" | ".join(line)} |\n' for line in escaped) + '\n'
    for r in results:
        text += f'- {r["name"]}: {" ".join([r["config"], *r["options"]])}\n'
    names: dict[str, list[str]] = {}
    for r in results:
        names.setdefault(json.dumps(r['conditions']), []).append(r['name'])
    for described, of in names.items():
        facts = json.loads(described)
        facts |= facts.pop('versions')
        parts = (f'{key.replace("_", " ")} {value}' for key, value in facts.items())
        text += f'- {"All" if len(names) == 1 else ", ".join(of)}: {"; ".join(parts)}\n'
    return text + NOTE
