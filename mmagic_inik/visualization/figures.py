"""Figures of results and of what the network predicts, for people to look at.

Every function returns a matplotlib figure; ``figure.savefig(path)`` writes it.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from torch import Tensor

EXPECTED_SIZE = 'expected kernel size $\\Sigma\\,\\mu_r M_r$'


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
        whole.set_title(title, fontsize='medium', parse_math=False)
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
    maps: Tensor | np.ndarray,
    labels: Sequence[str],
    title: str,
    diverging: bool,
    max_side: int | None = None,
) -> Figure:
    """Maps of weights on one colour scale.

    Args:
        maps (Tensor | np.ndarray): (K, H, W).
        labels (Sequence[str]): One per map.
        title (str): Of the figure.
        diverging (bool): Whether the scale is centred at zero, for signed weights;
            else it spans the values.
        max_side (int, optional): Longest side drawn, in pixels; the mean of the pixels
            in between is shown. Default: None, all.

    Returns:
        Figure: A grid with one colour bar; axes in pixels of ``maps``.
    """
    planes = as_array(maps)
    height, width = planes.shape[1:]
    extent = pixel_extent(height, width)
    images = [reduce_image(plane, max_side) for plane in planes]
    rows = -(-len(images) // 5)
    columns = -(-len(images) // rows)
    figure = Figure(
        figsize=(3.2 * columns + 1.2, (3.2 * height / width + 0.3) * rows + 0.8),
        layout='constrained',
    )
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    limit = max(float(np.abs(plane).max()) for plane in images)
    scale = (
        dict(cmap='PuOr', vmin=-limit, vmax=limit)
        if diverging
        else dict(
            cmap='cividis', vmin=min(float(plane.min()) for plane in images), vmax=limit
        )
    )
    for axis in axes.flat[len(images) :]:
        axis.set_axis_off()
    for axis, values, label in zip(axes.flat, images, labels, strict=False):
        shown = axis.imshow(values, extent=extent, **scale)
        axis.set_title(label)
    label_pixels(axes[-1, 0])
    figure.colorbar(shown, ax=axes, shrink=0.8, pad=0.01, label='weight')
    figure.suptitle(title, parse_math=False)
    return figure


def size_map(
    photos: Sequence[np.ndarray],
    titles: Sequence[str],
    sizes: Tensor | np.ndarray,
    places: Sequence[tuple[int, int]],
    title: str,
    max_side: int | None = None,
) -> Figure:
    """Photographs and the map of the expected kernel size.

    Args:
        photos (Sequence[np.ndarray]): (H, W, 3) uint8 RGB each, of equal size.
        titles (Sequence[str]): One per photograph.
        sizes (Tensor | np.ndarray): Expected kernel size in pixels, (H, W). Its scale
            leaves out the lowest and highest hundredth of the values.
        places (Sequence[tuple[int, int]]): Columns and rows (x, y) to mark by a number.
        title (str): Of the figure.
        max_side (int, optional): Longest side drawn, in pixels. Default: None, all.

    Returns:
        Figure: One row with a colour bar; axes in pixels of the photograph.
    """
    sizes = as_array(sizes)
    height, width = sizes.shape
    extent = pixel_extent(height, width)
    count = len(photos) + 1
    figure = Figure(
        figsize=(4.4 * count + 1.4, 4.4 * height / width + 1.1), layout='constrained'
    )
    axes = figure.subplots(1, count, sharex=True, sharey=True)
    for axis, photo, name in zip(axes, photos, titles, strict=False):
        axis.imshow(reduce_image(photo, max_side), extent=extent)
        axis.set_title(name)
    low, high = robust_range(sizes)
    shown = axes[-1].imshow(
        reduce_image(sizes, max_side),
        cmap='cividis',
        vmin=low,
        vmax=high,
        extent=extent,
    )
    axes[-1].set_title(EXPECTED_SIZE)
    figure.colorbar(shown, ax=axes, shrink=0.8, pad=0.01, extend='both', label='pixels')
    for axis in (axes[0], axes[-1]):
        mark_places(axis, places)
    label_pixels(axes[0])
    figure.suptitle(title, parse_math=False)
    return figure


def robust_range(values: np.ndarray) -> tuple[float, float]:
    """Limits of a colour scale that a few outlying pixels do not stretch.

    Args:
        values (np.ndarray): Any shape.

    Returns:
        tuple[float, float]: First and 99th percentile.
    """
    low, high = np.percentile(values, (1, 99))
    return float(low), float(high)


def mark_places(axis: Axes, places: Sequence[tuple[int, int]]) -> None:
    """Mark pixels by numbers from one, readable on any background.

    Args:
        axis (Axes): In pixels.
        places (Sequence[tuple[int, int]]): Columns and rows (x, y).
    """
    outline = [withStroke(linewidth=2.5, foreground='black')]
    for number, (x, y) in enumerate(places, 1):
        axis.plot(x, y, 'o', mfc='none', mec='black', ms=9, mew=3)
        axis.plot(x, y, 'o', mfc='none', mec='white', ms=9, mew=1.5)
        axis.annotate(
            str(number),
            (x, y),
            xytext=(7, 5),
            textcoords='offset points',
            color='white',
            weight='bold',
            path_effects=outline,
        )


def reduce_image(image: np.ndarray, max_side: int | None) -> np.ndarray:
    """Reduce an image by means over pixels; a small one is returned as it is.

    Args:
        image (np.ndarray): (H, W) or (H, W, 3), uint8 or float32.
        max_side (int | None): Longest side wanted, in pixels; None: any.

    Returns:
        np.ndarray: Same type and proportions.
    """
    if max_side is None or max(image.shape[:2]) <= max_side:
        return image
    scale = max_side / max(image.shape[:2])
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def pixel_extent(height: int, width: int) -> tuple[float, float, float, float]:
    """Where an image lies on axes that count its pixels' centres from zero."""
    return -0.5, width - 0.5, height - 0.5, -0.5


def label_pixels(axis: Axes) -> None:
    """Name the unit of an image's axes."""
    axis.set_xlabel('x in pixels')
    axis.set_ylabel('y in pixels')


def as_array(values: Tensor | np.ndarray) -> np.ndarray:
    """Values of a tensor, wherever it is."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values
