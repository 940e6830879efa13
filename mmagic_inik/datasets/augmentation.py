"""Changes that IFAN's training makes to photo, target and views alike."""

from collections.abc import Sequence

import cv2
import numpy as np
from mmagic.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

# Of linear red, green and blue; the release has 0.07228 for the standard's 0.0722.
_GREY = np.array([0.2126, 0.7152, 0.07228], np.float32)


class _Sometimes(BaseTransform):
    """A change of several images by the same random numbers.

    Args:
        keys (Sequence[str]): Images, (H, W, 3) in [0, 255]; those absent are left out.
        ratio (float): How often it happens, 0 to 1.

    Raises:
        ValueError: If ``ratio`` is beyond that.
    """

    def __init__(self, keys: Sequence[str], ratio: float) -> None:
        if not 0 <= ratio <= 1:
            raise ValueError(f'ratio must be in [0, 1], got {ratio}')
        self.keys = tuple(keys)
        self.ratio = ratio

    def transform(self, results: dict) -> dict:
        """Change the images, or leave them."""
        if np.random.random() < self.ratio:
            present = [key for key in self.keys if key in results]
            images = self.changed([results[key] for key in present])
            results.update(zip(present, images, strict=True))
        return results

    def changed(self, images: list[np.ndarray]) -> list[np.ndarray]:
        """The images as they become; those given stay as they are."""
        raise NotImplementedError


@TRANSFORMS.register_module()
class SharedNoise(_Sometimes):
    """Add one field of Gaussian noise to several images, clipped to [0, 255].

    Args:
        keys (Sequence[str]): As above.
        ratio (float): As above.
        sigma (tuple[float, float]): Least and greatest standard deviation, of images
            in [0, 1].
    """

    def __init__(
        self, keys: Sequence[str], ratio: float, sigma: tuple[float, float]
    ) -> None:
        super().__init__(keys, ratio)
        self.sigma = sigma

    def changed(self, images: list[np.ndarray]) -> list[np.ndarray]:
        """See above; float32."""
        sigma = 255 * np.random.uniform(*self.sigma)
        field = np.random.normal(0, sigma, images[0].shape).astype(np.float32)
        return [(image + field).clip(0, 255) for image in images]


@TRANSFORMS.register_module()
class SharedGrey(_Sometimes):
    """Make images grey, weights as of linear light and the curve of sRGB behind them.

    Args:
        keys (Sequence[str]): As above; RGB.
        ratio (float): As above.
    """

    def changed(self, images: list[np.ndarray]) -> list[np.ndarray]:
        """See above; float32."""
        return [self._grey(image) for image in images]

    @staticmethod
    def _grey(image: np.ndarray) -> np.ndarray:
        light = image.astype(np.float32) / 255 @ _GREY
        curve = np.where(
            light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055
        )
        grey = np.clip(255 * curve, 0, 255).astype(np.float32)
        return np.repeat(grey[..., None], 3, axis=-1)


@TRANSFORMS.register_module()
class SharedShrink(_Sometimes):
    """Reduce images by one factor, each pixel the mean of the area it covers.

    Args:
        keys (Sequence[str]): As above.
        ratio (float): As above.
        least (float): Smallest factor; the largest is 1.
    """

    def __init__(self, keys: Sequence[str], ratio: float, least: float) -> None:
        super().__init__(keys, ratio)
        if not 0 < least <= 1:
            raise ValueError(f'least must be in (0, 1], got {least}')
        self.least = least

    def changed(self, images: list[np.ndarray]) -> list[np.ndarray]:
        """See above."""
        factor = np.random.uniform(self.least, 1)
        height, width = (max(1, round(factor * s)) for s in images[0].shape[:2])
        return [
            cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
            for image in images
        ]


@TRANSFORMS.register_module()
class StackViews(BaseTransform):
    """Put left and right view, (H, W, 3) each, in place of the photo: (H, W, 6)."""

    def transform(self, results: dict) -> dict:
        """Replace ``img``."""
        views = [results.pop('left'), results.pop('right')]
        results['img'] = np.concatenate(views, axis=-1)
        results['ori_img_shape'] = results['img'].shape
        return results
