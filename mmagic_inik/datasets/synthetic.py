"""Defocus blur made from sharp photographs."""

import cv2
import numpy as np


def disc_psf(radius: float) -> np.ndarray:
    """Point spread function of an ideal lens with a round aperture.

    Args:
        radius (float): Radius in pixels, not negative; fractions count: a pixel that
            the rim crosses gets the covered part, sampled 16 × 16.

    Returns:
        np.ndarray: (M, M) float32 with odd M, sum one.
    """
    half = int(np.ceil(radius + 0.5)) if radius > 0 else 0
    samples = 16
    steps = np.arange((2 * half + 1) * samples)
    axis = (steps + 0.5) / samples - half - 0.5
    inside = axis[:, None] ** 2 + axis**2 <= max(radius, 0.5) ** 2
    covered = inside.reshape(2 * half + 1, samples, 2 * half + 1, samples).mean((1, 3))
    return (covered / covered.sum()).astype(np.float32)


def blur_by_radius(
    sharp: np.ndarray, radius: np.ndarray, step: float = 0.25
) -> np.ndarray:
    """Blur every pixel with a disc of its own radius, in linear light.

    The photograph is blurred with radii ``step`` apart and interpolated between them;
    borders are mirrored. Light is gathered, not spread: where depth jumps, a blurred
    foreground does not spill over what lies behind it.

    Args:
        sharp (np.ndarray): (H, W, 3) uint8, sRGB.
        radius (np.ndarray): (H, W), disc radius in pixels.
        step (float): Distance of the radii in pixels. Default: 0.25.

    Returns:
        np.ndarray: (H, W, 3) uint8, sRGB.
    """
    linear = srgb_to_linear(sharp.astype(np.float32) / 255)
    level = radius / step
    blurred = np.zeros_like(linear)
    for n in range(int(np.floor(level.min())), int(np.ceil(level.max())) + 1):
        share = np.clip(1 - np.abs(level - n), 0, 1)[..., None]
        if share.any():
            layer = cv2.filter2D(
                linear, -1, disc_psf(n * step), borderType=cv2.BORDER_REFLECT
            )
            blurred += share.astype(np.float32) * layer
    return np.rint(linear_to_srgb(blurred) * 255).astype(np.uint8)


def srgb_to_linear(image: np.ndarray) -> np.ndarray:
    """Undo the sRGB tone curve (IEC 61966-2-1); values in [0, 1]."""
    return np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(image: np.ndarray) -> np.ndarray:
    """Apply the sRGB tone curve (IEC 61966-2-1); values are clipped to [0, 1]."""
    image = np.clip(image, 0, 1)
    return np.where(
        image <= 0.0031308, image * 12.92, 1.055 * image ** (1 / 2.4) - 0.055
    )
