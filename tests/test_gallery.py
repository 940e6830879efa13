import numpy as np
import pytest

from mmagic_inik.visualization.gallery import (
    Case,
    best_median_worst,
    gallery,
    most_different,
)


@pytest.mark.parametrize(
    ('gains', 'expected'),
    [
        ([1.0], dict(best=0)),
        ([1.0, 2.0], dict(best=1, worst=0)),
        ([3.0, 1.0, 2.0], dict(best=0, median=2, worst=1)),
        ([np.nan, 1.0, np.inf, 0.5], dict(best=2, median=1, worst=3)),
        ([np.nan, np.nan], {}),
    ],
)
def test_best_median_worst(gains, expected):
    assert best_median_worst(gains) == expected


def test_most_different_detail():
    a = np.zeros((40, 60, 3), np.uint8)
    b = a.copy()
    b[20:25, 30:36] = 200
    left, top, side = most_different(a, b, 10)
    assert side == 10
    assert left <= 30 < 36 <= left + side
    assert top <= 20 < 25 <= top + side
    # By trying every place.
    a, b = np.random.default_rng(0).integers(0, 256, (2, 9, 8, 3), np.uint8)
    left, top, side = most_different(a, b, 4)
    error = (a.astype(int) - b) ** 2
    sums = {
        (x, y): error[y : y + 4, x : x + 4].sum() for x in range(5) for y in range(6)
    }
    assert sums[left, top] == max(sums.values())
    assert most_different(a, b, 100)[2] == 8


@pytest.mark.parametrize('versions', [2, 3])
def test_gallery(versions):
    images = np.random.default_rng(0).integers(0, 256, (versions, 30, 50, 3), np.uint8)
    cases = [Case(f'case {i}', images, ['x', 'y', 'z'][:versions]) for i in range(2)]
    figure = gallery(cases, side=10)
    assert [part.get_suptitle() for part in figure.subfigs] == ['case 0', 'case 1']
    left, top, _ = most_different(*images[:2], 10)
    for part in figure.subfigs:
        whole, close = part.axes[:versions], part.axes[versions:]
        assert [axis.get_title() for axis in whole] == ['x', 'y', 'z'][:versions]
        for upper, lower, image in zip(whole, close, images, strict=True):
            np.testing.assert_array_equal(upper.images[0].get_array(), image)
            np.testing.assert_array_equal(
                lower.images[0].get_array(), image[top : top + 10, left : left + 10]
            )
            assert upper.patches[0].get_xy() == (left, top)
