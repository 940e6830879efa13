import math

import numpy as np
import pytest
from scipy.signal import convolve2d

from mmagic_inik.datasets.optics import Aperture
from mmagic_inik.datasets.rendering import (
    Layer,
    Zone,
    compose,
    field_zones,
    margin_of,
    needed_margin,
    render,
)

DISC = Aperture()


def photo(height=37, width=31, seed=0):
    return np.random.default_rng(seed).random((height, width, 3), np.float32)


def grey(image):
    return np.repeat(np.float32(image)[..., None], 3, 2)


def point(height, width, row, column, value=1.0):
    """A point of light before black."""
    light = np.zeros((height, width), np.float32)
    light[row, column] = value
    return grey(light)


def brute_disc(radius, fine=60):
    """Every pixel's share of a disc, by counting."""
    half = math.ceil(radius - 0.5)
    side = 2 * half + 1
    place = (np.arange(side * fine) + 0.5) / fine - side / 2
    within = place[:, None] ** 2 + place**2 <= radius**2
    covered = within.reshape(side, fine, side, fine).mean((1, 3))
    return covered / covered.sum()


def convolved(color, kernel):
    """Without the borders that the kernel overlaps."""
    return np.stack([convolve2d(c, kernel, 'valid') for c in color.transpose(2, 0, 1)])


def edge(x, radius):
    """Edge spread function: what a disc at x from a half-plane's edge sees of it."""
    x = np.clip(x, -radius, radius)
    segment = x * np.sqrt(radius**2 - x**2) + radius**2 * np.arcsin(x / radius)
    return 0.5 + segment / (math.pi * radius**2)


@pytest.mark.parametrize(
    'aperture',
    [
        DISC,
        Aperture('gaussian'),
        Aperture('polygon', blades=5, rotation=0.3),
        Aperture(spherical=0.7),
    ],
    ids=lambda aperture: f'{aperture.shape} {aperture.spherical}',
)
@pytest.mark.parametrize('radius', [0.0, 2.3, -5.0])
def test_point_of_light_becomes_the_psf(aperture, radius):
    margin = margin_of(radius, aperture)
    color = point(2 * margin + 37, 2 * margin + 31, margin + 15, margin + 14, 4.0)
    image = render([Layer(color, radius)], aperture, margin)
    assert image.shape == (37, 31, 3)
    assert image.dtype == np.float32
    assert image.flags.c_contiguous
    psf = aperture.psf(radius)
    half = psf.shape[0] // 2
    expected = np.zeros((37, 31), np.float32)
    expected[15 - half : 16 + half, 14 - half : 15 + half] = 4 * psf
    np.testing.assert_allclose(image, grey(expected), atol=1e-6)


@pytest.mark.parametrize('radius', [0.9, 3.0, 6.4])
def test_plane_is_one_convolution(radius):
    margin = margin_of(radius, DISC)
    kernel = brute_disc(radius)
    color = photo(37 + 2 * margin, 31 + 2 * margin)
    drop = margin - kernel.shape[0] // 2
    expected = convolved(color[drop:-drop, drop:-drop], kernel).transpose(1, 2, 0)
    # A map that is the same everywhere is a plane, too.
    for radii in (radius, -radius, np.full(color.shape[:2], radius, np.float32)):
        image = render([Layer(color, radii)], DISC, margin)
        np.testing.assert_allclose(image, expected, atol=2e-3)


def test_sharp_plane_is_the_photograph():
    color = 5 * photo()
    np.testing.assert_allclose(
        render([Layer(color, 0.0)], DISC, 1), color[1:-1, 1:-1], atol=2e-6
    )


@pytest.mark.parametrize('place', [40, 60, 80, 100, 120])
def test_point_on_a_slanted_plane_has_its_own_radius(place):
    # From −10 to 10 pixels over 160.
    radius = np.broadcast_to(np.linspace(-10, 10, 161, dtype=np.float32), (101, 161))
    color = point(101, 161, 50, place)
    image = render([Layer(color, radius)], DISC, 16 - 4)[..., 0]
    y, x = np.indices(image.shape)
    x, y = x - (place - 12), y - (50 - 12)
    image = image / image.sum()
    second = (image * (x * x + y * y)).sum() - 1 / 6
    r = radius[50, place]
    # r²/4 along either axis; 1/6 for the pixels is missing in focus, and the mean of
    # two neighbouring discs is a little wider than the disc between them.
    assert second == pytest.approx(r * r / 2, rel=0.015, abs=0.17)


