import math

import numpy as np
import pytest
from scipy import stats

from mmagic_inik.datasets.optics import Aperture, circle_of_confusion

SHARP = [
    Aperture('disc'),
    Aperture('polygon', blades=5, rotation=0.3),
    Aperture('polygon', blades=6),
    Aperture(spherical=0.8),
    Aperture(spherical=-1),
    Aperture(cats_eye=1),
]
ALL = [*SHARP, Aperture('gaussian')]


def grid(psf):
    """Columns x and rows y of a kernel, from its centre."""
    y, x = np.indices(psf.shape) - psf.shape[0] // 2
    return x, y


def moment(psf, along=0.0):
    """Second moment in a direction, without the pixels' own 1/12."""
    x, y = grid(psf)
    return (psf * (math.cos(along) * x + math.sin(along) * y) ** 2).sum() - 1 / 12


@pytest.mark.parametrize('depth', [0.6, 1.9, 2.1, 30.0])
def test_circle_of_confusion_is_where_rays_meet_the_sensor(depth):
    focus, focal, f_number, pitch = 2.0, 0.085, 1.8, 4.5e-6
    sensor = 1 / (1 / focal - 1 / focus)
    image = 1 / (1 / focal - 1 / depth)
    # A ray from the rim of the aperture to the image point, cut by the sensor; it has
    # crossed the axis if the image is nearer to the lens than the sensor.
    rim = focal / f_number / 2
    height = rim * (1 - sensor / image)
    radius = circle_of_confusion(np.array([[depth]]), focus, 85, f_number, 4.5)
    assert radius.shape == (1, 1)
    assert radius[0, 0] == pytest.approx(-height / pitch, rel=1e-9)
    assert (radius[0, 0] > 0) == (depth > focus)


def test_point_in_focus_is_sharp():
    assert circle_of_confusion(np.array(2.0), 2.0, 50, 2, 6) == 0


def test_infinity_as_point_and_as_focus():
    # 25 mm of aperture; an image plane 1 / (1/50 − 1/2000) mm behind the lens cuts the
    # cone from infinity, which ends at 50 mm.
    behind = 1 / (1 / 50 - 1 / 2000)
    diameter = 25 * (behind - 50) / 50
    radius = circle_of_confusion(np.array(np.inf), 2, 50, 2, 6)
    assert radius == pytest.approx(diameter / 2 / 0.006, rel=1e-9)
    # Focused at infinity, the blur in the plane of the point is the aperture: 25 mm at
    # 5 m, imaged 1 : 100.
    radius = circle_of_confusion(np.array([5.0, np.inf]), np.inf, 50, 2, 6)
    assert radius == pytest.approx([-0.25 / 2 / 0.006, 0], rel=1e-9)


def test_blur_is_linear_in_reciprocal_depth_and_aperture():
    nearness = np.linspace(0.1, 2, 20)
    radius = circle_of_confusion(1 / nearness, 1.0, 35, 4, 5)
    np.testing.assert_allclose(np.diff(radius, 2), 0, atol=1e-9)
    wide = circle_of_confusion(1 / nearness, 1.0, 35, 2, 5)
    np.testing.assert_allclose(wide, 2 * radius)


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        ({'depth': [1.0, 0.0]}, 'must be positive, got 0.0'),
        ({'depth': [1.0, np.nan]}, 'must be positive, got nan'),
        ({'focal_length': 0}, 'must be positive'),
        ({'f_number': -1}, 'must be positive'),
        ({'pixel_pitch': 0}, 'must be positive'),
        ({'focus_distance': 0.05}, 'must exceed the focal length of 0.05 m, got 0.05'),
    ],
    ids=['depth', 'NaN', 'focal length', 'f-number', 'pitch', 'focus'],
)
def test_impossible_lenses_are_refused(changed, message):
    lens = {'depth': [1.0], 'focus_distance': 2, 'focal_length': 50, 'f_number': 2}
    lens |= {'pixel_pitch': 6} | changed
    with pytest.raises(ValueError, match=message):
        circle_of_confusion(**lens)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'shape': 'square'}, "shape must be in .* got 'square'"),
        ({'blades': 2}, 'blades must be at least 3, got 2'),
        ({'spherical': 1.1}, r'spherical must be in \[-1, 1\], got 1.1'),
        ({'cats_eye': -0.1}, r'cats_eye must be in \[0, 1\], got -0.1'),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else '',
)
def test_impossible_apertures_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Aperture(**options)


