"""A network applied to an image in overlapping pieces, for images too large for it."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

# Pixels in which one piece takes over from the next, at most, and at most this share of
# their overlap. A ramp over all of it would give weight to what lies next to a piece's
# cut side, where the network saw least: with the demo's network and 32 shared pixels
# the largest error would be 1.1 / 255 instead of 0.004 / 255. With no ramp at all, what
# error there is would show as an edge.
_RAMP = 16
_RAMP_SHARE = 4


class _Span(NamedTuple):
    """A piece along one axis, in pixels of the image."""

    # Given to the network from here on; used of its result are begin … end - 1, of
    # which the first ``ramp`` are blended with the piece before.
    start: int
    side: int
    begin: int
    end: int
    ramp: int

    @property
    def seen(self) -> slice:
        return slice(self.start, self.start + self.side)

    @property
    def used(self) -> slice:
        return slice(self.begin - self.start, self.end - self.start)


@torch.no_grad()
def in_tiles(
    network: Callable[[Tensor], Tensor],
    image: Tensor,
    tile: int,
    overlap: int,
    multiple: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Apply a network to an image piece by piece, without gradients.

    Neighbouring pieces change over in the middle of what they share, in a linear ramp
    of ``min(16, overlap // 4)`` pixels. If the network looks no further than half of
    ``overlap`` less the ramp, the result is that of the whole image, to rounding.

    Beside image and result, one piece and one strip of ramp are held at a time. Result
    and ramps lie on the image's device; the network may move the pieces to another.

    Args:
        network (Callable): (B, C, h, w) → the same, of any floating type and device.
        image (Tensor): (B, C, H, W), floating; sides are multiples of ``multiple``.
        tile (int): Side of the pieces in pixels at most, a multiple of ``multiple``.
            All are of one size, no larger than their number demands.
        overlap (int): Pixels that neighbours share at least, a multiple of
            ``multiple``, below ``tile``.
        multiple (int): Pieces begin on a grid of so many pixels: the network's coarsest
            scale, so that it sees a piece as it sees the whole. Default: 16.
        progress (Callable, optional): Called with the numbers of pieces done and of all
            pieces, after each. Default: None.

    Returns:
        Tensor: Shape, type and device of ``image``.

    Raises:
        ValueError: If ``tile``, ``overlap`` or the sides are not as they must be.

    Example:
        >>> import torch
        >>> image = torch.rand(1, 3, 48, 80)
        >>> torch.equal(in_tiles(lambda piece: 1 - piece, image, 32, 16), 1 - image)
        True
    """
    check_tile(tile, overlap, multiple)
    height, width = image.shape[-2:]
    if height % multiple or width % multiple:
        raise ValueError(
            f'the sides of the image must be multiples of {multiple}, got '
            f'{height}x{width}'
        )
    rows, columns = (_spans(s, tile, overlap, multiple) for s in (height, width))
    out = torch.empty_like(image, memory_format=torch.contiguous_format)
    done, total = 0, len(rows) * len(columns)
    for row in rows:
        strip = out[..., row.begin : row.begin + row.ramp, :]
        above = strip.clone()
        for column in columns:
            piece = image[..., row.seen, column.seen]
            restored = network(piece.contiguous())[..., row.used, column.used].to(out)
            target = out[..., row.begin : row.end, column.begin : column.end]
            ramp = column.ramp
            # Unlike a weighted sum, this keeps to the bit what both pieces agree on.
            target[..., :ramp].lerp_(restored[..., :ramp], _weights(ramp, out))
            target[..., ramp:] = restored[..., ramp:]
            done += 1
            if progress is not None:
                progress(done, total)
        strip.copy_(above.lerp_(strip, _weights(row.ramp, out)[:, None]))
    return out


