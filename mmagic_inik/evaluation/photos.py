"""What is done to photos before a network gets them, where a protocol says so."""

import numpy as np
from mmagic.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from ..errors import InputError
from .protocol import cropped, quantised


@TRANSFORMS.register_module()
class CropAndRound(BaseTransform):
    """Crops photos at right and bottom, and reduces them to so many bits.

    Args:
        multiple (int): Sides become multiples of it.
        bit_depth (int): 8 or 16; an 8-bit photo stays as it is.

    Raises:
        InputError: If an option is wrong.
    """

    def __init__(self, multiple: int = 32, bit_depth: int = 8) -> None:
        if not isinstance(multiple, int) or multiple < 1:
            raise InputError(f'multiple must be a positive integer, got {multiple!r}')
        if bit_depth not in (8, 16):
            raise InputError(f'bit_depth must be 8 or 16, got {bit_depth!r}')
        self.multiple = multiple
        self.bit_depth = bit_depth

    def transform(self, results: dict) -> dict:
        """Change ``img`` and, if any, ``gt``: (H, W, C) in [0, 255].

        Raises:
            InputError: Names the photo of which nothing would be left.
        """
        for key in ('img', 'gt'):
            if key not in results:
                continue
            try:
                image = cropped(results[key], self.multiple)
            except InputError as error:
                path = results.get(f'{key}_path', 'a photo')
                raise InputError(f'{path} cannot be used: {error}') from error
            if image.dtype != np.uint8:
                image = quantised(image, self.bit_depth).astype(image.dtype)
            results[key] = image
            results[f'ori_{key}_shape'] = image.shape
        return results
