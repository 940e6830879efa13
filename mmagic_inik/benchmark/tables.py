"""Tables of results as papers print them: Markdown to read, CSV to compute with."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ..evaluation.image_quality import format_score
from .published import (
    published_parameters,
    published_scores,
    published_seconds,
)

MISSING = '–'
UNTOUCHED = 'input (untouched)'


class Column(NamedTuple):
    """A test set.

    Attributes:
        data (str): Its name.
        scores (tuple[str, ...]): What is computed on it.
        num_images (int): How many images were scored.
    """

    data: str
    scores: tuple[str, ...]
    num_images: int


class Row(NamedTuple):
    """A network, or the untouched input.

    Attributes:
        model (str): Its name.
        parameters (int | None): How many it has.
        means (dict[str, dict[str, float]]): Mean scores, by data set and score, and
            ``seconds`` of an image.
    """

    model: str
    parameters: int | None
    means: dict[str, dict[str, float]]


def markdown_table(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """Rows of models, a column per data set, the paper's figures in brackets.

    Args:
        rows (Sequence[Row]): Models.
        columns (Sequence[Column]): Data sets.

    Returns:
        str: Markdown; cells like ``25.98 / 0.811 (25.980 / 0.811)``, ``–`` where
        nothing was measured.
    """
    heads = [f'{c.data}: {" / ".join(c.scores)}' for c in columns]
    lines = [
        ['model', 'parameters (M)', *heads],
        ['---'] * (2 + len(columns)),
        *([r.model, _parameters(r), *(_cell(r, c) for c in columns)] for r in rows),
    ]
    return _markdown(lines)


def peers_table(
    rows: Sequence[Row], columns: Sequence[Column], macs: dict[str, int]
) -> str:
    """Table 1 of the paper: as :func:`markdown_table`, with what a network costs.

    Args:
        rows (Sequence[Row]): Models, those not measured, too.
        columns (Sequence[Column]): Data sets.
        macs (dict[str, int]): Multiply-accumulates of a photo of DPDD, by model.

    Returns:
        str: Markdown; seconds are those of this run, per data set, and the paper's.
    """
    heads = [
        'model',
        'parameters (M)',
        'GMAC at 1680×1120',
        *(f'{c.data}: s a photo' for c in columns),
        's in the paper',
        *(f'{c.data}: {" / ".join(c.scores)}' for c in columns),
    ]
    lines = [heads, ['---'] * len(heads)]
    for row in rows:
        count = macs.get(row.model)
        seconds = [row.means.get(c.data, {}).get('seconds') for c in columns]
        paper = published_seconds(row.model)
        lines.append(
            [
                row.model,
                _parameters(row),
                MISSING if count is None else f'{count / 1e9:.0f}',
                *(MISSING if s is None else f'{s:.2f}' for s in seconds),
                MISSING if paper is None else f'{paper:.3f}',
                *(_cell(row, c) for c in columns),
            ]
        )
    return _markdown(lines)


def gains_table(
    data: str, before: dict[str, float], after: dict[str, dict[str, float]]
) -> str:
    """How far every model is above the untouched input, and on how many images.

    A mean hides the images that a network harms.

    Args:
        data (str): Name of the data set.
        before (dict[str, float]): PSNR of the input in dB, by image.
        after (dict[str, dict[str, float]]): PSNR by model and image.

    Returns:
        str: Markdown: mean gain, how many images gain, the worst and the best image.
    """
    head = [f'{data}: gain in PSNR (dB)', 'mean', 'images better', 'worst', 'best']
    lines = [head, ['---'] * len(head)]
    for model, scores in after.items():
        gains = {image: scores[image] - before[image] for image in before}
        # Of two infinite scores there is no difference.
        gains = {image: gain for image, gain in gains.items() if np.isfinite(gain)}
        if not gains:
            lines.append([model, *[MISSING] * 4])
            continue
        worst, best = (pick(gains, key=gains.__getitem__) for pick in (min, max))
        lines.append(
            [
                model,
                f'{sum(gains.values()) / len(gains):+.3f}',
                f'{sum(gain > 0 for gain in gains.values())} of {len(gains)}',
                f'{gains[worst]:+.2f} ({worst})',
                f'{gains[best]:+.2f} ({best})',
            ]
        )
    return _markdown(lines)


def csv_table(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """The same in long form, a line per model, data set and score.

    Args:
        rows (Sequence[Row]): Models.
        columns (Sequence[Column]): Data sets.

    Returns:
        str: CSV with a header; values in full precision, empty where unknown.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(
        ['model', 'parameters', 'data', 'images', 'score', 'value', 'paper']
    )
    for row in rows:
        for data, scores, num_images in columns:
            paper = published_scores(row.model, data)
            for score in scores:
                value = row.means.get(data, {}).get(score, '')
                writer.writerow(
                    [
                        row.model,
                        '' if row.parameters is None else row.parameters,
                        data,
                        num_images,
                        score,
                        value,
                        paper.get(score, ''),
                    ]
                )
    return text.getvalue()


def _markdown(lines: Iterable[Sequence[str]]) -> str:
    cells = ([cell.replace('|', r'\|') for cell in line] for line in lines)
    return ''.join(f'| {" | ".join(line)} |\n' for line in cells)


def _parameters(row: Row) -> str:
    ours = MISSING if row.parameters is None else f'{row.parameters / 1e6:.2f}'
    paper = published_parameters(row.model)
    return ours if paper is None else f'{ours} ({paper:.2f})'


def _cell(row: Row, column: Column) -> str:
    ours = row.means.get(column.data, {})
    paper = published_scores(row.model, column.data)
    text = _joined(ours, column.scores)
    if not any(score in paper for score in column.scores):
        return text
    return f'{text} ({_joined(paper, column.scores, paper=True)})'


def _joined(
    values: dict[str, float], scores: Sequence[str], paper: bool = False
) -> str:
    if not any(score in values for score in scores):
        return MISSING
    return ' / '.join(
        # The paper has three decimals of everything.
        (f'{values[s]:.3f}' if paper else format_score(s, values[s]))
        if s in values
        else MISSING
        for s in scores
    )
