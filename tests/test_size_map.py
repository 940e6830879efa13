"""The map of expected kernel sizes, against the one drawn from whole predictions."""

import numpy as np
import pytest
import torch
from torch import nn

from mmagic_inik.models import Restorer
from mmagic_inik.restoration import expected_sizes, load_restorer, restore
from mmagic_inik.restoration.size_map import SizeNetwork
from mmagic_inik.visualization import HeadWatch


@pytest.fixture(scope='module')
def restorer():
    return load_restorer()


def noise(shape, dtype=np.uint8):
    high = np.iinfo(dtype).max + 1
    return np.random.default_rng(0).integers(0, high, shape, dtype)


@pytest.mark.parametrize(
    'image',
    [noise((37, 51, 3)), noise((37, 51, 3), np.uint16), noise((33, 20))],
    ids=['8 bits', '16 bits', 'grey'],
)
def test_map_is_that_of_the_whole_prediction(restorer, image):
    watched = HeadWatch(restorer.generator.head)
    restore(image, restorer, None, dtype='float32')
    prediction = watched.stop(*image.shape[:2])
    sizes = expected_sizes(image, restorer, None, dtype='float32')
    step = max(prediction.kernel_sizes) / 65535
    assert sizes.dtype == np.float32
    np.testing.assert_allclose(sizes, prediction.expected_size(), atol=step)
    assert np.ptp(sizes) > 100 * step


def test_pieces_and_their_progress_are_those_of_restoring(restorer):
    image, told = noise((48, 160, 3)), []
    note = lambda *numbers: told.append(numbers)  # noqa: E731
    sizes = expected_sizes(image, restorer, 96, 32, 'float32', note)
    assert sizes.shape == (48, 160)
    assert told == [(1, 2), (2, 2)]
    # Away from where pieces meet it is the whole image's.
    whole = expected_sizes(image, restorer, None, dtype='float32')
    assert np.abs(sizes - whole)[:, :24].max() < 0.05


class Coarse(nn.Module):
    """Calls its head on half of the image alone."""

    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, image):
        half = image[..., ::2, ::2]
        return self.head(half, half, half)


def test_a_head_that_never_sees_the_image_is_an_error(restorer):
    head = restorer.generator.head
    network = Restorer(Coarse(head))
    feature = torch.zeros(1, head.size_predictor.in_channels, 16, 16)
    head.predict_weights(feature, feature)
    with pytest.raises(RuntimeError):
        SizeNetwork(network.generator)(torch.zeros(1, 3, 32, 32))