def test_places_outside_of_the_photograph_are_refused():
    with pytest.raises(ValueError, match='field must be within 1 of the centre'):
        Aperture(cats_eye=1).psf(3, (0.8, 0.8))


@pytest.mark.parametrize('aperture', ALL, ids=str)
@pytest.mark.parametrize('radius', [0, 0.3, -0.7, 1, 2.35, -6.5, 20])
def test_light_is_kept(aperture, radius):
    psf = aperture.psf(radius, (0.5, -0.6))
    side = 2 * aperture.reach(radius) + 1
    assert psf.shape == (side, side)
    assert psf.dtype == np.float32
    assert psf.min() >= 0
    assert psf.sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize('aperture', SHARP, ids=str)
def test_a_disc_within_a_pixel_is_that_pixel(aperture):
    assert aperture.psf(0.5).tolist() == [[1]]
    assert aperture.psf(-0.2).tolist() == [[1]]


@pytest.mark.parametrize('aperture', ALL, ids=str)
def test_blur_grows_without_jumps(aperture):
    padded = []
    for radius in np.arange(0, 5, 0.05):
        psf = aperture.psf(radius)
        padded.append(np.pad(psf, 12 - psf.shape[0] // 2))
    # A rim that moves by δ moves 2δ/r of a disc's light, up to about 2·0.05/0.5; of the
    # Gaussian and a bright ring at the rim somewhat more.
    moved = np.abs(np.diff(padded, axis=0)).sum((1, 2)) / 2
    assert moved.max() < 0.15
    assert moved[40:].max() < 0.06
    # And no radius from the first above one pixel stands still.
    assert moved[11:].min() > 0.005


@pytest.mark.parametrize('radius', [1.5, -3.25, 7.5, 20])
def test_disc_is_uniform_and_ends_at_its_rim(radius):
    psf = Aperture().psf(radius)
    radius = abs(radius)
    x, y = grid(psf)
    corner = np.hypot(np.abs(x) + 0.5, np.abs(y) + 0.5)
    nearest = np.hypot(np.maximum(np.abs(x) - 0.5, 0), np.maximum(np.abs(y) - 0.5, 0))
    # One sample of the rim is softened: 1/24 of a radius or half a pixel at the most.
    soft = max(radius / 48, 0.02)
    inside = psf[corner < radius - soft]
    assert len(inside)
    np.testing.assert_allclose(inside, 1 / (math.pi * radius**2), rtol=2e-3)
    assert (psf[nearest > radius + soft] == 0).all()


@pytest.mark.parametrize('radius', [0.8, 1.5, 3.25, 7.5, 20])
def test_disc_spreads_as_far_as_a_circle(radius):
    psf = Aperture().psf(radius)
    # In every direction r²/4; a pixel's light counts at its middle, which costs a small
    # disc, all rim, up to 0.062 pixels squared (brute force below).
    for along in (0, 0.5, math.pi / 4):
        assert moment(psf, along) == pytest.approx(radius**2 / 4, rel=1e-3, abs=0.065)


@pytest.mark.parametrize('radius', [0.6, 1.5, 3.25, 7.5])
def test_disc_covers_pixels_by_their_area(radius):
    psf = Aperture().psf(radius)
    side, fine = len(psf), 99
    place = (np.arange(side * fine) + 0.5) / fine - side / 2
    within = place[:, None] ** 2 + place**2 <= radius**2
    covered = within.reshape(side, fine, side, fine).mean((1, 3))
    expected = covered / covered.sum()
    np.testing.assert_allclose(psf, expected, atol=0.01 * expected.max())


@pytest.mark.parametrize('radius', [1.2, 4.0, -9.0])
def test_gaussian_is_the_normal_distribution(radius):
    psf = Aperture('gaussian').psf(radius)
    half = psf.shape[0] // 2
    borders = stats.norm.cdf(np.arange(-half, half + 2) - 0.5, scale=abs(radius) / 2)
    expected = np.outer(np.diff(borders), np.diff(borders))
    # Cut off at four standard deviations.
    np.testing.assert_allclose(psf, expected, rtol=3e-4, atol=1e-7)
    # As wide as the disc of the same radius.
    assert moment(psf) == pytest.approx(radius**2 / 4, rel=0.01)


@pytest.mark.parametrize(
    ('blades', 'area'),
    [(3, 3 * math.sqrt(3) / 4), (4, 2), (6, 3 * math.sqrt(3) / 2)],
    ids=['triangle', 'square', 'hexagon'],
)
def test_polygon_has_its_area(blades, area):
    psf = Aperture('polygon', blades=blades, rotation=0.2).psf(15.0)
    assert 1 / psf.max() == pytest.approx(area * 15**2, rel=2e-3)


def test_polygon_turns_with_its_rotation():
    # A square whose blades face right, down, left and up: 2 · r / √2 wide.
    psf = Aperture('polygon', blades=4).psf(10.5 * math.sqrt(2))
    x, y = grid(psf)
    square = (np.abs(x) <= 10) & (np.abs(y) <= 10)
    np.testing.assert_allclose(psf[square], 1 / 21**2, rtol=1e-3)
    assert np.abs(psf[~square]).max() < 1e-6
    turned = Aperture('polygon', blades=4, rotation=math.pi / 4).psf(10.0)
    assert turned[0, 10] > 0
    assert turned[1, 1] == 0


@pytest.mark.parametrize('blades', [5, 7])
def test_polygon_is_upside_down_in_front_of_the_focus(blades):
    aperture = Aperture('polygon', blades=blades, rotation=0.4)
    behind, before = aperture.psf(8.0), aperture.psf(-8.0)
    np.testing.assert_allclose(before, behind[::-1, ::-1], atol=1e-7)
    assert np.abs(before - behind).max() > 1e-3


@pytest.mark.parametrize('spherical', [0.5, -0.8])
@pytest.mark.parametrize('side', [1, -1], ids=['behind', 'before'])
def test_spherical_aberration_brightens_the_rim_behind(spherical, side):
    radius = 30.0
    psf = Aperture(spherical=spherical).psf(side * radius)
    a = spherical * side
    x, y = grid(psf)
    squared = (x * x + y * y) / radius**2
    ratio = psf / psf[30, 30]
    inside = squared < 0.9
    # Light linear in the squared distance, in the ratio (1 + a) / (1 − a) at the rim.
    slope, centre = np.polyfit(squared[inside], ratio[inside], 1)
    assert centre == pytest.approx(1, abs=0.01)
    assert centre + slope == pytest.approx((1 + a) / (1 - a), rel=0.01)
    # A mean of ρ² weighted so: 2π ∫ ρ³ (1 + a (2ρ² − 1)) dρ / π = ½ + a/6.
    second = moment(psf, 0) + moment(psf, math.pi / 2)
    assert second == pytest.approx(radius**2 * (0.5 + a / 6), rel=3e-3)


def test_cats_eye_is_round_in_the_centre():
    np.testing.assert_array_equal(Aperture(cats_eye=1).psf(8.0), Aperture().psf(8.0))


@pytest.mark.parametrize('cats_eye', [0.4, 1.0])
@pytest.mark.parametrize('angle', [0.0, 0.6, math.pi / 2, 4.0])
@pytest.mark.parametrize('radius', [20.0, -20.0])
def test_cats_eye_is_two_circles_in_the_corner(cats_eye, angle, radius):
    psf = Aperture(cats_eye=cats_eye).psf(radius, (math.cos(angle), math.sin(angle)))
    d = cats_eye
    area = 2 * math.acos(d / 2) - d / 2 * math.sqrt(4 - d * d)
    assert 1 / psf.max() == pytest.approx(area * 20**2, rel=5e-3)
    x, y = grid(psf)
    assert (psf * x).sum() == pytest.approx(0, abs=1e-3)
    assert (psf * y).sum() == pytest.approx(0, abs=1e-3)
    # Narrow along the direction of the field, long across.
    lit = psf > psf.max() / 4
    for direction, extent in (
        (angle, 1 - d / 2),
        (angle + math.pi / 2, math.sqrt(1 - d * d / 4)),
    ):
        along = math.cos(direction) * x + math.sin(direction) * y
        assert along[lit].max() == pytest.approx(20 * extent, abs=0.8)
        assert along[lit].min() == pytest.approx(-20 * extent, abs=0.8)


def test_cats_eye_narrows_with_the_distance_from_the_centre():
    aperture = Aperture(cats_eye=0.8)
    half_way, corner = aperture.psf(12.0, (0.5, 0)), aperture.psf(12.0, (1.0, 0))
    np.testing.assert_allclose(
        half_way, Aperture(cats_eye=0.4).psf(12.0, (1.0, 0)), atol=1e-9
    )
    assert corner.max() > half_way.max() > Aperture().psf(12.0).max()
