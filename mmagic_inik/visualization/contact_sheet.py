"""A sheet of photograph pairs, to see at a glance what a data set holds."""

from collections.abc import Sequence

import cv2
import numpy as np
from matplotlib.figure import Figure

_WIDTH = 3.2  # inches of one photograph
_PIXELS = 480  # longest side of what is drawn
_LETTERS = 36


def contact_sheet(
    pairs: Sequence[Sequence[np.ndarray]], titles: Sequence[Sequence[str]], title: str
) -> Figure:
    """Input and target of many pairs, two pairs in a row.

    Args:
        pairs (Sequence[Sequence[np.ndarray]]): Input and target, or an input alone, of
            each pair: (H, W, 3), RGB in [0, 255], any sizes.
        titles (Sequence[Sequence[str]]): One per photograph; long ones are cut in the
            middle.
        title (str): Of the sheet.

    Returns:
        Figure: Four photographs in a row.

    Raises:
        ValueError: If there are no pairs.
    """
    images = [image for pair in pairs for image in pair]
    names = [name for of_pair in titles for name in of_pair]
    if not images:
        raise ValueError('pairs must not be empty')
    columns = min(4, len(images))
    rows = -(-len(images) // columns)
    tallest = max(image.shape[0] / image.shape[1] for image in images)
    figure = Figure(
        figsize=(_WIDTH * columns, (_WIDTH * tallest + 0.35) * rows + 0.4),
        layout='constrained',
    )
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, image, name in zip(axes, images, names, strict=False):
        axis.imshow(_reduced(image))
        # A dollar sign in a name begins no formula.
        axis.set_title(_shortened(name), fontsize='small', parse_math=False)
    figure.suptitle(title, parse_math=False)
    return figure


def _reduced(image: np.ndarray) -> np.ndarray:
    scale = min(1.0, _PIXELS / max(image.shape[:2]))
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    reduced = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.rint(reduced).astype(np.uint8)


def _shortened(name: str) -> str:
    if len(name) <= _LETTERS:
        return name
    half = (_LETTERS - 1) // 2
    return f'{name[:half]}…{name[-half:]}'
