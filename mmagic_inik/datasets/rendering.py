"""Layers of a scene seen through a lens, in linear light."""

import math
from collections.abc import Iterator, Sequence
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
        color (np.ndarray): (H, W, 3) float32, linear light, 1 = white; more is allowed.
        radius (np.ndarray | float): Signed radius of its blur in pixels, (H, W) or one
            for all.
        alpha (np.ndarray, optional): What the surface covers, (H, W) in [0, 1].
            None: everything.
    """

    color: np.ndarray
    radius: np.ndarray | float
    alpha: np.ndarray | None = None


def render(
    layers: Sequence[Layer],
    aperture: Aperture,
    margin: int = 0,
    zones: Sequence[tuple[np.ndarray | None, tuple[float, float]]] = (
        (None, (0.0, 0.0)),
    ),
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
        zones (Sequence): Pairs of a weight (H, W) and a place in the photograph, as in
            :meth:`Aperture.psf`; the weights add up to one. For one place alone, the
            weight is None. Default: the centre of the photograph.

    Returns:
        np.ndarray: (H − 2 margin, W − 2 margin, 3) float32, linear light.

    Raises:
        ValueError: If ``margin`` is less than the reach of the blur, or the first layer
            has an alpha.
    """
    if layers[0].alpha is not None:
        raise ValueError('the first layer must cover everything: alpha must be None')
    needed = needed_margin(layers, aperture)
    if margin < needed:
        raise ValueError(f'margin must be at least {needed}, got {margin}')
    height, width = layers[0].color.shape[:2]
    seen = np.zeros((3, height, width), np.float32)
    for layer in layers:
        if layer.alpha is None or layer.alpha.any():
            color, alpha = _blur(layer, aperture, zones)
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
            image, radius = layer.color, np.float32(layer.radius)
            continue
        alpha = layer.alpha[..., None]
        image = alpha * layer.color + (1 - alpha) * image
        radius = np.where(layer.alpha >= 0.5, np.float32(layer.radius), radius)
    return image, np.ascontiguousarray(np.broadcast_to(radius, image.shape[:2]))


def field_zones(
    height: int, width: int, margin: int, spacing: int = 256
) -> list[tuple[np.ndarray, tuple[float, float]]]:
    """Divide a whole photograph into places with a point spread function each.

    Args:
        height (int): Of the photograph without its margin, in pixels.
        width (int): The same.
        margin (int): Pixels around it.
        spacing (int): Distance of the places in pixels, about. Default: 256.

    Returns:
        list: Weights (height + 2 margin, width + 2 margin) that fall off linearly, and
        places, as :func:`render` takes them.
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
        (np.outer(row, column), (float(x), float(y)))
        for row, y in zip(rows, ys, strict=True)
        for column, x in zip(columns, xs, strict=True)
    ]


def _blur(
    layer: Layer, aperture: Aperture, zones: Sequence
) -> tuple[np.ndarray, np.ndarray | float]:
    """Blurred colour times cover (3, H, W), and blurred cover, (H, W) or one."""
    shares = list(_shares(layer.radius, layer.alpha))
    alone = len(shares) * len(zones) == 1
    # Colour times cover, cover if there are holes, and a plane of ones: points of
    # different blur do not add up to white exactly, which it tells.
    light = np.ones(
        (3 + (layer.alpha is not None) + (not alone), *layer.color.shape[:2]),
        np.float32,
    )
    light[:3] = layer.color.transpose(2, 0, 1)
    if layer.alpha is not None:
        light[:3] *= layer.alpha
        light[3] = layer.alpha
    blurred = _spread(light, shares, aperture, zones)
    if not alone:
        blurred[:-1] /= np.maximum(blurred[-1], 1e-4)
    if layer.alpha is None:
        return blurred[:3], 1.0
    return blurred[:3], np.clip(blurred[3], 0, 1)


def _spread(
    light: np.ndarray, shares: Sequence, aperture: Aperture, zones: Sequence
) -> np.ndarray:
    """Planes of light (K, H, W), every point spread by its own function; the same."""
    height, width = light.shape[1:]
    size = [next_fast_len(side, real=True) for side in (height, width)]
    spread, spectrum = np.zeros_like(light), None
    # Fresh memory for every product would cost more than the product.
    part, filtered = np.empty_like(light), np.empty_like(light[0])
    for radius, share in shares:
        for weight, field in zones:
            share_here = share if weight is None else share * weight
            if not np.any(share_here):
                continue
            np.multiply(light, share_here, part)
            psf = aperture.psf(radius, field)
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
                spectrum = (
                    term if spectrum is None else np.add(spectrum, term, spectrum)
                )
    if spectrum is not None:
        spread += irfft2(spectrum, size)[:, :height, :width]
    return spread


def _transfer(psf: np.ndarray, size: list[int]) -> np.ndarray:
    """Optical transfer function: the spectrum of a kernel centred at the origin."""
    half = psf.shape[0] // 2
    plane = np.zeros(size, np.float32)
    plane[: 2 * half + 1, : 2 * half + 1] = psf
    return rfft2(np.roll(plane, (-half, -half), (0, 1)))


def _shares(
    radius: np.ndarray | float, alpha: np.ndarray | None
) -> Iterator[tuple[float, np.ndarray | np.float32]]:
    """Radii to blur with and the share of every pixel in each; shares add up to one."""
    radius = np.asarray(radius, np.float32)
    visible = radius if alpha is None or radius.ndim == 0 else radius[alpha > 0]
    low, high = float(visible.min()), float(visible.max())
    if low == high:
        yield low, np.float32(1)
        return
    radii = [_radius(n) for n in range(_level(low), _level(high) + 2)]
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
