import weakref
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmagic_inik.models.tiling import in_bands, in_tiles, tile_count, tile_starts

# (B, C, H, W), tile, overlap
LAYOUTS = {
    'butted': ((1, 3, 64, 96), 32, 0),
    'overlapping': ((1, 3, 64, 96), 32, 16),
    'odd numbers of pieces': ((1, 1, 80, 240), 48, 16),
    'three over one pixel': ((1, 2, 48, 112), 48, 32),
    'batch': ((3, 3, 48, 80), 32, 16),
    'lower than a tile': ((1, 3, 16, 128), 64, 32),
    'smaller than a tile': ((2, 3, 32, 16), 64, 32),
    'as large as a tile': ((1, 3, 32, 32), 32, 16),
}


@pytest.fixture(params=LAYOUTS.values(), ids=LAYOUTS)
def layout(request):
    return request.param


def identity(piece):
    return piece


def test_the_identity_gives_the_image_to_the_bit(layout):
    shape, tile, overlap = layout
    image = torch.randn(shape)
    before = image.clone()
    restored = in_tiles(identity, image, tile, overlap)
    assert torch.equal(restored, before)
    assert torch.equal(image, before)
    assert restored.data_ptr() != image.data_ptr()


@pytest.mark.parametrize('multiple', [1, 2, 16])
def test_pieces_cover_a_side_on_the_grid(multiple):
    for tile, overlap in ((1, 0), (4, 0), (4, 1), (5, 3), (7, 6)):
        for side in range(1, 40):
            sizes = (n * multiple for n in (side, tile, overlap, 1))
            starts = tile_starts(*sizes)
            assert all(start % multiple == 0 for start in starts)
            cells = [start // multiple for start in starts]
            count = len(cells)
            # As short as so many pieces can be.
            length = min(tile, -(-(side + (count - 1) * overlap) // count))
            pieces = [range(start, start + length) for start in cells]
            assert pieces[0][0] == 0
            assert pieces[-1][-1] == side - 1
            shared = [len({*a} & {*b}) for a, b in pairwise(pieces)]
            # The last condition: with one piece less they would not cover it.
            assert all(overlap <= pixels < length for pixels in shared)
            assert side <= tile or (tile + (count - 2) * (tile - overlap) < side)


def convolution(radius):
    """A network that looks just so far; integers, for sums without rounding."""
    gap = radius // 2
    network = nn.Conv2d(2, 2, 5, padding=radius, dilation=gap, bias=False).double()
    network.weight.data = torch.randint(1, 10, (2, 2, 5, 5)).double()
    return network


@pytest.mark.parametrize(('overlap', 'radius'), [(16, 6), (32, 12), (64, 24), (80, 32)])
def test_equals_the_whole_image_where_the_overlap_covers_the_network(overlap, radius):
    sides = [96 + n * (96 - overlap) for n in (1, 2)]
    image = torch.randint(1, 256, (2, 2, *sides)).double()
    for network, equal in (
        (convolution(2), True),
        (convolution(radius), True),
        (convolution(radius + 2), False),
    ):
        restored = in_tiles(network, image, 96, overlap)
        assert torch.equal(restored, network(image)) is equal


def test_differs_beside_the_cuts_alone_where_it_does_not():
    image = torch.randint(1, 256, (1, 2, 32, 96)).double()
    network = convolution(2)
    differs = in_tiles(network, image, 32, 0) != network(image)
    columns = differs.flatten(0, 2).any(0).nonzero().flatten().tolist()
    assert columns == [30, 31, 32, 33, 62, 63, 64, 65]


class Numbered:
    """Returns pieces filled with the given values, in the order of calls."""

    def __init__(self, values):
        self.values = iter(values)

    def __call__(self, piece):
        return torch.full_like(piece, next(self.values))


def test_pieces_change_over_in_the_middle_of_what_they_share():
    row = in_tiles(Numbered([0, 8]), torch.zeros(1, 1, 16, 48), 32, 16)[0, 0, 7]
    assert row.tolist() == [0] * 22 + [1, 3, 5, 7] + [8] * 22
    # Never in more than 16 pixels.
    row = in_tiles(Numbered([0, 32]), torch.zeros(1, 1, 16, 160), 128, 96)[0, 0, 7]
    assert row.tolist() == [0] * 72 + list(range(1, 32, 2)) + [32] * 72


def test_corners_are_blended_in_both_directions():
    values = torch.tensor([[1.0, -2], [4, 16]])
    image = torch.zeros(1, 1, 48, 48)
    blended = in_tiles(Numbered(values.flatten().tolist()), image, 32, 16)[0, 0]
    second = torch.tensor([0.0] * 22 + [1 / 8, 3 / 8, 5 / 8, 7 / 8] + [1] * 22)
    weights = torch.stack([1 - second, second])
    assert torch.equal(blended, weights.T @ values @ weights)


def test_the_network_sees_pieces_of_one_size_and_progress_is_told():
    ys, xs = torch.meshgrid(torch.arange(80.0), torch.arange(176.0), indexing='ij')
    seen, told = [], []

    def network(piece):
        assert piece.is_contiguous()
        seen.append((*piece[0, :, 0, 0].tolist(), *piece.shape[-2:]))
        assert len(told) == len(seen) - 1
        return piece

    image = torch.stack([ys, xs])[None]
    in_tiles(network, image, 64, 16, progress=lambda *counts: told.append(counts))
    starts = [(y, x) for y in (0, 32) for x in (0, 32, 64, 112)]
    assert seen == [(*start, 48, 64) for start in starts]
    assert told == [(n, 8) for n in range(1, 9)]
    assert tile_count(80, 176, 64, 16) == 8


def test_holds_one_result_at_a_time():
    results = []

    def network(piece):
        # The one before may be held until this one comes.
        assert sum(result() is not None for result in results) <= 1
        result = piece + 1
        results.append(weakref.ref(result))
        return result

    in_tiles(network, torch.zeros(1, 3, 64, 256), 32, 16)
    assert len(results) == 45


@pytest.mark.parametrize('dtype', [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize('of_image', [True, False])
def test_the_result_has_the_type_of_the_image(dtype, of_image):
    image = torch.randint(0, 256, (1, 3, 48, 80)).to(dtype if of_image else None)
    image = image if of_image else image.float()
    restored = in_tiles(
        lambda piece: piece.float() if of_image else piece.to(dtype), image, 32, 16
    )
    assert restored.dtype == image.dtype
    assert torch.equal(restored, image)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs an NVIDIA GPU')
def test_the_image_stays_where_it_is_while_pieces_are_elsewhere():
    image = torch.rand(1, 3, 48, 80)
    restored = in_tiles(lambda piece: 1 - piece.cuda(), image, 32, 16)
    assert restored.device == image.device
    assert torch.equal(restored, 1 - image)


def test_takes_images_that_share_memory_and_keeps_no_graph():
    grey = torch.rand(1, 1, 48, 80, requires_grad=True)
    image = grey.expand(2, 3, -1, -1)
    restored = in_tiles(identity, image, 32, 16)
    assert torch.equal(restored, image)
    assert not restored.requires_grad


def test_damage_stays_where_it_is():
    image = torch.zeros(1, 1, 48, 144)
    image[..., 40, 100] = torch.nan
    blurred = in_tiles(lambda y: F.avg_pool2d(y, 3, 1, 1), image, 48, 16)
    assert blurred.isnan().sum() == 9


@pytest.mark.parametrize(
    ('tile', 'overlap'),
    [(32, 32), (32, 48), (0, 0), (-32, 0), (40, 16), (32, 8), (32, -16)],
)
def test_bad_pieces(tile, overlap):
    message = f'with 0 <= overlap < tile, got tile={tile} and overlap={overlap}'
    with pytest.raises(ValueError, match=message):
        in_tiles(identity, torch.zeros(1, 1, 64, 64), tile, overlap)


@pytest.mark.parametrize('sides', [(32, 40), (40, 32)])
def test_bad_sides(sides):
    with pytest.raises(ValueError, match='multiples of 16, got {}x{}'.format(*sides)):
        in_tiles(identity, torch.zeros(1, 1, *sides), 32, 16)


@pytest.mark.parametrize('tile', [64, 80, 96])
def test_pieces_are_no_smaller_than_the_network_takes(tile):
    # As short as can be, they would be 48 pixels long.
    seen = []
    image = torch.rand(1, 1, 80, 176)
    network = lambda piece: seen.append(piece.shape[-2:]) or piece  # noqa: E731
    assert torch.equal(in_tiles(network, image, tile, 16, least=64), image)
    assert min(min(shape) for shape in seen) >= 64
    assert max(max(shape) for shape in seen) <= tile


def test_a_tile_below_the_least_is_refused():
    with pytest.raises(ValueError, match='tile must not be below 64 pixels, got 48'):
        in_tiles(identity, torch.zeros(1, 1, 96, 96), 48, 16, least=64)


def test_bands_come_in_order_and_read_what_they_need():
    image, asked = torch.randn(1, 2, 160, 96).double(), []
    network = convolution(6)

    def read(rows):
        asked.append((rows.start, rows.stop))
        return image[..., rows, :]

    bands = list(in_bands(network, read, (160, 96), 64, 32))
    assert asked == [(0, 64), (32, 96), (64, 128), (96, 160)]
    begins = [rows.start for rows, _ in bands]
    assert begins == [0, *(rows.stop for rows, _ in bands[:-1])]
    assert bands[-1][0].stop == 160
    whole = torch.cat([band for _, band in bands], 2)
    assert torch.equal(whole, in_tiles(network, image, 64, 32))