@pytest.mark.parametrize('radius', [1.8, 4.4, -7.7])
def test_largest_radius_of_a_map_is_not_rounded(radius):
    radii = np.full((61, 61), radius, np.float32)
    radii[:5] = 0
    image = render([Layer(point(61, 61, 30, 30), radii)], DISC, 10)[..., 0]
    y, x = np.indices(image.shape) - 20
    second = (image * (x * x + y * y)).sum() / image.sum() - 1 / 6
    assert second == pytest.approx(radius**2 / 2, rel=0.015, abs=0.13)


@pytest.mark.parametrize(('low', 'high'), [(1, 4), (-3, 3), (6, 12), (-12, 12)])
def test_slanted_plane_keeps_light(low, high):
    margin = margin_of(high, DISC)
    color = np.zeros((160, 160, 3), np.float32)
    color[40:120, 40:120] = photo(80, 80)
    radius = np.linspace(low, high, 160, dtype=np.float32)[:, None].repeat(160, 1)
    image = render([Layer(color, radius)], DISC, margin)
    # Exact only in a plane parallel to the sensor.
    np.testing.assert_allclose(image.sum((0, 1)), color.sum((0, 1)), rtol=0.01)
    image = render([Layer(color, float(high))], DISC, margin)
    np.testing.assert_allclose(image.sum((0, 1)), color.sum((0, 1)), rtol=1e-5)


@pytest.mark.parametrize('zoned', [False, True])
def test_uniformly_lit_surface_stays_uniform(zoned):
    aperture = Aperture(cats_eye=1) if zoned else DISC
    margin = margin_of(9, aperture)
    height, width = 60 + 2 * margin, 70 + 2 * margin
    y, x = np.indices((height, width), np.float32)
    radius = np.clip(0.3 * (x - 45) + 0.2 * (y - 40), -9, 9)
    color = np.full((height, width, 3), (0.1, 1.0, 3.0), np.float32)
    zones = field_zones(60, 70, margin, 32) if zoned else [Zone()]
    image = render([Layer(color, radius)], aperture, margin, zones)
    np.testing.assert_allclose(image, np.broadcast_to(color[0, 0], image.shape), 1e-5)


