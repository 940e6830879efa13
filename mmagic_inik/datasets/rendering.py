"""Layers of a scene seen through a lens, in linear light."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np

# Of one thread: PyTorch's threads wait for each other where cores are shared.
from scipy.fft import irfft2, next_fast_len, rfft2

from .optics import Aperture

# Radii at which surfaces of changing depth are blurred: this far apart up to
# `_FINE_UP_TO`, and beyond it by this share of the radius. Between them the two
# neighbours are mixed.
_FINE_STEP, _FINE_UP_TO, _COARSE_STEP = 0.5, 4.0, 1 / 8


# Kernels up to this side are applied directly, which is faster than by spectra.
_LARGEST_DIRECT = 9


class Layer(NamedTuple):
    """One surface of a scene.

    Attributes:
        color (np.ndarray): (H, W, C) float32, linear light, 1 = white; more is allowed.
        radius (np.ndarray | float): Signed radius of its blur in pixels, (H, W) or one
            for all.
        alpha (np.ndarray, optional): What the surface covers, (H, W) in [0, 1].
            None: everything.
    """

    color: np.ndarray
    radius: np.ndarray | float
    alpha: np.ndarray | None = None


class Zone(NamedTuple):
    """A place in the photograph, and how much the blur of a pixel is that of the place.

    Attributes:
        field (tuple[float, float]): The place, as in :meth:`Aperture.psf`.
        rows (np.ndarray, optional): (H,) weights; a pixel's is that of its row times
            that of its column. None: one everywhere.
        columns (np.ndarray, optional): (W,); None, where ``rows`` is.
    """

    field: tuple[float, float] = (0.0, 0.0)
    rows: np.ndarray | None = None
    columns: np.ndarray | None = None

    def window(self, height: int, width: int, reach: int) -> tuple[slice, slice]:
        """Where its light may fall, spread by up to ``reach`` pixels."""
        if self.rows is None or self.columns is None:
            return slice(0, height), slice(0, width)
        slices = []
        for weights in (self.rows, self.columns):
            (within,) = np.nonzero(weights)
            start, stop = max(0, within[0] - reach), within[-1] + 1 + reach
            slices.append(slice(int(start), int(min(stop, len(weights)))))
        return slices[0], slices[1]

    def share(self, rows: slice, columns: slice) -> np.ndarray | np.float32:
        """Weights of the pixels in a window."""
        if self.rows is None or self.columns is None:
            return np.float32(1)
        return np.outer(self.rows[rows], self.columns[columns])


def render(
    layers: Sequence[Layer],
    aperture: Aperture,
    margin: int = 0,
    zones: Sequence['Zone'] = (),
) -> np.ndarray:
    """Blur every layer and lay one over the other, from back to front.

    Every point spreads its light by the point spread function of its own depth, so a
    blurred edge spills over what lies behind it and a sharp edge does not. The cover of
    a layer is blurred with it.

    Args:
        layers (Sequence[Layer]): From back to front, all of one size; the first covers
            everything.
        aperture (Aperture): Shape of the blur.
        margin (int): Pixels dropped at every side, whose surroundings are not known; at
            least :func:`needed_margin`. Default: 0.
        zones (Sequence[Zone]): Places in the photograph with a blur of their own, whose
            weights add up to one. Default: its centre alone.

    Returns:
        np.ndarray: (H − 2 margin, W − 2 margin, C) float32, linear light.

    Raises:
        ValueError: If ``margin`` is less than the reach of the blur, or the first layer
            has an alpha.
    """
    if layers[0].alpha is not None:
        raise ValueError('the first layer must cover everything: alpha must be None')
    needed = needed_margin(layers, aperture)
    if margin < needed:
        raise ValueError(f'margin must be at least {needed}, got {margin}')
    height, width, colors = layers[0].color.shape
    seen = np.zeros((colors, height, width), np.float32)
    for layer in layers:
        if layer.alpha is None or layer.alpha.any():
            color, alpha = _blur(layer, aperture, zones or (Zone(),))
            seen *= 1 - alpha
            seen += color
    inner = seen[:, margin : height - margin, margin : width - margin]
    return np.ascontiguousarray(inner.transpose(1, 2, 0))


def needed_margin(layers: Sequence[Layer], aperture: Aperture) -> int:
    """Pixels around a picture from which light may enter it."""
    radius = max(float(np.abs(layer.radius).max()) for layer in layers)
    return margin_of(radius, aperture)


def margin_of(radius: float, aperture: Aperture) -> int:
    """The same for scenes without a larger blur than ``radius``."""
    # A radius between two steps is mixed from both.
    return aperture.reach(abs(radius) * (1 + _COARSE_STEP) + _FINE_STEP)


def compose(layers: Sequence[Layer]) -> tuple[np.ndarray, np.ndarray]:
    """The layers without any blur.

    Args:
        layers (Sequence[Layer]): From back to front.

    Returns:
        tuple[np.ndarray, np.ndarray]: The image, (H, W, 3) float32 in linear light, and
        the signed radius of what is seen, (H, W) float32.
    """
    image = layers[0].color
    radius = np.broadcast_to(np.float32(layers[0].radius), image.shape[:2])
    for layer in layers[1:]:
        if layer.alpha is None:
            image, radius = layer.color, np.asarray(layer.radius, np.float32)
            continue
        alpha = layer.alpha[..., None]
        image = alpha * layer.color + (1 - alpha) * image
        radius = np.where(layer.alpha >= 0.5, np.float32(layer.radius), radius)
    return image, np.ascontiguousarray(np.broadcast_to(radius, image.shape[:2]))


def field_zones(height: int, width: int, margin: int, spacing: int = 256) -> list[Zone]:
    """Divide a whole photograph into places with a point spread function each.

    Args:
        height (int): Of the photograph without its margin, in pixels.
        width (int): The same.
        margin (int): Pixels around it.
        spacing (int): Distance of the places in pixels, about. Default: 256.

    Returns:
        list[Zone]: Their weights, (height + 2 margin,) and (width + 2 margin,), fall
        off linearly to the next places.
    """
    half_diagonal = np.hypot(height, width) / 2
    axes = []
    for side in (height, width):
        # From border to border, so that a single row has places too.
        centres = np.linspace(0, side, max(2, round(side / spacing) + 1))
        at = np.clip(np.arange(-margin, side + margin) + 0.5, 0, side)
        weights = 1 - np.abs(at - centres[:, None]) / centres[1]
        places = (centres - side / 2) / half_diagonal
        axes.append((np.clip(weights, 0, 1).astype(np.float32), places))
    (rows, ys), (columns, xs) = axes
    return [
        Zone((float(x), float(y)), row, column)
        for row, y in zip(rows, ys, strict=True)
        for column, x in zip(columns, xs, strict=True)
    ]


def _blur(
    layer: Layer, aperture: Aperture, zones: Sequence[Zone]
) -> tuple[np.ndarray, np.ndarray | float]:
    """Blurred colour times cover (C, H, W), and blurred cover, (H, W) or one."""
    low, high = _span(layer)
    alone = low == high and len(zones) == 1
    # Colour times cover, cover if there are holes, and a plane of ones: points of
    # different blur do not add up to white exactly, which it tells.
    *size, colors = layer.color.shape
    planes = colors + (layer.alpha is not None) + (not alone)
    light = np.ones((planes, *size), np.float32)
    light[:colors] = layer.color.transpose(2, 0, 1)
    if layer.alpha is not None:
        light[:colors] *= layer.alpha
        light[colors] = layer.alpha
    blurred = _spread(light, layer.radius, (low, high), aperture, zones)
    if not alone:
        blurred[:-1] /= np.maximum(blurred[-1], 1e-4)
    if layer.alpha is None:
        return blurred[:colors], 1.0
    return blurred[:colors], np.clip(blurred[colors], 0, 1)


def _spread(
    light: np.ndarray,
    radius: np.ndarray | float,
    span: tuple[float, float],
    aperture: Aperture,
    zones: Sequence[Zone],
) -> np.ndarray:
    """Planes of light (K, H, W), every point spread by its own function; the same."""
    height, width = light.shape[1:]
    reach = max(map(aperture.reach, _radii(*span)))
    radius, spread = np.asarray(radius, np.float32), np.zeros_like(light)
    for zone in zones:
        # Light from elsewhere has no weight, so its part of the picture is enough.
        rows, columns = zone.window(height, width, reach)
        of_zone = radius[rows, columns] if radius.ndim else radius
        _add_spread(
            spread[:, rows, columns],
            light[:, rows, columns] * zone.share(rows, columns),
            _shares(of_zone, *span),
            partial(aperture.psf, field=zone.field),
            # The margin of a whole picture takes up what goes round its borders.
            0 if zone.rows is None else reach,
        )
    return spread


def _add_spread(
    spread: np.ndarray,
    light: np.ndarray,
    shares: Iterable[tuple[float, np.ndarray | np.float32]],
    psf_of: Callable[[float], np.ndarray],
    padding: int,
) -> None:
    """Add planes of light (K, H, W), spread radius by radius, to others."""
    height, width = light.shape[1:]
    size = [next_fast_len(side + padding, real=True) for side in (height, width)]
    spectrum = None
    # Fresh memory for every product would cost more than the product.
    part, filtered = np.empty_like(light), np.empty_like(light[0])
    for radius, share in shares:
        np.multiply(light, share, part)
        psf = psf_of(radius)
        if len(psf) == 1:
            spread += part
        elif len(psf) <= _LARGEST_DIRECT:
            kernel = psf[::-1, ::-1]  # OpenCV correlates
            for plane, of_part in zip(spread, part, strict=True):
                cv2.filter2D(
                    of_part, -1, kernel, filtered, borderType=cv2.BORDER_CONSTANT
                )
                plane += filtered
        else:
            term = rfft2(part, size)
            term *= _transfer(psf, size)
            spectrum = term if spectrum is None else np.add(spectrum, term, spectrum)
    if spectrum is not None:
        spread += irfft2(spectrum, size)[:, :height, :width]


def _transfer(psf: np.ndarray, size: list[int]) -> np.ndarray:
    """Optical transfer function: the spectrum of a kernel centred at the origin."""
    half = psf.shape[0] // 2
    plane = np.zeros(size, np.float32)
    plane[: 2 * half + 1, : 2 * half + 1] = psf
    return rfft2(np.roll(plane, (-half, -half), (0, 1)))


def _span(layer: Layer) -> tuple[float, float]:
    """Least and greatest radius of what is visible of a layer."""
    radius = np.asarray(layer.radius, np.float32)
    if layer.alpha is not None and radius.ndim:
        radius = radius[layer.alpha > 0]
    return float(radius.min()), float(radius.max())


def _radii(low: float, high: float) -> list[float]:
    """Radii with which surfaces of radii from ``low`` to ``high`` are blurred."""
    if low == high:
        return [low]
    return [_radius(n) for n in range(_level(low), _level(high) + 2)]


def _shares(
    radius: np.ndarray, low: float, high: float
) -> Iterator[tuple[float, np.ndarray | np.float32]]:
    """Radii and the share of every pixel in each, if any; shares add up to one."""
    radii = _radii(low, high)
    if len(radii) == 1:
        yield low, np.float32(1)
        return
    values = np.clip(radius, low, high)
    for n, middle in enumerate(radii):
        share = np.ones_like(values)
        if n:
            share = (values - radii[n - 1]) / (middle - radii[n - 1])
        if n + 1 < len(radii):
            falling = (radii[n + 1] - values) / (radii[n + 1] - middle)
            share = np.minimum(share, falling)
        share = np.clip(share, 0, 1)
        if share.any():
            yield middle, share


def _level(radius: float) -> int:
    """Number of the greatest step that does not exceed a radius."""
    level = abs(radius) / _FINE_STEP
    if abs(radius) > _FINE_UP_TO:
        steps = math.log(abs(radius) / _FINE_UP_TO) / math.log1p(_COARSE_STEP)
        level = _FINE_UP_TO / _FINE_STEP + steps
    return math.floor(math.copysign(level, radius))


def _radius(level: int) -> float:
    """The radius of a step; inverse of :func:`_level`."""
    coarse = abs(level) - _FINE_UP_TO / _FINE_STEP
    if coarse > 0:
        return math.copysign(_FINE_UP_TO * (1 + _COARSE_STEP) ** coarse, level)
    return level * _FINE_STEP
