"""Figures of results and of what the network predicts, for people to look at.

Every function returns a matplotlib figure; ``figure.savefig(path)`` writes it.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure, FigureBase
from matplotlib.patches import Rectangle
from torch import Tensor


def comparison(
    images: Sequence[np.ndarray], titles: Sequence[str], detail: tuple[int, int, int]
) -> Figure:
    """Images side by side, and below each the same detail enlarged.

    Args:
        images (Sequence[np.ndarray]): (H, W, 3) uint8 RGB each, of equal size.
        titles (Sequence[str]): One per image.
        detail (tuple[int, int, int]): Left, top and side of the detail in pixels.

    Returns:
        Figure: Two rows.
    """
    height, width = images[0].shape[:2]
    column = 4.0
    figure = Figure(
        figsize=(column * len(images), column * (height / width + 1) + 0.4),
        layout='constrained',
    )
    draw_versions(figure, images, titles, detail)
    return figure


def draw_versions(
    part: FigureBase,
    images: Sequence[np.ndarray],
    titles: Sequence[str],
    detail: tuple[int, int, int],
) -> None:
    """Draw images side by side, and below each the same detail, enlarged.

    Args:
        part (FigureBase): Figure or part of one.
        images (Sequence[np.ndarray]): (H, W, 3) uint8 RGB each, of equal size.
        titles (Sequence[str]): One per image.
        detail (tuple[int, int, int]): Left, top and side of the detail in pixels.
    """
    left, top, side = detail
    height, width = images[0].shape[:2]
    axes = part.subplots(
        2, len(images), squeeze=False, height_ratios=(height / width, 1)
    )
    for (whole, close), image, title in zip(axes.T, images, titles, strict=True):
        whole.imshow(image)
        whole.set_title(title, fontsize='medium')
        whole.add_patch(
            Rectangle((left, top), side, side, fill=False, edgecolor='white', lw=1.2)
        )
        close.imshow(
            image[top : top + side, left : left + side],
            interpolation='nearest',
            extent=(left, left + side, top + side, top),
        )
        close.set_title(f'{side} × {side} pixels', fontsize='small')
        for axis in (whole, close):
            axis.set_axis_off()


def most_different(a: np.ndarray, b: np.ndarray, side: int) -> tuple[int, int, int]:
    """The square detail in which two images differ most.

    Args:
        a (np.ndarray): (H, W, C).
        b (np.ndarray): Same shape.
        side (int): Of the square in pixels; cut to the image's shorter side.

    Returns:
        tuple[int, int, int]: Left, top and side.
    """
    n = min(side, *a.shape[:2])
    error = np.square(a.astype(np.float64) - b).sum(2)
    sums = np.pad(error.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    boxes = sums[n:, n:] - sums[:-n, n:] - sums[n:, :-n] + sums[:-n, :-n]
    top, left = np.unravel_index(boxes.argmax(), boxes.shape)
    return int(left), int(top), n


def weight_maps(
    maps: Tensor | np.ndarray, labels: Sequence[str], title: str, diverging: bool
) -> Figure:
    """Maps of weights on one colour scale.

    Args:
        maps (Tensor | np.ndarray): (K, H, W).
        labels (Sequence[str]): One per map.
        title (str): Of the figure.
        diverging (bool): Whether the scale is centred at zero, for signed weights;
            else it spans the values.

    Returns:
        Figure: A grid with one colour bar.
    """
    maps = _as_array(maps)
    height, width = maps.shape[1:]
    rows = -(-len(maps) // 5)
    columns = -(-len(maps) // rows)
    figure = Figure(
        figsize=(3.2 * columns + 0.8, (3.2 * height / width + 0.3) * rows + 0.5),
        layout='constrained',
    )
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    limit = float(np.abs(maps).max())
    scale = (
        dict(cmap='PuOr', vmin=-limit, vmax=limit)
        if diverging
        else dict(cmap='cividis', vmin=float(maps.min()), vmax=limit)
    )
    for axis in axes:
        axis.set_axis_off()
    for axis, values, label in zip(axes, maps, labels, strict=False):
        shown = axis.imshow(values, **scale)
        axis.set_title(label)
    figure.colorbar(shown, ax=axes, shrink=0.8, pad=0.01, label='weight')
    figure.suptitle(title)
    return figure


def atom_sheet(atoms: Sequence[Tensor | np.ndarray]) -> Figure:
    """All atoms at all sizes above one, each size on a colour scale of its own.

    Args:
        atoms (Sequence[Tensor | np.ndarray]): R arrays (N, M_r, M_r).

    Returns:
        Figure: One row per size, one column per atom; axes in pixels from the centre.
    """
    atoms = [_as_array(atom) for atom in atoms if atom.shape[-1] > 1]
    count = len(atoms[0])
    figure = Figure(
        figsize=(1.6 * count + 1.4, 1.6 * len(atoms) + 0.6), layout='constrained'
    )
    axes = figure.subplots(len(atoms), count, squeeze=False)
    for n, axis in enumerate(axes[0]):
        axis.set_title(f'n = {n + 1}', fontsize='medium')
    for row, of_size in zip(axes, atoms, strict=True):
        size = of_size.shape[-1]
        limit = float(np.abs(of_size).max())
        half = size / 2
        for n, (axis, atom) in enumerate(zip(row, of_size, strict=True)):
            shown = axis.imshow(
                atom,
                cmap='PuOr',
                vmin=-limit,
                vmax=limit,
                extent=(-half, half, half, -half),
            )
            axis.set_xticks([-(size // 2), 0, size // 2])
            axis.set_yticks([-(size // 2), 0, size // 2] if n == 0 else [])
            axis.tick_params(labelsize='x-small')
        row[0].set_ylabel(f'{size} × {size}')
        figure.colorbar(shown, ax=row, shrink=0.9)
    figure.suptitle('Base atoms v at every size (axes in pixels)')
    return figure


def _as_array(values: Tensor | np.ndarray) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values
