"""One compact picture of what a network does with a photograph in training."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from .figures import (
    EXPECTED_SIZE,
    as_array,
    label_pixels,
    pixel_extent,
    reduce_image,
    robust_range,
)
from .kernels import Prediction

_WIDTH = 3.0  # inches of one photograph


def validation_sheet(
    photos: dict[str, np.ndarray],
    prediction: Prediction | None,
    title: str,
    max_side: int,
) -> Figure:
    """Versions of a photograph, and below them the kernel sizes.

    Args:
        photos (dict[str, np.ndarray]): (H, W, 3) uint8 RGB each, of equal size, by
            title.
        prediction (Prediction | None): Of the photograph; None for a network that
            predicts no weights.
        title (str): Of the sheet.
        max_side (int): Longest side drawn of every picture, in pixels.

    Returns:
        Figure: One or two rows; axes in pixels of the photograph.
    """
    height, width = next(iter(photos.values())).shape[:2]
    extent = pixel_extent(height, width)
    rows = 1 if prediction is None else 2
    figure = Figure(
        figsize=(
            _WIDTH * len(photos) + 1.2,
            rows * (_WIDTH * height / width + 0.5) + 0.5,
        ),
        layout='constrained',
    )
    grid = figure.add_gridspec(rows, len(photos))
    for column, (name, photo) in enumerate(photos.items()):
        axis = figure.add_subplot(grid[0, column])
        axis.imshow(reduce_image(photo, max_side), extent=extent)
        axis.set_title(name, fontsize='medium')
        if column == 0:
            label_pixels(axis)
        else:
            axis.tick_params(labelleft=False)
    if prediction is not None:
        _draw_sizes(figure.add_subplot(grid[1, 0]), prediction, max_side)
        _draw_weights(figure, grid[1, 1:], prediction, max_side)
    figure.suptitle(title, parse_math=False)
    return figure


def _draw_sizes(axis: Axes, prediction: Prediction, max_side: int) -> None:
    sizes = as_array(prediction.expected_size())
    low, high = robust_range(sizes)
    shown = axis.imshow(
        reduce_image(sizes, max_side),
        cmap='cividis',
        vmin=low,
        vmax=high,
        extent=pixel_extent(*sizes.shape),
    )
    axis.set_title(EXPECTED_SIZE, fontsize='medium')
    axis.figure.colorbar(shown, ax=axis, shrink=0.9, extend='both', label='pixels')


def _draw_weights(
    figure: Figure, place: SubplotSpec, prediction: Prediction, max_side: int
) -> None:
    maps = [reduce_image(plane, max_side) for plane in as_array(prediction.mu)]
    columns = -(-len(maps) // 2)
    grid = place.subgridspec(2 if len(maps) > 1 else 1, columns)
    axes = [figure.add_subplot(grid[divmod(n, columns)]) for n in range(len(maps))]
    limit = max(float(plane.max()) for plane in maps)
    for axis, plane, size in zip(axes, maps, prediction.kernel_sizes, strict=True):
        shown = axis.imshow(plane, cmap='cividis', vmin=0, vmax=limit)
        axis.set_title(f'μ of {size} × {size}', fontsize='small')
        axis.set_axis_off()
    figure.colorbar(shown, ax=axes, shrink=0.8, label='weight')


def as_pixels(figure: Figure, dpi: int) -> np.ndarray:
    """Draw a figure.

    Args:
        figure (Figure): Any.
        dpi (int): Pixels per inch.

    Returns:
        np.ndarray: (H, W, 3) uint8 RGB.
    """
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