def check_tile(tile: int, overlap: int, multiple: int = 16) -> None:
    """Refuse pieces that cannot be cut, whatever the image.

    Args:
        tile (int): As in :func:`in_tiles`.
        overlap (int): As in :func:`in_tiles`.
        multiple (int): As in :func:`in_tiles`.

    Raises:
        ValueError: If they are no multiples, or not 0 <= overlap < tile.
    """
    if not 0 <= overlap < tile or tile % multiple or overlap % multiple:
        raise ValueError(
            f'tile and overlap must be multiples of {multiple} with '
            f'0 <= overlap < tile, got tile={tile} and overlap={overlap}'
        )


def tile_count(
    height: int, width: int, tile: int, overlap: int, multiple: int = 16
) -> int:
    """Into how many pieces :func:`in_tiles` cuts an image.

    Args:
        height (int): Of the image in pixels, a multiple of ``multiple``.
        width (int): Likewise.
        tile (int): As in :func:`in_tiles`.
        overlap (int): As in :func:`in_tiles`.
        multiple (int): As in :func:`in_tiles`.

    Returns:
        int: Number of pieces.
    """
    rows, columns = (
        tile_starts(side, tile, overlap, multiple) for side in (height, width)
    )
    return len(rows) * len(columns)


def tile_starts(side: int, tile: int, overlap: int, multiple: int = 16) -> list[int]:
    """Where the pieces begin along one axis.

    They are as few as can be, then as short as can be, and spread evenly.

    Args:
        side (int): Of the image in pixels, a multiple of ``multiple``.
        tile (int): As in :func:`in_tiles`.
        overlap (int): As in :func:`in_tiles`.
        multiple (int): As in :func:`in_tiles`.

    Returns:
        list[int]: Multiples of ``multiple``, rising from 0.

    Example:
        >>> tile_starts(1024, tile=512, overlap=64)  # pieces of 384
        [0, 320, 640]
        >>> tile_starts(240, tile=512, overlap=64)
        [0]
    """
    piece = tile_side(side, tile, overlap, multiple)
    if side == piece:
        return [0]
    steps = -(-(side - piece) // (piece - overlap))
    last = (side - piece) // multiple
    return [step * last // steps * multiple for step in range(steps + 1)]


def tile_side(side: int, tile: int, overlap: int, multiple: int = 16) -> int:
    """The least side, up to ``tile``, that needs no more pieces than ``tile`` does.

    Args:
        side (int): Of the image in pixels, a multiple of ``multiple``.
        tile (int): As in :func:`in_tiles`.
        overlap (int): As in :func:`in_tiles`.
        multiple (int): As in :func:`in_tiles`.

    Returns:
        int: Side of the pieces along this axis.

    Example:
        >>> tile_side(1024, tile=512, overlap=64)
        384
    """
    if side <= tile:
        return side
    count = -(-(side - overlap) // (tile - overlap))
    return -(-(side + (count - 1) * overlap) // (count * multiple)) * multiple


def _spans(side: int, tile: int, overlap: int, multiple: int) -> list[_Span]:
    starts = tile_starts(side, tile, overlap, multiple)
    steps = [after - before for before, after in pairwise(starts)]
    # No longer than a step, or three pieces would meet in one ramp.
    ramp = min([_RAMP, overlap // _RAMP_SHARE, *steps])
    # Around the middle between one piece's start and the end of that before.
    piece = tile_side(side, tile, overlap, multiple)
    begins = [(a + b + piece - ramp) // 2 for a, b in pairwise(starts)]
    ends = [begin + ramp for begin in begins]
    ramps = [0, *(ramp for _ in begins)]
    spans = zip(starts, [0, *begins], [*ends, side], ramps, strict=True)
    return [_Span(start, piece, *rest) for start, *rest in spans]


def _weights(ramp: int, like: Tensor) -> Tensor:
    """Of the new piece, rising symmetrically: 1 / 2r, 3 / 2r, … (2r - 1) / 2r."""
    return (torch.arange(ramp, device=like.device) * 2 + 1).to(like) / max(2 * ramp, 1)
