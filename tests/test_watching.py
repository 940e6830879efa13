"""Following a network through a photograph, and ending it."""

import numpy as np
import pytest
import torch
from torch import nn

from mmagic_inik.models import Restorer
from mmagic_inik.restoration import load_restorer, restore, watch


class Three(nn.Module):
    """Three layers, called one after the other."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(3)))

    def forward(self, image):
        return self.layers(image)


class EndedError(Exception):
    pass


@pytest.fixture
def network():
    return Restorer(Three(), 16).eval()


def image(height, width):
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(('size', 'tile'), [((37, 31), None), ((96, 160), 64)])
def test_shares_rise_from_layer_to_layer_and_end_at_one(network, size, tile):
    shares = []
    pieces = []
    with watch(network, size[0] * size[1], shares.append) as progress:

        def end_piece(done, total):
            progress(done, total)
            pieces.append((done, total, shares[-1]))

        restored = restore(image(*size), network, tile, 16, 'float32', end_piece)
    total = pieces[-1][1]
    # Network, sequence, three layers; and once after each piece.
    assert len(shares) == 6 * total
    assert shares == sorted(shares)
    assert shares[-1] == 1
    # Pieces share pixels, which is not known before the first is done.
    assert all(share >= done / total for done, _, share in pieces)
    assert all(share == done / total for done, _, share in pieces[1:])
    assert len(set(shares[:6])) >= 4
    expected = restore(image(*size), network, tile, 16, 'float32')
    np.testing.assert_array_equal(restored, expected)


def test_what_the_report_raises_ends_it_within_a_piece(network):
    calls = []

    def report(share):
        calls.append(share)
        if len(calls) == 4:
            raise EndedError

    with pytest.raises(EndedError), watch(network, 32 * 32, report) as progress:
        restore(image(32, 32), network, None, 64, 'float32', progress)
    assert len(calls) == 4
    # Nothing of it is left in the network.
    restore(image(32, 32), network)
    assert len(calls) == 4
    assert not any(layer._forward_pre_hooks for layer in network.modules())


def test_share_never_falls_when_begun_again_with_smaller_pieces(network):
    shares = []
    with watch(network, 64, shares.append) as progress:
        for pair in ((1, 2), (1, 8), (8, 8)):
            progress(*pair)
    assert shares == [0.5, 0.5, 1.0]


def test_the_shipped_network_is_asked_often_enough():
    restorer, shares = load_restorer(), []
    torch.manual_seed(0)
    with watch(restorer, 64 * 64, shares.append) as progress:
        restore(image(64, 64), restorer, None, progress=progress)
    assert len(shares) > 50
    # By time, not by number: the last layers take longest.
    assert max(b - a for a, b in zip(shares, shares[1:], strict=False)) < 0.5
