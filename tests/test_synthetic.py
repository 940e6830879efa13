import math

import numpy as np
import pytest
from scipy import ndimage
from skimage.color import rgb2xyz, xyz2rgb

from mmagic_inik.datasets.synthetic import (
    blur_by_radius,
    disc_psf,
    linear_to_srgb,
    srgb_to_linear,
)


def _photo(height=19, width=23):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def _to_linear(value):
    """One 8-bit sRGB value to linear light, IEC 61966-2-1."""
    c = value / 255
    return c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4


_LINEAR = np.array([_to_linear(value) for value in range(256)])


def _nearest_srgb(linear):
    """8-bit values nearest in sRGB, found by looking through all 256."""
    edges = [_to_linear(value + 0.5) for value in range(255)]
    return np.searchsorted(edges, linear)


@pytest.mark.parametrize('radius', [0, 0.3, 0.5, 0.75, 1, 1.5, 2, 3.25, 7.5, 20])
def test_disc_sums_to_one_and_is_symmetric(radius):
    psf = disc_psf(radius)
    assert psf.dtype == np.float32
    assert psf.shape[0] == psf.shape[1]
    assert psf.shape[0] % 2 == 1
    assert psf.sum() == pytest.approx(1, abs=1e-5)
    assert (psf >= 0).all()
    for turned in (psf[::-1], psf[:, ::-1], psf.T):
        np.testing.assert_array_equal(psf, turned)


@pytest.mark.parametrize('radius', [1.5, 2, 3.25, 7.5, 20])
def test_disc_has_the_area_of_a_circle(radius):
    psf = disc_psf(radius)
    # Pixels wholly inside hold one over the disc's area.
    assert 1 / psf.max() == pytest.approx(math.pi * radius**2, rel=0.02)


@pytest.mark.parametrize('radius', [3.25, 5, 7.5, 20])
def test_disc_spreads_as_far_as_a_circle(radius):
    psf = disc_psf(radius)
    # Second moment of a uniform disc along one axis: r² / 4; 1/12 from the pixels.
    axis = np.arange(len(psf)) - len(psf) // 2
    moment = (psf.sum(0) * axis**2).sum()
    assert moment == pytest.approx(radius**2 / 4 + 1 / 12, rel=0.03)


def test_disc_ends_at_its_rim():
    psf = disc_psf(3)
    centre = len(psf) // 2
    y, x = np.indices(psf.shape) - centre
    distance = np.hypot(y, x)
    assert (psf[distance > 3 + math.sqrt(0.5)] == 0).all()
    inside = psf[distance < 3 - math.sqrt(0.5)]
    np.testing.assert_array_equal(inside, inside[0])
    # The pixel (3, 0) is crossed by the rim: about half of it is covered.
    assert 0.4 < psf[centre, centre + 3] / psf[centre, centre] < 0.5


