"""Restoring photographs that are arrays."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError
from ..models import Restorer
from ..options import DEFAULT_OVERLAP
from ..registry import mmagic_registry
from .shipped import load_shipped, weights_of
from .tile_size import LEAST_TILE, choose_tile

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.model import BaseModel

# Type of an image → its white.
WHITES = {'uint8': 255, 'uint16': 65535, 'float32': 1}
# Arrays like the photo that are yet to come: the result, turned, and in its file.
_KEPT = 3


def load_restorer(
    config: 'str | Config | None' = None,
    checkpoint: str | None = None,
    device: str = 'cpu',
    network: str | None = None,
) -> Restorer:
    """Build a network and load its weights, without its data and losses' weights.

    Args:
        config (str | Config, optional): Path, or one of MMagic's configs behind
            ``mmagic::``, or one that was read already.
        checkpoint (str, optional): Path. Without both, the network that comes with the
            package, see :func:`describe_shipped`.
        device (str): As torch names it. Default: ``'cpu'``.
        network (str, optional): In place of both, one that comes with the package, by
            its name in ``options.NETWORKS``. Default: None, the first.

    Returns:
        Restorer: In eval mode on the device. A network of MMagic is given the colours
        and numbers that it was trained on, and sides that it can take.

    Raises:
        InputError: If config or checkpoint is missing, or they do not fit; or a config
            is given, and MMagic is not installed.
    """
    if config is None and checkpoint is None:
        return load_shipped(weights_of(network)).to(device)
    if network is not None:
        raise InputError(
            f'network {network} is one that comes with the package; leave out config '
            'and checkpoint, or the network'
        )
    name = getattr(config, 'filename', config)
    if config is None or checkpoint is None:
        given, missing = (
            ('checkpoint', 'config') if checkpoint else ('config', 'checkpoint')
        )
        raise InputError(
            f'a {given} is given, {checkpoint or name}, and no {missing}; give both, '
            'or neither for the weights that come with the package'
        )
    mmagic_registry(f'config {name}')
    from ..benchmark.contenders import SIDES_IN_MULTIPLES, build_contender
    from ..models.restorer import MultiScaleRestorer

    model = build_contender(str(name), config, checkpoint, clip=True).module
    if isinstance(model, MultiScaleRestorer):
        restorer = Restorer(model.generator, model.size_divisor, model.min_size)
    else:
        divisor = SIDES_IN_MULTIPLES.get(type(model.generator).__name__, 1)
        restorer = Restorer(_OfMMagic(model), divisor, min_size=1)
    return restorer.eval().to(device)


def restore(
    image: np.ndarray,
    restorer: Restorer,
    tile: int | str | None = 'auto',
    overlap: int = DEFAULT_OVERLAP,
    dtype: str = 'auto',
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Take the defocus blur out of an image.

    The image and the result stay in the main memory, in their own type; the network
    gets what fits.

    Args:
        image (np.ndarray): (H, W, 3) RGB or (H, W) grey; uint8, uint16, or float32 in
            [0, 1].
        restorer (Restorer): From :func:`load_restorer`.
        tile (int | str, optional): Side of the pieces that the network is given, in
            pixels; ``'auto'``: as large as the memory allows; None: the whole image.
            Default: ``'auto'``.
        overlap (int): Pixels that neighbouring pieces share. Default: 64.
        dtype (str): In which to run convolutions: ``'float32'``, ``'bfloat16'``,
            ``'float16'``, or ``'auto'``: bfloat16 where the processor has instructions
            for it, else float32. Default: ``'auto'``.
        progress (Callable, optional): Called with the numbers of pieces done and of all
            pieces, after each; from 1 again if the memory was less than it seemed.

    Returns:
        np.ndarray: Shape and type of ``image``; integers are rounded.

    Raises:
        ValueError: If the image is none of these, or ``tile``, ``overlap`` or ``dtype``
            cannot be.
        InputError: If the memory does not suffice, or float16 overflows.

    Example:
        >>> from mmagic_inik.models import Restorer
        >>> network = Restorer(nn.Identity())
        >>> restore(np.full((2, 3), 7, np.uint8), network)
        array([[7, 7, 7],
               [7, 7, 7]], dtype=uint8)
    """
    _check_image(image)
    dtype = restorer.resolved_dtype(dtype)
    return _restore(image, restorer, tile, overlap, dtype, progress)


