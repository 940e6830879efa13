"""Figure of the inverse kernels that single pixels are filtered with."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .figures import label_pixels
from .kernels import Prediction, fourier_magnitude, grey_kernel

COLORS = 'RGB'


def kernel_sheet(
    photo: np.ndarray,
    prediction: Prediction,
    places: Sequence[tuple[int, int]],
    title: str,
) -> Figure:
    """The composed kernels of some pixels, in space and in Fourier magnitude.

    Shown is what a kernel does to grey light. Where a learned mixing gives one for
    each pair of colours, all of them stand beside it, input colours in columns and
    output colours in rows. Scales span the values off the centre; the centre, where
    the image itself passes, is given as a number.

    Args:
        photo (np.ndarray): Blurred photograph, (H, W, 3) uint8 RGB.
        prediction (Prediction): Of that photograph.
        places (Sequence[tuple[int, int]]): Columns and rows (x, y) of the pixels.
        title (str): Of the figure.

    Returns:
        Figure: One row per place.
    """
    mixed = prediction.mixing is not None
    columns = 5 if mixed else 3
    figure = Figure(
        figsize=(3.9 * columns, 3.6 * len(places) + 0.7), layout='constrained'
    )
    axes = figure.subplots(len(places), columns, squeeze=False)
    sizes = prediction.expected_size()
    for number, (row, (x, y)) in enumerate(zip(axes, places, strict=True), 1):
        kernel = prediction.kernel_at(x, y)
        grey = grey_kernel(kernel).numpy()
        _draw_neighbourhood(row[0], photo, (x, y), len(grey))
        row[0].set_title(f'{number}: expected size {sizes[y, x]:.1f} pixels')
        _draw_kernel(row[1], grey)
        _draw_magnitude(row[2], grey)
        if mixed:
            _draw_pairs(row[3], kernel.numpy())
            _draw_pair_magnitudes(row[4], kernel.numpy())
    figure.suptitle(title, parse_math=False)
    return figure


def _draw_neighbourhood(
    axis: Axes, photo: np.ndarray, place: tuple[int, int], size: int
) -> None:
    """The photograph around a pixel, with the kernel's reach."""
    x, y = place
    reach = 2 * size
    left, top = max(0, x - reach), max(0, y - reach)
    part = photo[top : y + reach + 1, left : x + reach + 1]
    height, width = part.shape[:2]
    extent = (left - 0.5, left + width - 0.5, top + height - 0.5, top - 0.5)
    axis.imshow(part, extent=extent, interpolation='nearest')
    for color, line in (('black', 3), ('white', 1.2)):
        axis.add_patch(
            Rectangle(
                (x - size / 2, y - size / 2),
                size,
                size,
                fill=False,
                edgecolor=color,
                lw=line,
            )
        )
    axis.set(xlim=extent[:2], ylim=extent[2:])
    label_pixels(axis)


def _draw_kernel(axis: Axes, kernel: np.ndarray) -> None:
    half = len(kernel) / 2
    center = kernel[len(kernel) // 2, len(kernel) // 2]
    _show_signed(axis, kernel, _off_center(kernel), (-half, half, half, -half))
    axis.set_title(f'kernel for grey, centre {center:.3f}')
    axis.set_xlabel('offset in pixels')


def _draw_magnitude(axis: Axes, kernel: np.ndarray) -> None:
    gain = fourier_magnitude(kernel)
    shown = axis.imshow(gain, cmap='cividis', extent=(-0.5, 0.5, 0.5, -0.5))
    axis.figure.colorbar(shown, ax=axis, shrink=0.8, label='gain')
    axis.set_title('its Fourier magnitude')
    axis.set_xlabel('cycles per pixel')


def _draw_pairs(axis: Axes, kernel: np.ndarray) -> None:
    limit = max(_off_center(k) for k in kernel.reshape(-1, *kernel.shape[2:]))
    _show_signed(axis, _tiled(kernel), limit, None)
    axis.set_title('kernels of colour pairs')
    _label_pairs(axis, kernel)


def _draw_pair_magnitudes(axis: Axes, kernel: np.ndarray) -> None:
    gain = fourier_magnitude(kernel)
    shown = axis.imshow(_tiled(gain), cmap='cividis')
    axis.figure.colorbar(shown, ax=axis, shrink=0.8, label='gain')
    axis.set_title('their Fourier magnitudes')
    _label_pairs(axis, gain)


def _show_signed(
    axis: Axes, values: np.ndarray, limit: float, extent: tuple | None
) -> None:
    shown = axis.imshow(values, cmap='PuOr', vmin=-limit, vmax=limit, extent=extent)
    beyond = np.abs(values).max() > limit
    axis.figure.colorbar(
        shown,
        ax=axis,
        shrink=0.8,
        label='value',
        extend='both' if beyond else 'neither',
    )


def _off_center(kernel: np.ndarray) -> float:
    """Largest magnitude besides the centre's, or that of a kernel of one pixel."""
    if kernel.size == 1:
        return float(np.abs(kernel).max())
    others = kernel.copy()
    others[len(kernel) // 2, len(kernel) // 2] = 0
    return float(np.abs(others).max())


def _tiled(kernel: np.ndarray) -> np.ndarray:
    """(O, C, M, M) as one picture, rows of output colours."""
    outputs, inputs, size, _ = kernel.shape
    return kernel.transpose(0, 2, 1, 3).reshape(outputs * size, inputs * size)


def _label_pairs(axis: Axes, kernel: np.ndarray) -> None:
    outputs, inputs, size, _ = kernel.shape
    names = COLORS if {outputs, inputs} == {3} else '123456789'
    axis.set_xticks([size * (c + 0.5) - 0.5 for c in range(inputs)], names[:inputs])
    axis.set_yticks([size * (o + 0.5) - 0.5 for o in range(outputs)], names[:outputs])
    axis.tick_params(length=0)
    axis.set_xlabel('from colour of the photo')
    axis.set_ylabel('to colour of the result')
    for edge in range(1, outputs):
        axis.axhline(size * edge - 0.5, color='black', lw=0.8)
    for edge in range(1, inputs):
        axis.axvline(size * edge - 0.5, color='black', lw=0.8)
