"""Training pairs where none exist: sharp photographs, blurred by a rendered lens."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from mmagic.registry import TRANSFORMS
from mmcv.transforms import BaseTransform
from numpy.random import Generator

from .cropping import Window, random_crop, soften, turn, whole
from .optics import Aperture
from .rendering import Layer, Zone, compose, field_zones, margin_of, render
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
# Standard deviation of a Gaussian in pixels; below it neighbours get hardly any light.
_LEAST_SIGMA = 0.2
# Linear light of what rounds to white.
_WHITE = float(srgb_to_linear(np.array(254.5)))


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
        scale (Sequence[float], optional): Two factors in (0, 1], between which the one
            is drawn that makes the photograph smaller, in linear light, before it is
            cropped: a sharper target, and as many photographs of one. A photograph
            never becomes smaller than the crop. Default: None, as it is.
        max_radius (float): Largest blur radius in pixels; each scene draws its own
            largest, evenly from 0 to this. Default: 12.
        in_focus (float): Share of scenes without any, drawn besides. Default: 0.
        soft_in_focus (float): Share of these whose target and input alike are a little
            soft, see :func:`soften`: there is nothing to undo. Default: 0.
        fringes (float): Largest difference between the blur radii of red or blue and of
            green, as a share of it; each scene draws both. Takes twice the time.
            Default: 0.
        psfs (Sequence[str]): Families of point spread functions, drawn evenly, see
            :func:`random_aperture`. Default: all.
        max_cutouts (int): Most things in front of the background. Default: 3.
        softness (float): Largest standard deviation in pixels of the Gaussian that
            softens the photograph itself, target and input alike, as lenses do that are
            stopped down; each scene draws its own, evenly from 0. Default: 0.
        exposure (Sequence[float], optional): Two factors up to 1, between which the one
            is drawn by which a scene is darker than the photograph, target and input
            alike, in linear light. Default: None, as it is.
        highlights (float): What clipped white may have been, as a multiple of white;
            1: nothing brighter than white. Default: 4.
        gain (Sequence[float], optional): Two factors, between which the one is drawn by
            which the input is brighter than the target, in linear light.
            Default: None, equally bright.
        color_gain (float): Largest share by which a colour is so besides, each its own.
            Default: 0.
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
        scale: Sequence[float] | None = None,
        max_radius: float = 12.0,
        in_focus: float = 0.0,
        soft_in_focus: float = 0.0,
        fringes: float = 0.0,
        psfs: Sequence[str] = PSFS,
        max_cutouts: int = 3,
        softness: float = 0.0,
        exposure: Sequence[float] | None = None,
        highlights: float = 4.0,
        gain: Sequence[float] | None = None,
        color_gain: float = 0.0,
        shot_noise: float = 0.01,
        read_noise: float = 0.002,
        jpeg_quality: Sequence[int] | None = (75, 100),
        seed: int = 0,
    ) -> None:
        if crop_size is not None and crop_size < 1:
            raise ValueError(f'crop_size must be positive, got {crop_size}')
        if max_radius <= 0:
            raise ValueError(f'max_radius must be positive, got {max_radius}')
        if not psfs or not set(psfs) <= set(PSFS):
            raise ValueError(f'psfs must be some of {PSFS}, got {tuple(psfs)}')
        if max_cutouts < 0:
            raise ValueError(f'max_cutouts must not be negative, got {max_cutouts}')
        if softness < 0:
            raise ValueError(f'softness must not be negative, got {softness}')
        if highlights < 1:
            raise ValueError(f'highlights must be at least 1, got {highlights}')
        if min(shot_noise, read_noise) < 0:
            raise ValueError(
                'shot_noise and read_noise must not be negative, '
                f'got {shot_noise} and {read_noise}'
            )
        if seed < 0:
            raise ValueError(f'seed must not be negative, got {seed}')
        _check_share('in_focus', in_focus)
        _check_share('soft_in_focus', soft_in_focus)
        if soft_in_focus and not in_focus:
            raise ValueError(
                f'soft_in_focus must be 0 without in_focus, of which it is a share, '
                f'got {soft_in_focus}'
            )
        _check_share('fringes', fringes)
        _check_share('color_gain', color_gain)
        _check_range('scale', scale, 0, 1)
        _check_range('exposure', exposure, 0, 1)
        _check_range('gain', gain, 0, math.inf)
        _check_range('jpeg_quality', jpeg_quality, 0, 100)
        self.crop_size = crop_size
        self.scale = scale
        self.max_radius = max_radius
        self.in_focus = in_focus
        self.soft_in_focus = soft_in_focus
        self.fringes = fringes
        self.psfs = tuple(psfs)
        self.max_cutouts = max_cutouts
        self.softness = softness
        self.exposure = exposure
        self.highlights = highlights
        self.gain = gain
        self.color_gain = color_gain
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
            photo, depth = turn(random, photo, depth)
        aperture = random_aperture(random, self.psfs)
        # None at all would be a scene without a lens.
        radius = self.max_radius * max(random.random(), 1e-3)
        focused = self.in_focus > 0 and random.random() < self.in_focus
        if focused:
            radius = 1e-3 * self.max_radius
        # The lens's float32 radii may round to a little more.
        margin = margin_of(1.0001 * radius * (1 + self.fringes), aperture)
        scale = 1.0
        if self.scale is not None:
            low, high = self.scale
            scale = random.uniform(low, high)
        window = self._window(random, photo, margin, scale)
        color = self._light(random, window.light(photo))
        if depth is None:
            layers = self._scene(random, photo, color, radius, margin, scale)
        else:
            depth = window.depth(fill_unknown(depth))
            layers = layers_from_depth(
                color, random_lens(random, [depth], radius).radius(depth)
            )
        layers = self._photographed(random, layers)
        height, width = (side - 2 * margin for side in window.size)
        inner = slice(margin, margin + height), slice(margin, margin + width)
        sharp, coc = compose(layers)
        if focused and self.soft_in_focus and random.random() < self.soft_in_focus:
            sharp = soften(random, sharp)
            seen = sharp[inner]
        else:
            zones = _zones(aperture, photo.shape, window, margin)
            seen = self._render(random, layers, aperture, margin, zones)
        results.update(
            img=self._expose(random, seen),
            gt=linear_to_srgb(sharp[inner]),
            coc=np.ascontiguousarray(coc[inner]),
            img_channel_order='RGB',
            gt_channel_order='RGB',
            ori_img_shape=(height, width, 3),
            ori_gt_shape=(height, width, 3),
        )
        return results

    def _window(
        self, random: Generator, photo: np.ndarray, margin: int, scale: float
    ) -> Window:
        """What is taken of a photograph."""
        if self.crop_size is None:
            return whole(photo.shape, margin, scale)
        return random_crop(random, photo.shape, self.crop_size, margin, scale)

    def _light(self, random: Generator, light: np.ndarray) -> np.ndarray:
        """Linear light, (H, W, 3), what is white in all colours as bright as it was."""
        factor = 1 + (self.highlights - 1) * random.random()
        red, green, blue = np.moveaxis(light, 2, 0)
        # What is clipped in all colours, and remains so in the target.
        white = np.minimum(np.minimum(red, green), blue) >= _WHITE
        return np.where(white[..., None], np.float32(factor), light)

    def _scene(
        self,
        random: Generator,
        photo: np.ndarray,
        color: np.ndarray,
        radius: float,
        margin: int,
        scale: float,
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
            window = self._window(random, photo, margin, scale)
            other = self._light(random, window.light(photo[:, ::-1]))
            alpha = random_cutout(random, height, width)
            if alpha.any():
                layers.append(Layer(other, lens.radius(depth), alpha))
        return layers

    def _photographed(self, random: Generator, layers: list[Layer]) -> list[Layer]:
        """Layers as soft and as dark as another photograph would have them."""
        exposure, sigma = 1.0, 0.0
        if self.exposure is not None:
            low, high = self.exposure
            exposure = random.uniform(low, high)
        if self.softness:
            sigma = self.softness * random.random()
        changed = []
        for layer in layers:
            color = layer.color * np.float32(exposure) if exposure < 1 else layer.color
            if sigma > _LEAST_SIGMA:
                color = cv2.GaussianBlur(color, (0, 0), sigma)
            changed.append(layer._replace(color=color))
        return changed

    def _render(
        self,
        random: Generator,
        layers: list[Layer],
        aperture: Aperture,
        margin: int,
        zones: list[Zone],
    ) -> np.ndarray:
        """The scene through the lens, whose blur may differ from colour to colour."""
        if not self.fringes:
            return render(layers, aperture, margin, zones)
        red, blue = 1 + self.fringes * random.uniform(-1, 1, 2)
        planes = [
            render(
                [_in_one_color(layer, n, factor) for layer in layers],
                aperture,
                margin,
                zones,
            )
            for n, factor in enumerate((red, 1.0, blue))
        ]
        return np.concatenate(planes, 2)

    def _expose(self, random: Generator, light: np.ndarray) -> np.ndarray:
        """What the camera makes of linear light: (H, W, 3) uint8."""
        if self.gain is not None:
            low, high = self.gain
            light = light * np.float32(random.uniform(low, high))
        if self.color_gain:
            gains = 1 + self.color_gain * random.uniform(-1, 1, 3)
            light = light * gains.astype(np.float32)
        shot, read = random.random(2) * (self.shot_noise, self.read_noise)
        image = linear_to_srgb(add_noise(random, light, shot, read))
        if self.jpeg_quality is None:
            return image
        low, high = self.jpeg_quality
        return compress(image, int(random.integers(low, high + 1)))


def _in_one_color(layer: Layer, number: int, factor: float) -> Layer:
    """A layer in one colour, (H, W, 1), its radii longer by a factor."""
    color = layer.color[..., number : number + 1]
    radius = np.asarray(layer.radius, np.float32) * np.float32(factor)
    return layer._replace(color=color, radius=radius)


def _zones(
    aperture: Aperture, shape: tuple[int, ...], window: Window, margin: int
) -> list[Zone]:
    """Places of the photograph between which the blur's shape changes."""
    top, left, height, width = window[:4]
    if aperture.cats_eye and (height, width) == shape[:2]:
        rows, columns = (side - 2 * margin for side in window.size)
        return field_zones(rows, columns, margin)
    # A crop is small enough to have one.
    full_height, full_width = max(height, shape[0]), max(width, shape[1])
    half_diagonal = np.hypot(full_height, full_width) / 2
    y = (top + height / 2 - full_height / 2) / half_diagonal
    x = (left + width / 2 - full_width / 2) / half_diagonal
    return [Zone((float(x), float(y)))]


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f'{name} must be in [0, 1], got {value}')


def _check_range(
    name: str, values: Sequence[float] | None, above: float, highest: float
) -> None:
    if values is not None:
        low, high = values
        if not above < low <= high <= highest:
            raise ValueError(
                f'{name} must be two rising numbers above {above} and up to {highest}, '
                f'got {tuple(values)}'
            )
