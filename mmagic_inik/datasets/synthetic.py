"""Training pairs where none exist: sharp photographs, blurred by a rendered lens."""

from collections.abc import Sequence

import numpy as np
from mmagic.registry import TRANSFORMS
from mmcv.transforms import BaseTransform
from numpy.random import Generator

from .optics import Aperture
from .rendering import (
    Layer,
    Zone,
    compose,
    field_zones,
    margin_of,
    render,
)
from .scenes import (
    PSFS,
    fill_unknown,
    layers_from_depth,
    random_aperture,
    random_cutout,
    random_lens,
    random_plane,
)
from .tone import add_noise, compress, linear_to_srgb, srgb_to_linear

# In one over metres: from 50 m to 0.4 m.
_FARTHEST, _NEAREST = 0.02, 2.5


@TRANSFORMS.register_module()
class SyntheticDefocus(BaseTransform):
    """Takes a sharp photograph out of focus.

    A crop becomes the background of a scene; other crops of the same photograph, cut
    out along random outlines, stand in front of it. With a depth map, the photograph's
    own depth is taken. A random thin lens draws the scene in linear light; then come
    the sensor's noise, the tone curve and JPEG. The target is the scene without blur,
    noise and JPEG: the photograph itself, wherever nothing is put in front of it.

    Everything random depends on ``seed`` and ``sample_idx`` alone, whichever worker
    does it. Crops are flipped and transposed at random.

    Args:
        crop_size (int, optional): Side of the crop in pixels; smaller photographs are
            continued by reflection. None: the whole photograph, not flipped.
            Default: 256.
        max_radius (float): Largest blur radius in pixels; each scene draws its own
            largest, evenly from 0 to this. Default: 12.
        in_focus (float): Share of scenes without any, drawn besides. Default: 0.
        psfs (Sequence[str]): Families of point spread functions, drawn evenly, see
            :func:`random_aperture`. Default: all.
        max_cutouts (int): Most things in front of the background. Default: 3.
        highlights (float): What clipped white may have been, as a multiple of white;
            1: nothing brighter than white. Default: 4.
        shot_noise (float): Largest standard deviation of photon noise at white, as a
            share of white; it falls with the root of light. 0: none. Default: 0.01.
        read_noise (float): Largest standard deviation of the noise without light.
            0: none. Default: 0.002.
        jpeg_quality (Sequence[int], optional): Least and greatest quality of JPEG
            compression. None: not compressed. Default: (75, 100).
        seed (int): Another seed, other pictures; from 0. Default: 0.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        crop_size: int | None = 256,
        max_radius: float = 12.0,
        in_focus: float = 0.0,
        psfs: Sequence[str] = PSFS,
        max_cutouts: int = 3,
        highlights: float = 4.0,
        shot_noise: float = 0.01,
        read_noise: float = 0.002,
        jpeg_quality: Sequence[int] | None = (75, 100),
        seed: int = 0,
    ) -> None:
        if crop_size is not None and crop_size < 1:
            raise ValueError(f'crop_size must be positive, got {crop_size}')
        if max_radius <= 0:
            raise ValueError(f'max_radius must be positive, got {max_radius}')
        if not 0 <= in_focus <= 1:
            raise ValueError(f'in_focus must be in [0, 1], got {in_focus}')
        if not psfs or not set(psfs) <= set(PSFS):
            raise ValueError(f'psfs must be some of {PSFS}, got {tuple(psfs)}')
        if max_cutouts < 0:
            raise ValueError(f'max_cutouts must not be negative, got {max_cutouts}')
        if highlights < 1:
            raise ValueError(f'highlights must be at least 1, got {highlights}')
        if min(shot_noise, read_noise) < 0:
            raise ValueError(
                'shot_noise and read_noise must not be negative, '
                f'got {shot_noise} and {read_noise}'
            )
        if jpeg_quality is not None:
            low, high = jpeg_quality
            if not 1 <= low <= high <= 100:
                raise ValueError(
                    'jpeg_quality must be two rising numbers in [1, 100], '
                    f'got {tuple(jpeg_quality)}'
                )
        if seed < 0:
            raise ValueError(f'seed must not be negative, got {seed}')
        self.crop_size = crop_size
        self.max_radius = max_radius
        self.in_focus = in_focus
        self.psfs = tuple(psfs)
        self.max_cutouts = max_cutouts
        self.highlights = highlights
        self.shot_noise = shot_noise
        self.read_noise = read_noise
        self.jpeg_quality = jpeg_quality
        self.seed = seed

    def transform(self, results: dict) -> dict:
        """Blur ``gt``, (H, W, 3) RGB in [0, 255], with ``depth`` (H, W) if it is there.

        Args:
            results (dict): Also with ``sample_idx``.

        Returns:
            dict: ``img`` and ``gt``, (h, w, 3) uint8, and ``coc``, (h, w) float32: the
            signed blur radius of what is seen in ``gt``, in pixels. ``depth`` is gone.

        Raises:
            ValueError: If ``depth`` has another size or knows no depth at all.
        """
        random = np.random.default_rng((self.seed, results['sample_idx']))
        # Taken out: it would fit neither image.
        photo, depth = results['gt'], results.pop('depth', None)
        if depth is not None and depth.shape != photo.shape[:2]:
            raise ValueError(
                f'depth must have the size {photo.shape[:2]} of the photograph, '
                f'got {depth.shape}'
            )
        if self.crop_size is not None:
            photo, depth = _turn(random, photo, depth)
        aperture = random_aperture(random, self.psfs)
        # None at all would be a scene without a lens.
        radius = self.max_radius * max(random.random(), 1e-3)
        if self.in_focus and random.random() < self.in_focus:
            radius = 1e-3 * self.max_radius
        # The lens's float32 radii may round to a little more.
        margin = margin_of(1.0001 * radius, aperture)
        top, left, height, width = self._window(random, photo)
        color = self._light(random, _cut(photo, top, left, height, width, margin))
        if depth is None:
            layers = self._scene(random, photo, color, radius, margin)
        else:
            depth = _cut(fill_unknown(depth), top, left, height, width, margin)
            layers = layers_from_depth(
                color, random_lens(random, [depth], radius).radius(depth)
            )
        zones = _zones(aperture, photo.shape, top, left, height, width, margin)
        blurred = render(layers, aperture, margin, zones)
        inner = slice(margin, margin + height), slice(margin, margin + width)
        sharp, coc = compose(layers)
        results.update(
            img=self._expose(random, blurred),
            gt=linear_to_srgb(sharp[inner]),
            coc=np.ascontiguousarray(coc[inner]),
            img_channel_order='RGB',
            gt_channel_order='RGB',
            ori_img_shape=(height, width, 3),
            ori_gt_shape=(height, width, 3),
        )
        return results

    def _window(self, random: Generator, photo: np.ndarray) -> tuple[int, ...]:
        """Top, left, height and width of what is taken of a photograph."""
        height, width = photo.shape[:2]
        if self.crop_size is None:
            return 0, 0, height, width
        side = self.crop_size
        top = random.integers(max(0, height - side) + 1)
        left = random.integers(max(0, width - side) + 1)
        return int(top), int(left), side, side

    def _light(self, random: Generator, pixels: np.ndarray) -> np.ndarray:
        """Linear light of a photograph, (H, W, 3), 1 = white, highlights more."""
        light = srgb_to_linear(pixels)
        factor = 1 + (self.highlights - 1) * random.random()
        red, green, blue = np.moveaxis(pixels, 2, 0)
        # What is clipped in all colours, and remains so in the target.
        white = np.minimum(np.minimum(red, green), blue) >= 254.5
        return np.where(white[..., None], np.float32(factor), light)

    def _scene(
        self,
        random: Generator,
        photo: np.ndarray,
        color: np.ndarray,
        radius: float,
        margin: int,
    ) -> list[Layer]:
        """A background and cut-outs before it, each a plane between its neighbours."""
        count = int(random.integers(self.max_cutouts + 1))
        height, width = color.shape[:2]
        nearness = np.sort(random.uniform(_FARTHEST, _NEAREST, count + 2))
        depths = [
            random_plane(random, height, width, 1 / far, 1 / near)
            for far, near in zip(nearness[:-1], nearness[1:], strict=True)
        ]
        lens = random_lens(random, depths, radius)
        layers = [Layer(color, lens.radius(depths[0]))]
        for depth in depths[1:]:
            top, left, *size = self._window(random, photo)
            other = self._light(random, _cut(photo[:, ::-1], top, left, *size, margin))
            alpha = random_cutout(random, height, width)
            if alpha.any():
                layers.append(Layer(other, lens.radius(depth), alpha))
        return layers

    def _expose(self, random: Generator, light: np.ndarray) -> np.ndarray:
        """What the camera makes of linear light: (H, W, 3) uint8."""
        shot, read = random.random(2) * (self.shot_noise, self.read_noise)
        image = linear_to_srgb(add_noise(random, light, shot, read))
        if self.jpeg_quality is None:
            return image
        low, high = self.jpeg_quality
        return compress(image, int(random.integers(low, high + 1)))


def _turn(
    random: Generator, photo: np.ndarray, depth: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Flip and transpose both alike, without copying."""
    rows, columns = random.choice((-1, 1), 2)
    transpose = random.random() < 0.5
    turned = []
    for image in (photo, depth):
        if image is not None:
            image = image[::rows, ::columns]
            image = image.swapaxes(0, 1) if transpose else image
        turned.append(image)
    return turned[0], turned[1]