def _half_plane(radius_behind, radius_before, behind=1.0, before=0.0):
    """A foreground left of the middle of 61 × 81 pixels, and a background."""
    height, width, margin = 101, 121, 20
    alpha = np.zeros((height, width), np.float32)
    alpha[:, : width // 2] = 1
    layers = [
        Layer(grey(np.full((height, width), behind)), radius_behind),
        Layer(grey(np.full((height, width), before)), radius_before, alpha),
    ]
    return layers, margin


def test_sharp_foreground_and_blurred_background_do_not_mix():
    layers, margin = _half_plane(12.0, 0.0)
    image = render(layers, DISC, margin)
    np.testing.assert_allclose(image[:, :40], 0, atol=1e-6)
    np.testing.assert_allclose(image[:, 40:], 1, atol=1e-6)


@pytest.mark.parametrize('radius', [3.0, -7.5])
def test_blurred_foreground_spreads_over_a_sharp_background(radius):
    layers, margin = _half_plane(0.0, radius, behind=0.2, before=0.8)
    # What is behind the foreground is there, though unseen without blur.
    layers[0].color[:, 60:] = 0.3
    image = render(layers, DISC, margin)[..., 0]
    # The edge lies between the pixels 39 and 40.
    cover = edge(39.5 - np.arange(81), abs(radius))
    behind = np.where(np.arange(81) < 40, 0.2, 0.3)
    expected = 0.8 * cover + behind * (1 - cover)
    np.testing.assert_allclose(image, np.broadcast_to(expected, (61, 81)), atol=3e-3)


def test_soft_cover_is_blurred_with_its_light():
    margin = margin_of(4, DISC)
    alpha = photo(40 + 2 * margin, 50 + 2 * margin, 3)[..., 0]
    front, back = (photo(*alpha.shape, seed) for seed in (1, 2))
    image = render([Layer(back, 2.0), Layer(front, -4.0, alpha)], DISC, margin)
    wide, narrow = brute_disc(4.0), brute_disc(2.0)
    cut, less = margin - wide.shape[0] // 2, margin - narrow.shape[0] // 2
    cover = convolve2d(alpha[cut:-cut, cut:-cut], wide, 'valid')
    light = convolved((front * alpha[..., None])[cut:-cut, cut:-cut], wide)
    behind = convolved(back[less:-less, less:-less], narrow)
    expected = (light + (1 - cover) * behind).transpose(1, 2, 0)
    np.testing.assert_allclose(image, expected, atol=3e-3)


def test_three_layers_lie_one_over_the_other():
    height = width = 41
    layers = [Layer(grey(np.full((height, width), 0.1)), 5.0)]
    for value, alpha in ((0.5, 0.5), (0.9, 0.25)):
        cover = np.full((height, width), alpha, np.float32)
        layers.append(Layer(grey(np.full((height, width), value)), -2.0, cover))
    # 0.25 · 0.9 + 0.75 · (0.5 · 0.5 + 0.5 · 0.1)
    image = render(layers, DISC, 8)
    np.testing.assert_allclose(image, 0.45, atol=1e-5)
    sharp, radius = compose(layers)
    np.testing.assert_allclose(sharp, 0.45, atol=1e-6)
    # Half covered counts as the foremost's.
    assert (radius == -2).all()
    # Nothing of what a whole layer hides is left.
    image = render([*layers, Layer(grey(np.full((height, width), 0.7)), 3.0)], DISC, 8)
    np.testing.assert_allclose(image, 0.7, atol=1e-5)


def test_layer_that_covers_nothing_changes_nothing():
    layer = Layer(photo(), 1.0)
    nothing = Layer(photo(seed=1), -1.0, np.zeros((37, 31), np.float32))
    np.testing.assert_array_equal(
        render([layer, nothing], DISC, 3), render([layer], DISC, 3)
    )


def test_light_above_white_stays():
    color = point(61, 61, 30, 30, 100.0)
    image = render([Layer(color, 4.0)], DISC, 8)
    assert image[22, 22, 0] == pytest.approx(100 / (math.pi * 16), rel=0.01)


def test_composed_layers_are_what_is_seen():
    back, front = photo(), 4 * photo(seed=1)
    alpha = (photo(seed=2)[..., 0] > 0.5).astype(np.float32)
    near = photo(seed=3)[..., 0]
    image, radius = compose([Layer(back, 3.0), Layer(front, near, alpha)])
    covered = alpha == 1
    np.testing.assert_array_equal(image[covered], front[covered])
    np.testing.assert_array_equal(image[~covered], back[~covered])
    np.testing.assert_array_equal(radius, np.where(covered, near, 3))
    assert image.dtype == radius.dtype == np.float32


@pytest.mark.parametrize('shape', ['disc', 'gaussian'])
def test_margin_keeps_unknown_surroundings_out(shape):
    aperture = Aperture(shape)
    radius = np.random.default_rng(0).uniform(-6, 6, (70, 70)).astype(np.float32)
    margin = needed_margin([Layer(photo(70, 70), radius)], aperture)
    assert margin <= margin_of(6, aperture)
    color = photo(70, 70)
    image = render([Layer(color, radius)], aperture, margin)
    # The same picture in larger surroundings.
    around = [(20, 20), (20, 20)]
    larger = Layer(
        np.pad(color, [*around, (0, 0)], constant_values=50),
        np.pad(radius, around, constant_values=6),
    )
    expected = render([larger], aperture, margin + 20)
    np.testing.assert_allclose(image, expected, atol=1e-4)
    with pytest.raises(ValueError, match=f'margin must be at least {margin}, got'):
        render([Layer(color, radius)], aperture, margin - 1)


def test_first_layer_must_cover_everything():
    layer = Layer(photo(), 0.0, np.ones((37, 31), np.float32))
    with pytest.raises(ValueError, match='first layer must cover everything'):
        render([layer], DISC, 1)


@pytest.mark.parametrize(
    ('height', 'width', 'margin'), [(37, 31, 50), (600, 300, 8), (1, 9, 2), (1, 1, 0)]
)
def test_weights_of_zones_add_up_to_one(height, width, margin):
    zones = field_zones(height, width, margin)
    total = sum(np.outer(zone.rows, zone.columns) for zone in zones)
    assert total.shape == (height + 2 * margin, width + 2 * margin)
    np.testing.assert_allclose(total, 1, atol=1e-6)
    places = np.array([zone.field for zone in zones])
    # The corners lie at one half diagonal from the centre.
    assert np.hypot(*places.T).max() == pytest.approx(1)
    assert places.sum(0) == pytest.approx([0, 0], abs=1e-6)
    corner = max(places, key=lambda place: place @ (1, 1))
    assert corner == pytest.approx(np.array([width, height]) / np.hypot(width, height))


def test_points_in_the_corners_become_the_corners_psfs():
    aperture, radius, margin = Aperture(cats_eye=1), 6.0, 14
    height, width = 120, 160
    for bottom in (False, True):
        for right in (False, True):
            row = margin + (height - 1 if bottom else 0)
            column = margin + (width - 1 if right else 0)
            color = point(height + 2 * margin, width + 2 * margin, row, column)
            zones = field_zones(height, width, margin, 64)
            # All of the point's light, seen with less margin.
            image = render([Layer(color, radius)], aperture, 7, zones)[..., 0]
            cut = image[row - 13 : row, column - 13 : column]
            field = np.array([160 if right else -160, 120 if bottom else -120]) / 200
            expected = aperture.psf(radius, field)
            # Half a pixel from the corner itself.
            np.testing.assert_allclose(cut, expected, atol=0.03 * expected.max())


@pytest.mark.parametrize('side', [9, 40, 150])
@pytest.mark.parametrize('soft', [False, True], ids=['radii', 'one radius'])
def test_parts_of_a_picture_are_blurred_as_the_whole(side, soft):
    aperture, margin = Aperture(cats_eye=0.8), 14
    zones = field_zones(side, 110, margin, 24)
    height, width = side + 2 * margin, 110 + 2 * margin
    y, x = np.indices((height, width), np.float32)
    radii = 11.0 if soft else np.clip(0.2 * (x - 60) + 0.3 * (y - 50), -11, 2)
    cover = photo(height, width, 3)[..., 0]
    layers = [Layer(photo(height, width), radii), Layer(photo(height, width, 1), 6.0)]
    layers[1] = layers[1]._replace(alpha=np.where(cover > 0.7, cover, 0))
    image = render(layers, aperture, margin, zones)
    # Every zone over the whole picture: weights that are nowhere zero, one of which
    # takes away what the other adds.
    everywhere = []
    for zone in zones:
        one = np.ones_like(zone.rows), np.ones_like(zone.columns)
        shifted = zone.rows + 1, zone.columns
        everywhere += [
            Zone(zone.field, *shifted),
            Zone(zone.field, -one[0], shifted[1]),
        ]
    expected = render(layers, aperture, margin, everywhere)
    np.testing.assert_allclose(image, expected, atol=2e-4)


# The rounded half diagonal, one step further from the centre than 1.
@pytest.mark.parametrize('size', [(67, 533), (2592, 2073), (4096, 3277)], ids=str)
def test_no_size_puts_a_corner_outside_of_the_photograph(size):
    zones = field_zones(*size, 8)
    assert max(math.hypot(*zone.field) for zone in zones) > 1
    for zone in zones:
        psf = Aperture(cats_eye=1).psf(3.0, zone.field)
        assert psf.sum() == pytest.approx(1, abs=1e-6)


def test_photographs_of_any_size_are_drawn_with_cats_eyes():
    image = render([Layer(photo(81, 547), 6.0)], Aperture(cats_eye=1), 7, [Zone()])
    zones = field_zones(67, 533, 7)
    zoned = render([Layer(photo(81, 547), 6.0)], Aperture(cats_eye=1), 7, zones)
    assert zoned.shape == image.shape == (67, 533, 3)
    assert np.isfinite(zoned).all()
    assert not np.array_equal(zoned, image)


def test_weights_of_zones_grow_with_the_sides_alone():
    # As pictures they would take 24 megapixels times 384 zones times four bytes.
    zones = field_zones(4000, 6000, 50)
    assert len(zones) > 300
    assert sum(z.rows.size + z.columns.size for z in zones) < 1e7


def test_a_zone_is_as_large_as_what_it_can_light():
    zones = field_zones(1000, 1500, 20, 100)
    areas = []
    for zone in zones:
        rows, columns = zone.window(1040, 1540, 15)
        outside = np.outer(zone.rows, zone.columns)
        outside[rows, columns] = 0
        assert not outside.any()
        areas.append((rows.stop - rows.start) * (columns.stop - columns.start))
    # Twice the distance of the places, and the reach on both sides.
    assert max(areas) <= (200 + 30 + 2) ** 2
