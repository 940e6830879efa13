"""Between pixels and linear light: the sRGB tone curve (IEC 61966-2-1), noise, JPEG."""

import functools

import cv2
import numpy as np
from numpy.random import Generator

# Steps of linear light from which pixels are looked up; the darkest pixel spans 20.
_STEPS = 65535


def srgb_to_linear(pixels: np.ndarray) -> np.ndarray:
    """Undo the tone curve.

    Args:
        pixels (np.ndarray): Any shape, uint8, or floating in [0, 255].

    Returns:
        np.ndarray: float32, linear light in [0, 1].
    """
    if pixels.dtype == np.uint8:
        return _linear_of_pixel()[pixels]
    return _to_linear(pixels / 255).astype(np.float32)


def linear_to_srgb(light: np.ndarray) -> np.ndarray:
    """Apply the tone curve and round to eight bits.

    Args:
        light (np.ndarray): Any shape, floating, 1 = white; clipped to [0, 1].

    Returns:
        np.ndarray: uint8.
    """
    steps = np.clip(light, 0, 1) * np.float32(_STEPS) + np.float32(0.5)
    return _pixel_of_linear()[steps.astype(np.uint16)]


def add_noise(
    random: Generator, light: np.ndarray, shot: float, read: float
) -> np.ndarray:
    """Add a sensor's noise, of variance ``shot² · light + read²``.

    Photon noise in its normal approximation (Foi et al., TIP 2008), independent from
    pixel to pixel and colour to colour.

    Args:
        random (Generator): Source of chance.
        light (np.ndarray): Any shape, float32, linear light, 1 = white.
        shot (float): Standard deviation of photon noise at white.
        read (float): Standard deviation without light.

    Returns:
        np.ndarray: float32, shape of ``light``, not clipped.
    """
    if shot == read == 0:
        return light
    variance = np.float32(shot**2) * np.maximum(light, 0) + np.float32(read**2)
    return light + np.sqrt(variance) * random.standard_normal(light.shape, np.float32)


def compress(image: np.ndarray, quality: int) -> np.ndarray:
    """Write a picture as JPEG and read it.

    Args:
        image (np.ndarray): (H, W, 3) uint8, RGB.
        quality (int): Of libjpeg, in [1, 100].

    Returns:
        np.ndarray: (H, W, 3) uint8, RGB.
    """
    setting = [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, data = cv2.imencode('.jpg', image[..., ::-1], setting)
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


@functools.cache
def _linear_of_pixel() -> np.ndarray:
    return _to_linear(np.arange(256) / 255).astype(np.float32)


@functools.cache
def _pixel_of_linear() -> np.ndarray:
    light = np.arange(_STEPS + 1) / _STEPS
    curve = np.where(
        light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055
    )
    return np.rint(curve * 255).astype(np.uint8)


def _to_linear(image: np.ndarray) -> np.ndarray:
    return np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)
