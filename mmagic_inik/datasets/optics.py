"""A thin lens: how large it draws a point that is out of focus, and in what shape.

A radius is signed throughout: positive behind the plane of focus, negative in front of
it, where every aperture appears turned by 180° and spherical aberration reversed.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import erf

SHAPES = ('disc', 'gaussian', 'polygon')
# By which the corner of a photograph may lie beyond 1.
_ROUNDING = 1e-9
# Where a Gaussian is cut off, in its radius, which is two standard deviations.
_GAUSSIAN_REACH = 2.0


def circle_of_confusion(
    depth: np.ndarray,
    focus_distance: float,
    focal_length: float,
    f_number: float,
    pixel_pitch: float,
) -> np.ndarray:
    """Signed radius of the blur of a point at some depth.

    ``f/N · (1/s − 1/d) / (1/f − 1/s) / 2p``: by the diameter f/N of the aperture, the
    distance d of the point, the distance s in focus and the pixels' pitch p.

    Args:
        depth (np.ndarray): Distances from the lens in metres, positive, any shape;
            infinity is allowed.
        focus_distance (float): s in metres, greater than f; infinity is allowed.
        focal_length (float): f in millimetres.
        f_number (float): N.
        pixel_pitch (float): p in micrometres.

    Returns:
        np.ndarray: Radii in pixels, shape of ``depth``; 0 in focus, negative in front.

    Raises:
        ValueError: If a length is not positive, a depth is not a number, or the focus
            lies within the focal length.

    Example:
        A 50 mm lens at f/2 and 2 m, pixels of 6 μm: infinity is blurred by
        50² / (2 · 2 · 0.006 · 1950) = 53.4 pixels.

        >>> float(circle_of_confusion(np.array(1e9), 2, 50, 2, 6).round(1))
        53.4
    """
    depth = np.asarray(depth)
    # NaN is not positive either.
    if min(focal_length, f_number, pixel_pitch) <= 0 or not depth.min() > 0:
        raise ValueError(
            'depth, focal_length, f_number and pixel_pitch must be positive, got '
            f'{depth.min()}, {focal_length}, {f_number} and {pixel_pitch}'
        )
    focal = focal_length * 1e-3
    if not focus_distance > focal:
        raise ValueError(
            f'focus_distance must exceed the focal length of {focal} m, '
            f'got {focus_distance}'
        )
    defocus = (1 / focus_distance - 1 / depth) / (1 / focal - 1 / focus_distance)
    return focal / f_number * defocus / (2e-6 * pixel_pitch)


@dataclass(frozen=True)
class Aperture:
    """What gives the blur its shape.

    Args:
        shape (str): ``'disc'``: round; ``'polygon'``: ``blades`` straight blades, the
            radius reaching its corners; ``'gaussian'``: no aperture, but what many
            papers assume, its standard deviation half the radius (as a disc's).
        blades (int): Number of blades of a polygon, from 3. Default: 6.
        rotation (float): Of the polygon, in radians. Default: 0.
        spherical (float): Spherical aberration in [−1, 1]: light rises with the squared
            distance from the centre to 1 + spherical at the rim, behind the focus, and
            falls in front. Positive: over-corrected, bright rings in the background;
            negative: under-corrected. Default: 0.
        cats_eye (float): Vignetting in [0, 1]: two rims, a round and an equal one,
            stand ``cats_eye`` radii apart at the corner of the photograph and the less
            the nearer to its centre. Default: 0.

    Raises:
        ValueError: If a value is out of its range.
    """

    shape: str = 'disc'
    blades: int = 6
    rotation: float = 0.0
    spherical: float = 0.0
    cats_eye: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.shape not in SHAPES:
            raise ValueError(f'shape must be in {SHAPES}, got {self.shape!r}')
        if self.blades < 3:
            raise ValueError(f'blades must be at least 3, got {self.blades}')
        if not -1 <= self.spherical <= 1:
            raise ValueError(f'spherical must be in [-1, 1], got {self.spherical}')
        if not 0 <= self.cats_eye <= 1:
            raise ValueError(f'cats_eye must be in [0, 1], got {self.cats_eye}')

    def reach(self, radius: float) -> int:
        """Pixels by which a blur of this radius spreads to either side."""
        if self.shape == 'gaussian':
            return math.ceil(_GAUSSIAN_REACH * abs(radius))
        return max(0, math.ceil(abs(radius) - 0.5))

    def psf(self, radius: float, field: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
        """Point spread function: the image of a point of light.

        Every pixel gets the light that falls on its area; a disc that lies within one
        pixel is that pixel.

        Args:
            radius (float): Signed, in pixels.
            field (tuple[float, float]): Place x (right), y (down) in the photograph, in
                half diagonals from its centre. Default: the centre.

        Returns:
            np.ndarray: (M, M) float32 with M = 2 · reach + 1, sum one.

        Raises:
            ValueError: If ``field`` lies outside of the photograph.
        """
        # Two rims two radii apart would let nothing through.
        if math.hypot(*field) > 1 + _ROUNDING:
            raise ValueError(f'field must be within 1 of the centre, got {field}')
        half = self.reach(radius)
        if half == 0:
            return np.ones((1, 1), np.float32)
        if self.shape == 'gaussian':
            # Each pixel's share exactly: the normal distribution between its borders.
            borders = np.arange(-half, half + 2) - 0.5
            share = np.diff(erf(borders / (abs(radius) / 2) / math.sqrt(2)))
            light = np.outer(share, share)
        else:
            light = self._light(radius, half, field)
        return (light / light.sum()).astype(np.float32)

    def _light(
        self, radius: float, half: int, field: tuple[float, float]
    ) -> np.ndarray:
        """Light on every pixel, sampled at least 24 times along the radius."""
        size = 2 * half + 1
        samples = max(2, math.ceil(24 / abs(radius)))
        steps = (np.arange(size * samples) + 0.5) / samples - size / 2
        # In radii; in front of the focus the aperture appears turned by 180°.
        x, y = steps[None, :] / radius, steps[:, None] / radius
        width = 1 / (samples * abs(radius))
        squared = x * x + y * y
        if self.shape == 'polygon':
            within = self._within_polygon(x, y)
        else:
            within = 1 - np.sqrt(squared)
        if self.cats_eye:
            # Both rims half way from the principal ray, so that nothing is displaced.
            dx, dy = (self.cats_eye * place / 2 for place in field)
            for sign in (-1, 1):
                rim = 1 - np.hypot(x - sign * dx, y - sign * dy)
                within = np.minimum(within, rim)
        light = np.clip(0.5 + within / width, 0, 1)
        if self.spherical:
            profile = 1 + self.spherical * math.copysign(1, radius) * (2 * squared - 1)
            light *= np.maximum(profile, 0)
        return light.reshape(size, samples, size, samples).mean((1, 3))

    def _within_polygon(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distance to the nearest blade, positive inside."""
        angles = self.rotation + 2 * np.pi * np.arange(self.blades) / self.blades
        outward = np.full(np.broadcast_shapes(x.shape, y.shape), -np.inf)
        for angle in angles:
            np.maximum(outward, math.cos(angle) * x + math.sin(angle) * y, out=outward)
        return math.cos(math.pi / self.blades) - outward
