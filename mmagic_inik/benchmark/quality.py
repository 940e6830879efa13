"""Scores of several networks on several test sets, from their names to the tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from ..errors import InputError
from ..launch import check_device
from .contenders import build_contender, untouched_input
from .galleries import check_gallery_names, write_galleries
from .peers import find_peers
from .records import ImageRecords
from .report import origin, write_tables
from .scoring import Scored, open_test_set, score_all
from .tables import UNTOUCHED


def benchmark_quality(
    models: Sequence[tuple[str, str, str]],
    sets: Sequence[tuple[str, str, str]],
    out: Path,
    scores: Sequence[str],
    device: str | None = None,
    peers: Path | None = None,
    limit: int | None = None,
    **protocol: Any,
) -> str:
    """Score networks image by image, and write tables and galleries.

    What ``per_image.csv`` in ``out`` holds already is not computed again.

    Args:
        models (Sequence[tuple[str, str, str]]): Name, config and checkpoint of each.
        sets (Sequence[tuple[str, str, str]]): Name, preset and folder of each.
        out (Path): Folder for results; made if absent.
        scores (Sequence[str]): As of :func:`~.scoring.open_test_set`.
        device (str, optional): As torch names it. Default: None, a GPU if there is one.
        peers (Path, optional): Folder with checkpoints of the paper's Table 1, which
            are models, too. Default: None.
        limit (int, optional): Only the first images of each set. Default: None.
        **protocol: Further arguments of :func:`~.scoring.open_test_set`; networks are
            told ``clip``, too.

    Returns:
        str: What is in ``table.md``.

    Raises:
        InputError: If something cannot be used; nothing is written then.
    """
    found, absent = ([], []) if peers is None else find_peers(peers)
    models = [*models, *found]
    check_names([name for name, *_ in models], [name for name, *_ in sets])
    if limit is not None and limit < 1:
        raise InputError(f'--limit must be positive, got {limit}')
    device = check_device(device)
    opened = [
        open_test_set(*one, scores, limit, device=device, **protocol) for one in sets
    ]
    clip = protocol.get('clip', True)
    contenders = [
        untouched_input(),
        *(build_contender(*given, clip=clip) for given in models),
    ]
    for data in opened:
        loader = DataLoader(data.dataset)
        for model in contenders:
            data.metric.prepare(model.module, loader)
    out.mkdir(parents=True, exist_ok=True)
    records = ImageRecords(out / 'per_image.csv')
    scored = Scored(contenders, opened, records, device)
    score_all(scored, origin())
    table = write_tables(scored, out, peers, absent)
    write_galleries(scored, out)
    return table


def check_names(models: Sequence[str], sets: Sequence[str]) -> None:
    """Refuse names that are there twice, or become one in the name of a file.

    Args:
        models (Sequence[str]): Names of networks.
        sets (Sequence[str]): Names of data sets.

    Raises:
        InputError: Names the option.
    """
    for option, names in (('--model', [UNTOUCHED, *models]), ('--data', [*sets])):
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise InputError(f'{option} has the name {twice.pop()} twice; rename one')
    check_gallery_names(models, sets)
