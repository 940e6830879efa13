"""How a network is given images: sides, grey, pieces, types."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor, nn

from ..options import DEFAULT_OVERLAP, DTYPES
from .padding import extend_sides
from .tiling import check_tile, in_tiles


class Predicting:
    """What :class:`Restorer` and ``MultiScaleRestorer`` have in common: ``restore``.

    Sides are extended at bottom and right to a multiple of ``size_divisor`` and to at
    least ``min_size``, by reflection, or by replication where the image is smaller than
    the extension; the output is cropped back. Images of one channel are restored as
    grey RGB and returned with one channel.

    Attributes:
        generator (nn.Module): (B, 3, H, W) in [0, 1] → the same.
        size_divisor (int): Sides given to the generator are multiples of it.
        min_size (int): Least side given to the generator.
    """

    generator: nn.Module
    size_divisor: int
    min_size: int

    def restore(
        self,
        image: Tensor,
        tile: int | None = None,
        overlap: int = DEFAULT_OVERLAP,
        dtype: str = 'float32',
        progress: Callable[[int, int], None] | None = None,
        **kwargs,
    ) -> Tensor:
        """Restore a batch at the finest scale, whatever ``test_cfg`` says.

        The image may lie on the CPU while the generator is on a GPU: what is given to
        the generator goes there and comes back, so that with ``tile`` no more than
        one piece needs room on it.

        Args:
            image (Tensor): (B, 3 or 1, H, W) in [0, 1], any size.
            tile (int, optional): Side of the pieces in pixels; no gradients with it.
                Default: None, the whole image at once.
            overlap (int): Pixels that neighbouring pieces share. Default: 64.
            dtype (str): In which to run convolutions: ``'float32'``, ``'bfloat16'`` or
                ``'float16'``. Default: ``'float32'``.
            progress (Callable, optional): Called with the numbers of pieces done and of
                all pieces, after each. Default: None.
            **kwargs: Passed to the generator.

        Returns:
            Tensor: Shape, type and device of ``image``, not clipped.

        Raises:
            ValueError: If ``tile``, ``overlap`` or ``dtype`` cannot be.
        """
        self.check_prediction(tile, overlap, dtype)
        height, width = image.shape[-2:]
        padded = extend_sides(image, self.size_divisor, self.min_size)
        network = partial(self._generate, dtype=dtype, **kwargs)
        if tile is None:
            restored = network(padded).to(image)
            if progress is not None:
                progress(1, 1)
        else:
            divisor = self.size_divisor
            restored = in_tiles(network, padded, tile, overlap, divisor, progress)
        return restored[..., :height, :width]

    def _generate(self, image: Tensor, dtype: str, **kwargs) -> Tensor:
        device = next(self.generator.parameters(), image).device
        rgb = as_rgb(image.to(device))
        # Not autocast's own switch, which would end one that surrounds this call.
        native = dtype == 'float32'
        cast = partial(torch.autocast, device.type, getattr(torch, dtype))
        with nullcontext() if native else cast():
            restored = self.generator(rgb, **kwargs)
        restored = restored.to(image.dtype)
        return restored.mean(1, keepdim=True) if image.shape[1] == 1 else restored

    def check_prediction(self, tile: int | None, overlap: int, dtype: str) -> None:
        """Refuse options of :meth:`restore` that cannot be, with a ValueError."""
        if dtype not in DTYPES:
            raise ValueError(f'dtype must be in {DTYPES}, got {dtype!r}')
        if tile is None:
            return
        check_tile(tile, overlap, self.size_divisor)
        if tile < self.min_size:
            raise ValueError(
                f'tile must not be below min_size {self.min_size}, got {tile}'
            )


class Restorer(Predicting, nn.Module):
    """A network that restores images and is not trained; needs nothing of MMagic.

    Its weights have the names that they have in a ``MultiScaleRestorer``.

    Args:
        generator (nn.Module): (B, 3, H, W) in [0, 1] → the same.
        size_divisor (int): As in ``MultiScaleRestorer``. Default: 16.
        min_size (int): As there. Default: 32.

    Raises:
        ValueError: If ``size_divisor`` or ``min_size`` is not positive.
    """

    def __init__(
        self, generator: nn.Module, size_divisor: int = 16, min_size: int = 32
    ) -> None:
        super().__init__()
        check_sides(size_divisor, min_size)
        self.generator = generator
        self.size_divisor = size_divisor
        self.min_size = min_size

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3 or 1, H, W) → the same; the whole image at once."""
        return self.restore(image)


def check_sides(size_divisor: int, min_size: int) -> None:
    """Refuse what no side can be.

    Args:
        size_divisor (int): As in :class:`Restorer`.
        min_size (int): As there.

    Raises:
        ValueError: If one is not positive.
    """
    if min(size_divisor, min_size) < 1:
        raise ValueError(
            'size_divisor and min_size must be positive, got '
            f'{size_divisor} and {min_size}'
        )


def as_rgb(image: Tensor) -> Tensor:
    """Grey as RGB.

    Args:
        image (Tensor): (B, 3 or 1, H, W).

    Returns:
        Tensor: (B, 3, H, W).
    """
    return image.expand(-1, 3, -1, -1) if image.shape[1] == 1 else image