@pytest.mark.parametrize('radius', [0, 0.25, 0.5])
def test_disc_within_a_pixel_is_a_delta(radius):
    psf = disc_psf(radius)
    assert psf[len(psf) // 2, len(psf) // 2] == 1
    assert np.count_nonzero(psf) == 1


def test_fractions_of_a_radius_count():
    widths = [(disc_psf(r) ** 2).sum() for r in (0.5, 0.75, 1, 1.25, 1.5, 1.75, 2)]
    assert all(a > b for a, b in zip(widths, widths[1:], strict=False))


@pytest.mark.parametrize('radius', [0.75, 1, 1.1, 2.5])
def test_constant_radius_is_one_convolution_in_linear_light(radius):
    photo = _photo()
    # 1.1 lies between the layers 1 and 1.25.
    below, above = math.floor(radius * 4) / 4, math.ceil(radius * 4) / 4
    share = (radius - below) / 0.25
    expected = np.empty(photo.shape)
    for channel in range(3):
        linear = _LINEAR[photo[..., channel]]
        expected[..., channel] = sum(
            weight * ndimage.convolve(linear, disc_psf(r), mode='reflect')
            for r, weight in ((below, 1 - share), (above, share))
        )
    blurred = blur_by_radius(photo, np.full(photo.shape[:2], radius))
    assert blurred.dtype == np.uint8
    difference = blurred.astype(int) - _nearest_srgb(expected)
    # float32 may round a value at the edge of two levels the other way.
    assert abs(difference).max() <= 1
    assert (difference != 0).mean() < 0.01


def test_step_sets_the_layers():
    photo = _photo()
    radius = np.full(photo.shape[:2], 1.5)
    exact = blur_by_radius(photo, radius, step=0.5)
    mixed = blur_by_radius(photo, radius, step=1.0)
    linear = _LINEAR[photo[..., 0]]
    layers = {r: ndimage.convolve(linear, disc_psf(r)) for r in (1.0, 1.5, 2.0)}
    for blurred, expected in (
        (exact, layers[1.5]),
        (mixed, (layers[1.0] + layers[2.0]) / 2),
    ):
        difference = blurred[..., 0].astype(int) - _nearest_srgb(expected)
        assert abs(difference).max() <= 1
    assert (exact != mixed).any()


def test_zero_radius_returns_the_photo():
    every_value = np.arange(256, dtype=np.uint8).reshape(16, 16)
    photo = np.dstack([every_value, every_value.T, every_value[::-1]])
    np.testing.assert_array_equal(blur_by_radius(photo, np.zeros((16, 16))), photo)


def test_every_pixel_has_its_own_radius():
    photo = _photo(24, 30)
    radius = np.zeros((24, 30))
    radius[:, 15:] = 2.5
    blurred = blur_by_radius(photo, radius)
    np.testing.assert_array_equal(blurred[:, :15], photo[:, :15])
    all_blurred = blur_by_radius(photo, np.full((24, 30), 2.5))
    np.testing.assert_array_equal(blurred[:, 15:], all_blurred[:, 15:])


def test_uniform_photo_stays_uniform():
    photo = np.full((20, 25, 3), (10, 120, 250), np.uint8)
    radius = np.random.default_rng(1).uniform(0, 6, (20, 25))
    np.testing.assert_array_equal(blur_by_radius(photo, radius), photo)


@pytest.mark.parametrize('shape', [(1, 1), (2, 9), (9, 2)])
def test_disc_larger_than_the_photo(shape):
    photo = np.full((*shape, 3), 90, np.uint8)
    np.testing.assert_array_equal(blur_by_radius(photo, np.full(shape, 7.3)), photo)


def test_point_keeps_its_light():
    photo = np.zeros((21, 21, 3), np.uint8)
    photo[10, 10] = (255, 180, 90)
    blurred = blur_by_radius(photo, np.full((21, 21), 3.0))
    before, after = (_LINEAR[x].sum((0, 1)) for x in (photo, blurred))
    # Eight bits leave two per cent of uncertainty.
    np.testing.assert_allclose(after, before, rtol=0.02)
    assert blurred[10, 10].max() < 100


def test_borders_are_mirrored():
    photo = np.zeros((15, 15, 3), np.uint8)
    photo[0, 7] = 255
    blurred = blur_by_radius(photo, np.full((15, 15), 2.0))
    # What falls over the border comes back: no light is lost.
    assert _LINEAR[blurred[..., 0]].sum() == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize(
    ('srgb', 'linear'),
    [
        (0.0, 0.0),
        (0.04045, 0.0031308),
        (0.5, 0.2140411),
        (0.735357, 0.5),
        (188 / 255, 0.5028865),
        (1.0, 1.0),
    ],
)
def test_tone_curve_at_known_values(srgb, linear):
    assert srgb_to_linear(np.array(srgb)) == pytest.approx(linear, abs=1e-6)
    assert linear_to_srgb(np.array(linear)) == pytest.approx(srgb, abs=1e-6)


def test_tone_curve_as_in_scikit_image():
    values = np.arange(256)[:, None].repeat(3, 1) / 255
    # XYZ is a linear map of linear RGB, white at (0.95, 1, 1.09).
    linear = srgb_to_linear(values)
    np.testing.assert_allclose(linear[:, 1], rgb2xyz(values)[:, 1], atol=1e-5)
    np.testing.assert_allclose(
        linear_to_srgb(linear), xyz2rgb(rgb2xyz(values)), atol=1e-5
    )


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_tone_curve_round_trip(dtype):
    values = np.arange(256, dtype=dtype)
    linear = srgb_to_linear(values / 255)
    assert linear.dtype == dtype
    assert (np.diff(linear) > 0).all()
    np.testing.assert_array_equal(np.rint(linear_to_srgb(linear) * 255), values)


def test_light_out_of_range_is_clipped():
    np.testing.assert_allclose(linear_to_srgb(np.array([-0.5, 1.5])), [0, 1])