class _OfMMagic(nn.Module):
    """One of MMagic's models as a network for RGB images in [0, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: 'BaseModel') -> None:
        super().__init__()
        self.model = model
        preprocessor = model.data_preprocessor
        self.bgr = preprocessor.output_channel_order.upper() == 'BGR'
        self.register_buffer('mean', preprocessor.mean / 255, persistent=False)
        self.register_buffer('std', preprocessor.std / 255, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        if self.bgr:
            image = image.flip(1)
        image = (image - self.mean) / self.std
        restored = self.model.forward_tensor(image) * self.std + self.mean
        if restored.shape != image.shape:
            raise InputError(
                f'the network makes {tuple(restored.shape[-2:])} pixels of '
                f'{tuple(image.shape[-2:])}; give one that keeps the size'
            )
        return restored.flip(1) if self.bgr else restored


def _restore(
    image: np.ndarray,
    restorer: Restorer,
    tile: int | str | None,
    overlap: int,
    dtype: str,
    progress: Callable[[int, int], None] | None,
) -> np.ndarray:
    """Restore with the tile asked for, or the largest that there is room for."""
    chosen = tile
    if tile == 'auto':
        kept = _KEPT * image.nbytes
        height, width = image.shape[:2]
        chosen = choose_tile(restorer, height, width, overlap, dtype, kept)
    if isinstance(chosen, str):
        raise ValueError(
            f"tile must be a number of pixels, 'auto' or None, got {tile!r}"
        )
    while True:
        try:
            return _restore_in_bands(image, restorer, chosen, overlap, dtype, progress)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            unit = math.lcm(16, restorer.size_divisor)
            smaller = (chosen or max(image.shape[:2])) // 2 // unit * unit
            if tile != 'auto' or smaller < max(LEAST_TILE, overlap + unit):
                whole = f'{image.shape[:2]} pixels at once'
                piece = f'a tile of {chosen} pixels' if chosen else whole
                raise InputError(
                    f'the memory does not suffice for {piece}; give a smaller tile, or '
                    'a smaller overlap with it'
                ) from error
        # Not in the handler, where the exception holds on to the memory.
        chosen = smaller
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@torch.no_grad()
def _restore_in_bands(
    image: np.ndarray,
    restorer: Restorer,
    tile: int | None,
    overlap: int,
    dtype: str,
    progress: Callable[[int, int], None] | None,
) -> np.ndarray:
    """Restore so that only a row of pieces is held in float32 at a time."""
    planes = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    white = WHITES[image.dtype.name]

    def read(rows: Tensor) -> Tensor:
        # In the order that convolutions like.
        some = np.array(planes[:, rows.numpy()], np.float32, order='C')
        return torch.from_numpy(some)[None].div_(white)

    result = np.empty(image.shape, image.dtype)
    target = result[None] if image.ndim == 2 else result.transpose(2, 0, 1)
    size = image.shape[:2]
    bands = restorer.restore_in_bands(read, size, tile, overlap, dtype, progress)
    for rows, band in bands:
        # A sum is not finite if a number is not.
        if not math.isfinite(band.sum().item()):
            cures = dict(
                float16='restore with dtype bfloat16 or float32',
                bfloat16='restore with dtype float32',
            )
            cure = cures.get(dtype, 'give another checkpoint')
            raise InputError(f'the network overflows in {dtype}; {cure}')
        target[:, rows] = _quantized(band, image.dtype)
    return result


def _is_out_of_memory(error: Exception) -> bool:
    """Of a GPU, or of PyTorch's allocator for the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or (
        "can't allocate memory" in str(error)
    )


def _quantized(restored: Tensor, dtype: np.dtype) -> np.ndarray:
    """Clipped, in the image's own numbers, (C, H, W); in place."""
    restored = restored[0].clamp_(0, 1)
    if dtype == np.float32:
        return restored.numpy()
    return restored.mul_(WHITES[dtype.name]).round_().numpy().astype(dtype)


def _check_image(image: np.ndarray) -> None:
    if image.dtype.name not in WHITES:
        raise ValueError(f'image must be {", ".join(WHITES)}, got {image.dtype}')
    if image.ndim != 2 and (image.ndim != 3 or image.shape[2] != 3):
        raise ValueError(f'image must be (H, W, 3) or (H, W), got {image.shape}')
    if not image.size:
        raise ValueError(f'image has no pixels: {image.shape}')
    if image.dtype == np.float32 and not (image.min() >= 0 and image.max() <= 1):
        raise ValueError(
            f'a float32 image must be in [0, 1], got {image.min()} to {image.max()}'
        )
