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

    def prediction(self, image: np.ndarray) -> np.ndarray:
        """A restored image as it is scored.

        Args:
            image (np.ndarray): (H, W, 3), RGB in [0, 255] or beyond, or (H, W, 1).

        Returns:
            np.ndarray: float64, cropped, in ``channel_order``.

        Raises:
            InputError: If the crop leaves nothing.
        """
        image = self._view(image)
        if self.clip:
            image = image.clip(0, MAX_VALUE)
        return _quantise(image, self.bit_depth) if self.round else image

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
        return _quantise(image, self.bit_depth) if self.bit_depth else image

    def _view(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        multiple = self.crop_to_multiple or 1
        if min(height, width) < multiple:
            raise InputError(
                f'nothing is left of {width}x{height} pixels cropped to multiples of '
                f'{multiple}; give a smaller crop_to_multiple'
            )
        image = image[: height - height % multiple, : width - width % multiple]
        if self.channel_order == 'BGR':
            image = image[..., ::-1]
        return image.astype(np.float64)


def _quantise(image: np.ndarray, bit_depth: int) -> np.ndarray:
    steps = (2**bit_depth - 1) / MAX_VALUE
    return np.rint(image * steps) / steps
