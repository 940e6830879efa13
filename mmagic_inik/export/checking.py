"""Whether an exported model gives what PyTorch gives."""

import math
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from ..errors import InputError
from ..models import Restorer
from .tracing import INPUT

# Batch, height and width: odd sides, sides below a network's least, several images.
SIZES = ((1, 75, 101), (2, 33, 20), (1, 128, 96))
# Of float32, relative to the largest value where that is above one; of float16, in dB.
MOST_ERROR, LEAST_PSNR = 1e-4, 50.0


class Agreement(NamedTuple):
    """How near a model comes to PyTorch in float32 on one size.

    Attributes:
        size (tuple[int, int, int]): Batch, height, width.
        error (float): Largest absolute difference.
        psnr (float): In dB, for a peak of 1; infinite where all is equal.
        enough (bool): Whether it is near enough for the model's type.
    """

    size: tuple[int, int, int]
    error: float
    psnr: float
    enough: bool


def compare(model: bytes, restorer: Restorer, dtype: str) -> list[Agreement]:
    """Run a model in onnxruntime and the network in PyTorch on the same images.

    Args:
        model (bytes): ONNX.
        restorer (Restorer): The network it was made of, on the CPU.
        dtype (str): Of the model, which decides what is near enough.

    Returns:
        list[Agreement]: One for each of ``SIZES``.
    """
    session = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])
    found = []
    for size in SIZES:
        image = _image(*size)
        with torch.no_grad():
            expected = restorer.restore(image).numpy()
        (given,) = session.run(None, {INPUT: image.numpy()})
        found.append(_agreement(size, given, expected, dtype))
    return found


def require(found: list[Agreement], name: str) -> None:
    """Refuse a model that does not give what PyTorch gives.

    Args:
        found (list[Agreement]): From :func:`compare`.
        name (str): Of the file that is not written.

    Raises:
        InputError: Names the size and the difference.
    """
    for size, error, psnr, enough in found:
        if not enough:
            raise InputError(
                f'{name} is not written: on {size[0]}x3x{size[1]}x{size[2]} it differs '
                f'from PyTorch by {error:.2g} ({psnr:.1f} dB); export in float32, or '
                'restore with PyTorch'
            )


def _agreement(
    size: tuple, given: np.ndarray, expected: np.ndarray, dtype: str
) -> Agreement:
    if given.shape != expected.shape or not np.isfinite(given).all():
        return Agreement(size, math.inf, -math.inf, False)
    # Networks that were never trained may leave [0, 1] far behind.
    peak = max(1.0, float(np.abs(expected).max()))
    difference = (given.astype(np.float64) - expected) / peak
    error, mean = float(np.abs(difference).max()), float((difference**2).mean())
    psnr = -10 * math.log10(mean) if mean else math.inf
    enough = error <= MOST_ERROR if dtype == 'float32' else psnr >= LEAST_PSNR
    return Agreement(size, error, psnr, enough)


def _image(batch: int, height: int, width: int) -> Tensor:
    """Waves of several lengths and noise, in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.arange(height).view(-1, 1), torch.arange(width)
    waves = torch.stack([(0.05 * k * (x + k * y)).sin() for k in (1, 3, 7)])
    noise = torch.rand(batch, 3, height, width, generator=generator)
    return 0.45 + 0.4 * waves + 0.15 * noise.sub(0.5)
