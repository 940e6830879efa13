"""Random scenes, made of photographs: what lies where, how far away, seen how."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator

from .optics import Aperture, circle_of_confusion
from .rendering import Layer

PSFS = ('disc', 'gaussian', 'polygon', 'ring', 'cats_eye')
# Nothing is nearer to the camera than this, in metres.
_NEAREST = 0.3


class Lens(NamedTuple):
    """Settings of a camera; arguments of :func:`circle_of_confusion`.

    Attributes:
        focus_distance (float): In metres.
        focal_length (float): In millimetres.
        f_number (float): Focal length by aperture.
        pixel_pitch (float): In micrometres.
    """

    focus_distance: float
    focal_length: float
    f_number: float
    pixel_pitch: float

    def radius(self, depth: np.ndarray) -> np.ndarray:
        """Signed blur radius in pixels at depths in metres, float32."""
        return circle_of_confusion(depth, *self).astype(np.float32)


def random_aperture(random: Generator, psfs: tuple[str, ...] = PSFS) -> Aperture:
    """Draw a family of point spread functions and its parameters.

    Args:
        random (Generator): Source of chance.
        psfs (tuple[str, ...]): Families to draw from: ``'disc'``; ``'gaussian'``;
            ``'polygon'`` of 5 to 9 blades; ``'ring'``, spherical aberration of either
            sign; ``'cats_eye'``, a disc that narrows towards the corners.

    Returns:
        Aperture: Of that family.
    """
    family = psfs[random.integers(len(psfs))]
    if family == 'polygon':
        blades = int(random.integers(5, 10))
        return Aperture('polygon', blades, float(random.uniform(0, 2 * np.pi)))
    if family == 'ring':
        return Aperture(spherical=float(random.uniform(-1, 1)))
    if family == 'cats_eye':
        return Aperture(cats_eye=float(random.uniform(0.3, 1)))
    return Aperture(family)


def random_lens(random: Generator, depths: list[np.ndarray], max_radius: float) -> Lens:
    """Draw a lens whose largest blur in a scene is ``max_radius``.

    The plane of focus lies anywhere within the scene or, in a third of the cases, in a
    range twice as deep.

    Args:
        random (Generator): Source of chance.
        depths (list[np.ndarray]): Depth of every surface in metres.
        max_radius (float): In pixels.

    Returns:
        Lens: Of 24 to 135 mm; the f-number follows from the rest.
    """
    # Blur is linear in the reciprocal of depth.
    far = 1 / max(float(depth.max()) for depth in depths)
    near = 1 / min(float(depth.min()) for depth in depths)
    # A scene that is one plane, seen from straight ahead, has no depth of its own and
    # would always be in focus.
    reach = max(near - far, 0.05) / 2
    if random.random() < 1 / 3:
        reach *= 2
    middle = (far + near) / 2
    low, high = np.clip((middle - reach, middle + reach), 0.01, 1 / _NEAREST)
    focus = 1 / random.uniform(low, high)
    focal_length = random.uniform(24, 135)
    lens = Lens(float(focus), float(focal_length), 1.0, 6.0)
    wide_open = max(float(np.abs(lens.radius(depth)).max()) for depth in depths)
    if wide_open == 0:  # the plane is in focus
        return lens
    return lens._replace(f_number=wide_open / max_radius)


def random_plane(
    random: Generator, height: int, width: int, far: float, near: float
) -> np.ndarray:
    """Depth of a plane: in a quarter of the cases parallel to the sensor, else slanted.

    Args:
        random (Generator): Source of chance.
        height (int): Of the picture, in pixels.
        width (int): The same.
        far (float): Greatest depth in metres.
        near (float): Least depth in metres.

    Returns:
        np.ndarray: (height, width) float32, in metres.
    """
    far, near = 1 / far, 1 / near
    if random.random() < 0.25:
        depth = np.float32(1 / random.uniform(far, near))
        return np.full((height, width), depth)
    # A plane's reciprocal depth is linear in the picture's coordinates.
    angle = random.uniform(0, 2 * np.pi)
    y = np.linspace(-np.sin(angle), np.sin(angle), height, dtype=np.float32)
    x = np.linspace(-np.cos(angle), np.cos(angle), width, dtype=np.float32)
    slope = (y[:, None] + x) / (abs(np.sin(angle)) + abs(np.cos(angle)))
    low, high = np.sort(random.uniform(far, near, 2))
    return (1 / (low + (high - low) * (slope + 1) / 2)).astype(np.float32)


def random_cutout(random: Generator, height: int, width: int) -> np.ndarray:
    """Outline of a thing: a smooth blob or a polygon, of hard or soft edge.

    Args:
        random (Generator): Source of chance.
        height (int): Of the picture, in pixels.
        width (int): The same.

    Returns:
        np.ndarray: (height, width) float32 in [0, 1].
    """
    side = min(height, width)
    smooth = random.random() < 0.5
    corners = 64 if smooth else int(random.integers(3, 9))
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    if smooth:
        waves = np.arange(1, 6)[:, None]
        sizes = random.normal(0, 0.3, (5, 1)) / waves
        phases = random.uniform(0, 2 * np.pi, (5, 1))
        distance = np.exp((sizes * np.cos(waves * angles + phases)).sum(0))
    else:
        angles = angles + random.uniform(0, 2 * np.pi)
        distance = random.uniform(0.5, 1, corners)
    scale = random.uniform(0.1, 0.45) * side
    stretch = np.exp(random.uniform(-0.7, 0.7))
    centre = random.uniform((0, 0), (width, height))
    outline = (
        np.stack([np.cos(angles) * stretch, np.sin(angles) / stretch], 1)
        * distance[:, None]
    )
    points = centre + scale * outline
    cover = np.zeros((height, width), np.uint8)
    # OpenCV takes sixteenths of a pixel.
    fixed = np.rint(points * 16).astype(np.int32)
    cv2.fillPoly(cover, [fixed], (255,), cv2.LINE_AA, shift=4)
    mask = cover.astype(np.float32) / 255
    if random.random() < 0.3:
        return cv2.GaussianBlur(mask, (0, 0), random.uniform(1, 6))
    return mask


def fill_unknown(depth: np.ndarray) -> np.ndarray:
    """Give pixels without depth that of the nearest pixel with one.

    Args:
        depth (np.ndarray): (H, W) in metres; 0, negative or not finite: not known.

    Returns:
        np.ndarray: (H, W) float32, all positive.

    Raises:
        ValueError: If nothing is known.
    """
    known = np.isfinite(depth) & (depth > 0)
    if not known.any():
        raise ValueError('the depth map knows no depth at all')
    if known.all():
        return depth.astype(np.float32)
    return depth.astype(np.float32).ravel()[_nearest(known)]


def layers_from_depth(
    color: np.ndarray, radius: np.ndarray, thickness: float = 2.0
) -> list[Layer]:
    """Cut a photograph with a depth map into layers.

    What a layer hides of those behind it, the nearest visible pixels continue: through
    the blurred edge of a thing in front, its background is seen.

    Args:
        color (np.ndarray): (H, W, 3) float32, linear light.
        radius (np.ndarray): (H, W), signed radius at every pixel, which grows with
            depth.
        thickness (float): Span of radii in one layer, in pixels. Default: 2.

    Returns:
        list[Layer]: From back to front; laid one over the other, they are the
        photograph.
    """
    low, high = float(radius.min()), float(radius.max())
    count = max(1, int(np.ceil((high - low) / thickness)))
    borders = np.linspace(low, high, count + 1)
    number = np.clip(np.searchsorted(borders, radius, 'right') - 1, 0, count - 1)
    layers: list[Layer] = []
    for n in reversed(np.unique(number)):
        nearest = _nearest(number >= n)
        layers.append(
            Layer(
                color.reshape(-1, 3)[nearest],
                radius.ravel()[nearest],
                (number.ravel()[nearest] == n).astype(np.float32) if layers else None,
            )
        )
    return layers


def _nearest(known: np.ndarray) -> np.ndarray:
    """Index of the nearest known pixel in the flattened picture, for every pixel."""
    if known.all():
        return np.arange(known.size).reshape(known.shape)
    _, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    index = np.zeros(labels.max() + 1, np.intp)
    index[labels[known]] = np.flatnonzero(known)
    return index[labels]
