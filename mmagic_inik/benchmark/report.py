"""Tables of a benchmark of quality, with what must be known to compare them."""

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import mmagic
import torch

from ..evaluation.image_quality import finite_mean
from .origin import describe_commit, describe_device
from .peers import Peer, table_of_peers, without_weights
from .published import published_parameters, published_scores
from .scoring import PhotoSet, Scored
from .tables import UNTOUCHED, Column, Row, csv_table, gains_table, markdown_table


def origin() -> str:
    """What computes scores now.

    Returns:
        str: Versions and commit.
    """
    return (
        f'torch {torch.__version__}, MMagic {mmagic.__version__}, scikit-image '
        f'{version("scikit-image")}, lpips {version("lpips")}; commit '
        f'{describe_commit()}'
    )


def write_tables(
    scored: Scored, out: Path, peers: Path | None = None, absent: Sequence[Peer] = ()
) -> str:
    """Write ``table.md`` and ``table.csv``.

    Args:
        scored (Scored): Every image of it.
        out (Path): Folder.
        peers (Path, optional): Folder of the checkpoints of the paper's Table 1, if its
            form is wanted. Default: None.
        absent (Sequence[Peer]): Systems whose weights are not there. Default: ().

    Returns:
        str: What is in ``table.md``.
    """
    columns = [Column(d.name, d.metric.scores, len(d.images)) for d in scored.sets]
    rows = rows_of(scored)
    table = markdown_table if peers is None else table_of_peers
    text = f'{table(rows, columns)}\n{notes(scored, peers is not None)}'
    text += left_out(scored)
    if peers is not None:
        text += without_weights(absent, peers)
    text += gains(scored)
    (out / 'table.md').write_text(text, encoding='utf-8')
    (out / 'table.csv').write_text(csv_table(rows, columns), encoding='utf-8')
    return text


def rows_of(scored: Scored) -> list[Row]:
    """Means of every model.

    Args:
        scored (Scored): Every image of it.

    Returns:
        list[Row]: In its order; of ``seconds``, too.
    """
    rows = []
    for model in scored.models:
        means = {}
        for data in scored.sets:
            images = scored.of(model, data)
            means[data.name] = {
                name: finite_mean({i: s[name] for i, s in images.items()})[0]
                for name in (*data.metric.scores, 'seconds')
            }
        network = getattr(model.module, 'generator', model.module)
        parameters = sum(p.numel() for p in network.parameters())
        rows.append(Row(model.name, parameters or None, means))
    return rows


def notes(scored: Scored, costs: bool) -> str:
    """What must be known to compare the table with another.

    Args:
        scored (Scored): Every image of it.
        costs (bool): Whether the table tells what networks cost.

    Returns:
        str: A line per remark.
    """
    models, sets = scored.models, scored.sets
    lines = [_protocol(data) for data in sets]
    lines += [f'{model.remark}.' for model in models if model.remark]
    if costs:
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
        one for model in models for data in sets for one in scored.origins(model, data)
    )
    for one, count in origins.items():
        part = f' ({count} of {origins.total()} rows)' if len(origins) > 1 else ''
        lines.append(f'{describe_device(scored.device)}; {one}{part}.')
    return ''.join(f'- {line}\n' for line in lines)


def _protocol(data: PhotoSet) -> str:
    total = len(data.dataset)
    part = f' (the first of {total})' if len(data.images) < total else ''
    return f'{data.name}{part}: {data.metric.protocol_line(len(data.images))}.'


def left_out(scored: Scored) -> str:
    """Which images are in no mean, for their score is infinite or not a number.

    Args:
        scored (Scored): Every image of it.

    Returns:
        str: A line per model, data set and score with such images.
    """
    lines = []
    for model in scored.models:
        for data in scored.sets:
            images = scored.of(model, data)
            for name in data.metric.scores:
                values = {image: of_image[name] for image, of_image in images.items()}
                _, odd = finite_mean(values)
                if odd:
                    named = ', '.join(f'{image} ({values[image]})' for image in odd)
                    lines.append(
                        f'- {model.name} on {data.name}: {name} without {named}.\n'
                    )
    return ''.join(lines)


def gains(scored: Scored) -> str:
    """Gains in PSNR over the untouched input, where there are networks.

    Args:
        scored (Scored): Every image of it.

    Returns:
        str: A table per data set with PSNR, behind an empty line each.
    """
    text = ''
    for data in scored.sets:
        if 'PSNR' in data.metric.scores and len(scored.models) > 1:
            after = {
                model.name: {
                    image: of_image['PSNR']
                    for image, of_image in scored.of(model, data).items()
                }
                for model in scored.models
            }
            before = after.pop(UNTOUCHED)
            text += f'\n{gains_table(data.name, before, after)}'
    return text
