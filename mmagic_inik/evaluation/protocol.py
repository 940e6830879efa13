"""What is done to images before they are scored, and how it is said.

Published figures of one network differ by these steps, so each is an option, and every
result carries them in one line.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import InputError

MAX_VALUE = 255


@dataclass(frozen=True)
class Protocol:
    """Steps between a network's output and its scores.

    Args:
        crop_to_multiple (int, optional): Crop prediction and target at right and bottom
            to sides that are multiples of it. Default: None, whole images.
        bit_depth (int, optional): Quantise the target to 8 or 16 bits.
            Default: None, as its file has it.
        clip (bool): Clip predictions to [0, 255]. Default: True.
        round (bool): Quantise predictions to ``bit_depth`` bits. Default: False.
        channel_order (str): ``'RGB'`` or ``'BGR'``, in which LPIPS and NIQE get the
            channels; to the other scores it is all one. Default: 'RGB'.

    Raises:
        InputError: If an option is wrong.
    """

    crop_to_multiple: int | None = None
    bit_depth: int | None = None
    clip: bool = True
    round: bool = False
    channel_order: str = 'RGB'

    def __post_init__(self) -> None:
        """Check the options."""
        crop = self.crop_to_multiple
        if crop is not None and (not isinstance(crop, int) or crop < 1):
            raise InputError(
                f'crop_to_multiple must be a positive integer or None, got {crop!r}'
            )
        if self.bit_depth not in (None, 8, 16):
            raise InputError(f'bit_depth must be 8, 16 or None, got {self.bit_depth!r}')
        if self.round and self.bit_depth is None:
            raise InputError('round=True needs bit_depth=8 or bit_depth=16')
        if self.round and not self.clip:
            raise InputError(
                'round=True needs clip=True, for no file holds values beyond the range'
            )
        if self.channel_order not in ('RGB', 'BGR'):
            raise InputError(
                f"channel_order must be 'RGB' or 'BGR', got {self.channel_order!r}"
            )

    def describe(self, paired: bool = True) -> str:
        """The steps in words.

        Args:
            paired (bool): Whether there are targets. Default: True.

        Returns:
            str: Like ``RGB, whole images, target as stored, predictions clipped, not
            rounded``.

        Example:
            >>> Protocol(bit_depth=8, round=True).describe(paired=False)
            'RGB, whole images, predictions clipped, rounded to 8 bits'
        """
        crop, bits = self.crop_to_multiple, self.bit_depth
        steps = [
            self.channel_order,
            f'cropped to multiples of {crop}' if crop else 'whole images',
            f'predictions {"" if self.clip else "not "}clipped',
            f'rounded to {bits} bits' if self.round else 'not rounded',
        ]
        if paired:
            steps.insert(2, f'target in {bits} bits' if bits else 'target as stored')
        return ', '.join(steps)

    def clips(self, score: str) -> bool:
        """Whether predictions are clipped for a score.

        Args:
            score (str): Its name.

        Returns:
            bool: ``clip``, whatever the score.
        """
        return self.clip

    def prediction(self, image: np.ndarray, clip: bool | None = None) -> np.ndarray:
        """A restored image as it is scored.

        Args:
            image (np.ndarray): (H, W, 3), RGB in [0, 255] or beyond, or (H, W, 1).
            clip (bool, optional): As of :meth:`clips`. Default: None, the option's.

        Returns:
            np.ndarray: float64, cropped, in ``channel_order``.

        Raises:
            InputError: If the crop leaves nothing.
        """
        image = self._view(image)
        if self.clip if clip is None else clip:
            image = image.clip(0, MAX_VALUE)
        if self.round and self.bit_depth is not None:
            return quantised(image, self.bit_depth)
        return image

    def target(self, image: np.ndarray) -> np.ndarray:
        """A sharp image as predictions are compared with it.

        Args:
            image (np.ndarray): (H, W, 3), RGB in [0, 255], or (H, W, 1).

        Returns:
            np.ndarray: float64, cropped, in ``channel_order``.

        Raises:
            InputError: If the crop leaves nothing.
        """
        image = self._view(image)
        return quantised(image, self.bit_depth) if self.bit_depth else image

    def _view(self, image: np.ndarray) -> np.ndarray:
        image = cropped(image, self.crop_to_multiple or 1)
        if self.channel_order == 'BGR':
            image = image[..., ::-1]
        return image.astype(np.float64)


@dataclass(frozen=True)
class Inik2023(Protocol):
    """The evaluation that the authors of INIKNet released (ICCV 2023).

    8-bit photos are cropped before the network, which gets and gives them in OpenCV's
    order. PSNR and SSIM see clipped predictions, LPIPS sees them as they are.
    """

    crop_to_multiple: int = 32
    bit_depth: int = 8
    channel_order: str = 'BGR'

    def clips(self, score: str) -> bool:
        """False for LPIPS alone."""
        return not score.startswith('LPIPS')

    def describe(self, paired: bool = True) -> str:
        """The steps in words, by the protocol's name."""
        return (
            'inik2023: BGR, cropped to multiples of 32 before the network, target in 8 '
            'bits, predictions clipped but for LPIPS, not rounded'
        )

    def _view(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        if height % self.crop_to_multiple or width % self.crop_to_multiple:
            raise InputError(
                f'inik2023 crops photos to multiples of {self.crop_to_multiple} before '
                f'the network, but this one of {width}x{height} came out of it; use '
                'the test pipeline of configs/iniknet_dpdd_inik2023.py'
            )
        return super()._view(image)


# By name, with the scores that they define.
NAMED = {'inik2023': (Inik2023, ('PSNR', 'SSIM_7x7', 'LPIPS_alex'))}


def cropped(image: np.ndarray, multiple: int) -> np.ndarray:
    """Without what is too much at right and bottom.

    Args:
        image (np.ndarray): (H, W, C).
        multiple (int): Of what the sides are to be.

    Returns:
        np.ndarray: A view.

    Raises:
        InputError: If nothing is left.
    """
    height, width = image.shape[:2]
    if min(height, width) < multiple:
        raise InputError(
            f'nothing is left of {width}x{height} pixels cropped to multiples of '
            f'{multiple}; give a smaller crop_to_multiple'
        )
    return image[: height - height % multiple, : width - width % multiple]


def quantised(image: np.ndarray, bit_depth: int) -> np.ndarray:
    """The nearest of the values that a file can have.

    Args:
        image (np.ndarray): Values in [0, 255].
        bit_depth (int): Of the file.

    Returns:
        np.ndarray: Values in [0, 255].
    """
    steps = (2**bit_depth - 1) / MAX_VALUE
    return np.rint(image * steps) / steps