def _cut(
    image: np.ndarray, top: int, left: int, height: int, width: int, margin: int
) -> np.ndarray:
    """A window and a margin around it, continued by reflection."""
    if min(top, left) >= margin and (
        top + height + margin <= image.shape[0]
        and left + width + margin <= image.shape[1]
    ):
        rows = slice(top - margin, top + height + margin)
        return image[rows, left - margin : left + width + margin]
    picked = []
    for start, length, side in zip(
        (top, left), (height, width), image.shape, strict=False
    ):
        at = np.arange(start - margin, start + length + margin) % max(1, 2 * side - 2)
        picked.append(np.minimum(at, 2 * side - 2 - at))
    return image[np.ix_(*picked)]


def _zones(
    aperture: Aperture,
    shape: tuple[int, ...],
    top: int,
    left: int,
    height: int,
    width: int,
    margin: int,
) -> list[Zone]:
    """Places of the photograph between which the blur's shape changes."""
    if aperture.cats_eye and (height, width) == shape[:2]:
        return field_zones(height, width, margin)
    # A crop is small enough to have one.
    full_height, full_width = max(height, shape[0]), max(width, shape[1])
    half_diagonal = np.hypot(full_height, full_width) / 2
    y = (top + height / 2 - full_height / 2) / half_diagonal
    x = (left + width / 2 - full_width / 2) / half_diagonal
    return [Zone((float(x), float(y)))]
