"""The demo's data: photos that come with libraries, and blurred copies of them."""

import shutil
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from skimage import data
from sklearn.datasets import load_sample_image

from .optics import Aperture
from .rendering import Layer, margin_of, render
from .tone import linear_to_srgb, srgb_to_linear

# Pixels; no lens draws a point.
MIN_RADIUS, MAX_RADIUS = 0.5, 2.0
VIEWS = 4  # differently focused copies of every training photo


def photos() -> dict[str, dict[str, tuple[np.ndarray, np.ndarray | None]]]:
    """Sharp photos by split and name, with a depth map where one exists.

    Returns:
        dict: (H, W, 3) or (H, W) uint8, and nearness (H, W) in any unit or None.
    """
    left, _, disparity = data.stereo_motorcycle()
    valid = np.where(np.isfinite(disparity), disparity, np.nan)
    nearness = np.nan_to_num(valid, nan=np.nanmin(valid))
    return {
        'train': {
            'astronaut': (data.astronaut(), None),
            'brick': (data.brick(), None),
            'camera': (data.camera(), None),
            'chelsea': (data.chelsea(), None),
            'flower': (load_sample_image('flower.jpg'), None),
            'gravel': (data.gravel(), None),
            'rocket': (data.rocket(), None),
        },
        'test': {
            'china': (load_sample_image('china.jpg'), None),
            'coffee': (data.coffee(), None),
            'motorcycle': (left, nearness),
        },
        # Behind the others, whose blur it leaves as it was.
        'val': {'coins': (data.coins(), None)},
    }


def procedural_depth(
    height: int, width: int, random: np.random.Generator
) -> np.ndarray:
    """A slanted plane with hills.

    Args:
        height (int): In pixels.
        width (int): In pixels.
        random (np.random.Generator): Decides slant and hills.

    Returns:
        np.ndarray: (H, W), in no unit.
    """
    angle = random.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    plane = np.cos(angle) * rows + np.sin(angle) * columns
    hills = cv2.resize(
        random.standard_normal((4, 6)).astype(np.float32),
        (width, height),
        interpolation=cv2.INTER_CUBIC,
    )
    return plane + 0.3 * hills


def radius_map(depth: np.ndarray, focus: float) -> np.ndarray:
    """Disc radii: MIN_RADIUS at the focused depth, up to MAX_RADIUS away from it.

    Args:
        depth (np.ndarray): (H, W), any unit.
        focus (float): Focused depth as a fraction of the depth range.

    Returns:
        np.ndarray: (H, W), in pixels.
    """
    depth = (depth - depth.min()) / np.ptp(depth)
    distance = np.abs(depth - focus)
    return MIN_RADIUS + (MAX_RADIUS - MIN_RADIUS) * distance / distance.max()


def blur(sharp: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Blur a photo as one surface, with discs.

    Args:
        sharp (np.ndarray): (H, W, 3) uint8.
        radius (np.ndarray): (H, W), in pixels, up to ``MAX_RADIUS``.

    Returns:
        np.ndarray: (H, W, 3) uint8.
    """
    aperture = Aperture('disc')
    margin = margin_of(MAX_RADIUS, aperture)
    around = [(margin, margin), (margin, margin)]
    light = np.pad(srgb_to_linear(sharp), [*around, (0, 0)], 'reflect')
    surface = Layer(light, np.pad(radius, around, 'reflect'))
    return linear_to_srgb(render([surface], aperture, margin))


def make_demo_data(folder: Path) -> None:
    """Write the data; a folder that is complete is left as it is.

    Args:
        folder (Path): Gets ``{train,test,val}/{input,target}/*.png``
            and ``{train,test,val}/radius/*.npy``, the disc radius at every pixel.
    """
    if folder.exists():
        return
    part = folder.with_name(folder.name + '.part')
    shutil.rmtree(part, ignore_errors=True)
    random = np.random.default_rng(0)
    for split, named in photos().items():
        for kind in ('input', 'target', 'radius'):
            (part / split / kind).mkdir(parents=True)
        for name, (sharp, depth) in named.items():
            if sharp.ndim == 2:
                sharp = np.stack([sharp] * 3, axis=2)
            for view in range(VIEWS if split == 'train' else 1):
                seen = depth
                if seen is None:
                    height, width = sharp.shape[:2]
                    seen = procedural_depth(height, width, random)
                radius = radius_map(seen, focus=random.uniform(0, 0.2))
                stem = f'{name}_{view}' if split == 'train' else name
                blurred = blur(sharp, radius)
                Image.fromarray(sharp).save(part / split / 'target' / f'{stem}.png')
                Image.fromarray(blurred).save(part / split / 'input' / f'{stem}.png')
                np.save(part / split / 'radius' / f'{stem}.npy', radius.astype('f4'))
    part.replace(folder)
