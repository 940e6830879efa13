"""Best, median and worst results of a test set in one figure."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from .figures import draw_versions, most_different


class Case(NamedTuple):
    """One photograph in several versions.

    Attributes:
        heading (str): Above the versions.
        images (Sequence[np.ndarray]): (H, W, 3) uint8 RGB each, of equal size; the
            first two are input and restored.
        titles (Sequence[str]): One per image.
    """

    heading: str
    images: Sequence[np.ndarray]
    titles: Sequence[str]


def best_median_worst(gains: Sequence[float]) -> dict[str, int]:
    """Where the best, the median and the worst of some numbers stand.

    Args:
        gains (Sequence[float]): The larger the better; what is not a number is none of
            these.

    Returns:
        dict[str, int]: Index by word; of none to two numbers fewer words.

    Example:
        >>> best_median_worst([0.5, 2.0, -1.0, 0.1])
        {'best': 1, 'median': 0, 'worst': 2}
    """
    order = [int(i) for i in np.argsort(gains, kind='stable')[::-1]]
    # NumPy puts them behind the largest.
    order = [i for i in order if not np.isnan(gains[i])]
    chosen = {'best': order[0]} if order else {}
    if len(order) > 2:
        chosen['median'] = order[(len(order) - 1) // 2]
    if len(order) > 1:
        chosen['worst'] = order[-1]
    return chosen


def gallery(cases: Sequence[Case], side: int = 128) -> Figure:
    """Photographs side by side, below each the detail that changed most, enlarged.

    Args:
        cases (Sequence[Case]): One below the other.
        side (int): Of the detail in pixels. Default: 128.

    Returns:
        Figure: Two rows per case, one column per version.
    """
    column = 4.0
    heights = [
        column * (c.images[0].shape[0] / c.images[0].shape[1] + 1) + 1 for c in cases
    ]
    widest = max(len(case.images) for case in cases)
    figure = Figure(figsize=(column * widest, sum(heights)), layout='constrained')
    parts = figure.subfigures(len(cases), 1, squeeze=False, height_ratios=heights)
    for part, case in zip(parts[:, 0], cases, strict=True):
        part.suptitle(case.heading, parse_math=False)
        detail = most_different(case.images[0], case.images[1], side)
        draw_versions(part, case.images, case.titles, detail)
    return figure
