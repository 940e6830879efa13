"""How a network is given images: sides, grey, pieces, types."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..ops.processor import resolve_dtype, say_if_slow
from ..options import DEFAULT_OVERLAP, DTYPES
from .padding import extend_sides, extended_indices
from .tiling import check_tile, in_bands, in_tiles


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
        **kwargs: Any,
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
            dtype (str): In which to run convolutions: ``'float32'``, ``'bfloat16'``,
                ``'float16'``, or ``'auto'``: bfloat16 where the processor has
                instructions for it, else float32. Default: ``'float32'``.
            progress (Callable, optional): Called with the numbers of pieces done and of
                all pieces, after each. Default: None.
            **kwargs: Passed to the generator.

        Returns:
            Tensor: Shape, type and device of ``image``, not clipped.

        Raises:
            ValueError: If ``tile``, ``overlap`` or ``dtype`` cannot be.
        """
        self.check_prediction(tile, overlap, dtype)
        dtype = self._resolved(dtype)
        height, width = image.shape[-2:]
        padded = extend_sides(image, self.size_divisor, self.min_size)

        def network(part: Tensor) -> Tensor:
            return self._generate(part, dtype, **kwargs)

        if tile is None:
            restored = network(padded).to(image)
            if progress is not None:
                progress(1, 1)
        else:
            sides = self.size_divisor, progress, self.min_size
            restored = in_tiles(network, padded, tile, overlap, *sides)
        return restored[..., :height, :width]

    def restore_in_bands(
        self,
        read: Callable[[Tensor], Tensor],
        size: Sequence[int],
        tile: int | None = None,
        overlap: int = DEFAULT_OVERLAP,
        dtype: str = 'float32',
        progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[tuple[slice, Tensor]]:
        """As :meth:`restore`, for an image that is never a tensor as a whole.

        Args:
            read (Callable): Numbers of some rows, (n,) int64, not always rising → those
                rows of the image, (B, 3 or 1, n, W) in [0, 1].
            size (Sequence[int]): Height and width of the image.
            tile (int, optional): As in :meth:`restore`; None: all rows at once.
            overlap (int): As in :meth:`restore`.
            dtype (str): As in :meth:`restore`.
            progress (Callable, optional): As in :meth:`restore`.

        Yields:
            tuple[slice, Tensor]: Rows, from the first to the last, and what becomes of
            them, (B, 3 or 1, rows, W), not clipped.

        Raises:
            ValueError: As :meth:`restore`.
        """
        self.check_prediction(tile, overlap, dtype)
        height, width = size
        if tile is None:
            image = read(torch.arange(height))
            yield slice(0, height), self.restore(image, None, overlap, dtype, progress)
            return
        rows, columns = extended_indices(
            height, width, self.size_divisor, self.min_size
        )
        bands = in_bands(
            partial(self._generate, dtype=self._resolved(dtype)),
            lambda part: read(rows[part])[..., columns],
            (len(rows), len(columns)),
            tile,
            overlap,
            self.size_divisor,
            progress,
            self.min_size,
        )
        for part, band in bands:
            stop = min(part.stop, height)
            if part.start < stop:
                yield slice(part.start, stop), band[..., : stop - part.start, :width]

    def resolved_dtype(self, dtype: str) -> str:
        """What ``'auto'`` stands for with this generator, where it is.

        Args:
            dtype (str): As in :meth:`restore`.

        Returns:
            str: Itself, if it is not ``'auto'``.
        """
        device = next(self.generator.parameters(), torch.empty(0)).device
        resolved = resolve_dtype(dtype, device)
        # An engine may have no other type.
        known = resolved in getattr(self.generator, 'dtypes', DTYPES)
        return resolved if known or dtype != 'auto' else 'float32'

    def _resolved(self, dtype: str) -> str:
        """The same; says so where a type is slow."""
        device = next(self.generator.parameters(), torch.empty(0)).device
        dtype = self.resolved_dtype(dtype)
        say_if_slow(dtype, device)
        return dtype

    def _generate(self, image: Tensor, dtype: str, **kwargs: Any) -> Tensor:
        device = next(self.generator.parameters(), image).device
        rgb = as_rgb(image.to(device))
        with autocast_to(dtype, device):
            restored = self.generator(rgb, **kwargs)
        restored = restored.to(image.dtype)
        return restored.mean(1, keepdim=True) if image.shape[1] == 1 else restored

    def check_prediction(self, tile: int | None, overlap: int, dtype: str) -> None:
        """Refuse options of :meth:`restore` that cannot be, with a ValueError."""
        dtypes = getattr(self.generator, 'dtypes', DTYPES)
        if dtype not in dtypes:
            raise ValueError(f'dtype must be in {dtypes}, got {dtype!r}')
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


def autocast_to(dtype: str, device: torch.device) -> AbstractContextManager:
    """A context in which convolutions run in a type.

    Args:
        dtype (str): ``'float32'``, which leaves an autocast around it alone,
            ``'bfloat16'`` or ``'float16'``.
        device (torch.device): Of the network.

    Returns:
        AbstractContextManager: Autocast, or nothing.
    """
    # In float32 not autocast's own switch, which would end one around this call.
    if dtype == 'float32':
        return nullcontext()
    return torch.autocast(device.type, getattr(torch, dtype))


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
