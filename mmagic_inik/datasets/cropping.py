"""Parts of photographs: turned, cut out with a margin, made smaller, made softer."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator

from .tone import srgb_to_linear

# Of pictures that are soft of themselves, in pixels of standard deviation, or made
# smaller by this factor and larger again.
_SOFT_SIGMA = 0.5, 1.5
_SOFT_SCALE = 0.4, 0.8


class Window(NamedTuple):
    """A part of a photograph, and what is made of it.

    Attributes:
        top (int): Of the part in the photograph, without its margin, in pixels.
        left (int): The same.
        height (int): The same.
        width (int): The same.
        margin (int): Around the part, in pixels of the photograph.
        size (tuple[int, int]): Height and width that part and margin are brought to,
            no more than they have.
    """

    top: int
    left: int
    height: int
    width: int
    margin: int
    size: tuple[int, int]

    def light(self, photo: np.ndarray) -> np.ndarray:
        """Its linear light, each pixel the mean of those that it is made of.

        Args:
            photo (np.ndarray): (H, W, 3), uint8, or floating in [0, 255].

        Returns:
            np.ndarray: Of ``size``, float32 in [0, 1].
        """
        light = srgb_to_linear(self.pixels(photo))
        if light.shape[:2] == self.size:
            return light
        return cv2.resize(light, self.size[::-1], interpolation=cv2.INTER_AREA)

    def depth(self, depth: np.ndarray) -> np.ndarray:
        """The same of a depth map (H, W), each pixel one of those."""
        depth = self.pixels(depth)
        if depth.shape == self.size:
            return depth
        # A mean of near and far would be a surface that is not there.
        return cv2.resize(depth, self.size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)

    def pixels(self, image: np.ndarray) -> np.ndarray:
        """Part and margin as they are, the image continued by reflection."""
        margin, picked = self.margin, []
        starts, lengths = (self.top, self.left), (self.height, self.width)
        if all(
            start >= margin and start + length + margin <= side
            for start, length, side in zip(starts, lengths, image.shape, strict=False)
        ):
            rows, columns = (
                slice(start - margin, start + length + margin)
                for start, length in zip(starts, lengths, strict=True)
            )
            return image[rows, columns]
        for start, length, side in zip(starts, lengths, image.shape, strict=False):
            at = np.arange(start - margin, start + length + margin)
            at %= max(1, 2 * side - 2)
            picked.append(np.minimum(at, 2 * side - 2 - at))
        return image[np.ix_(*picked)]


def whole(shape: tuple[int, ...], margin: int, scale: float = 1.0) -> Window:
    """All of a photograph.

    Args:
        shape (tuple[int, ...]): Its height and width.
        margin (int): Around it, in pixels of what is made of it.
        scale (float): Factor that makes it smaller, in (0, 1]. Default: 1.

    Returns:
        Window: Of sides of at least one pixel.
    """
    height, width = shape[:2]
    size = [max(1, round(scale * side)) + 2 * margin for side in (height, width)]
    around = round(margin / scale)
    # Of a few pixels, rounding may leave less than is wanted.
    around = max(around, (max(size[0] - height, size[1] - width) + 1) // 2)
    return Window(0, 0, height, width, around, (size[0], size[1]))


def random_crop(
    random: Generator,
    shape: tuple[int, ...],
    side: int,
    margin: int,
    scale: float = 1.0,
) -> Window:
    """A square anywhere in a photograph, which may be smaller than that.

    Args:
        random (Generator): Source of chance.
        shape (tuple[int, ...]): Height and width of the photograph.
        side (int): Of what is made of the square, in pixels.
        margin (int): The same.
        scale (float): Factor that makes the photograph smaller, in (0, 1], if it stays
            as large as the crop: else the least that does. Default: 1.

    Returns:
        Window: Of ``side`` and a margin.
    """
    height, width = shape[:2]
    taken = min(round(side / scale), max(side, min(height, width)))
    top = random.integers(max(0, height - taken) + 1)
    left = random.integers(max(0, width - taken) + 1)
    around = round(margin * taken / side)
    size = side + 2 * margin
    return Window(int(top), int(left), taken, taken, around, (size, size))


def turn(
    random: Generator, photo: np.ndarray, depth: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Flip and transpose both alike, without copying."""
    rows, columns = random.choice((-1, 1), 2)
    transpose = random.random() < 0.5

    def turned(image: np.ndarray) -> np.ndarray:
        image = image[::rows, ::columns]
        return image.swapaxes(0, 1) if transpose else image

    return turned(photo), None if depth is None else turned(depth)


def soften(random: Generator, light: np.ndarray) -> np.ndarray:
    """A picture as a poor lens, or enlarging, gives it.

    Half are blurred by a Gaussian of 0.5 to 1.5 pixels; half are made smaller, by a
    factor of 0.4 to 0.8, and as large again.

    Args:
        random (Generator): Source of chance.
        light (np.ndarray): (H, W, 3) float32, linear light.

    Returns:
        np.ndarray: The same, not negative.
    """
    if random.random() < 0.5:
        return cv2.GaussianBlur(light, (0, 0), random.uniform(*_SOFT_SIGMA))
    height, width = light.shape[:2]
    scale = random.uniform(*_SOFT_SCALE)
    small = [max(1, round(scale * side)) for side in (width, height)]
    light = cv2.resize(light, small, interpolation=cv2.INTER_AREA)
    light = cv2.resize(light, (width, height), interpolation=cv2.INTER_CUBIC)
    # Cubics overshoot.
    return np.maximum(light, 0)
