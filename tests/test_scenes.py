import math

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from mmagic_inik.datasets.optics import Aperture, circle_of_confusion
from mmagic_inik.datasets.rendering import Layer, compose, margin_of, render
from mmagic_inik.datasets.scenes import (
    PSFS,
    fill_unknown,
    layers_from_depth,
    random_aperture,
    random_cutout,
    random_lens,
    random_plane,
)


def generator(seed=0):
    return np.random.default_rng(seed)


def photo(height=37, width=31, seed=0):
    return generator(seed).random((height, width, 3), np.float32)


def _family(aperture):
    if aperture.shape != 'disc':
        return aperture.shape
    if aperture.cats_eye:
        return 'cats_eye'
    return 'ring' if aperture.spherical else 'disc'


def test_every_family_of_apertures_is_drawn():
    random = generator()
    drawn = [random_aperture(random) for _ in range(500)]
    families = [_family(aperture) for aperture in drawn]
    # A fifth each; four standard deviations are 36.
    for family in PSFS:
        assert abs(families.count(family) - 100) < 36
    assert {a.blades for a in drawn if a.shape == 'polygon'} == {5, 6, 7, 8, 9}
    rings = [a.spherical for a in drawn if _family(a) == 'ring']
    assert min(rings) < -0.5 < 0.5 < max(rings)


@pytest.mark.parametrize('family', PSFS)
def test_one_family_alone(family):
    random = generator()
    drawn = {_family(random_aperture(random, (family,))) for _ in range(20)}
    assert drawn == {family}


SCENES = {
    'two slanted planes': [np.linspace(4, 30, 50), np.linspace(0.5, 1, 50)],
    'near depth map': [np.linspace(0.15, 0.2, 50)],
    'far depth map': [np.linspace(200, 900, 50)],
    'plane parallel to the sensor': [np.full(50, 2.7)],
    'the same at 0.3 m': [np.full(50, 0.3)],
}


@pytest.mark.parametrize('depths', SCENES.values(), ids=SCENES)
def test_largest_blur_is_what_was_asked(depths):
    random = generator()
    depths = [depth.astype(np.float32) for depth in depths]
    signs = set()
    for _ in range(50):
        lens = random_lens(random, depths, 7.3)
        radii = [lens.radius(depth) for depth in depths]
        assert radii[0].dtype == np.float32
        assert max(np.abs(r).max() for r in radii) == pytest.approx(7.3, rel=1e-5)
        expected = circle_of_confusion(
            depths[0],
            focus_distance=lens.focus_distance,
            focal_length=lens.focal_length,
            f_number=lens.f_number,
            pixel_pitch=lens.pixel_pitch,
        )
        np.testing.assert_allclose(radii[0], expected, rtol=1e-6)
        assert 24 <= lens.focal_length <= 135
        assert 0.3 <= lens.focus_distance <= 100 + 1e-9
        radii = np.concatenate(radii)
        signs |= {'within' if radii.min() < 0 < radii.max() else np.sign(radii[0])}
    # Nearer than 0.3 m and farther than 100 m, no lens is focused.
    assert len(signs) > 1 or not 0.31 < depths[0].max() <= 100


@pytest.mark.parametrize(('height', 'width'), [(37, 31), (1, 9)])
def test_planes_lie_between_near_and_far(height, width):
    random = generator()
    flat, extremes = 0, []
    for _ in range(100):
        depth = random_plane(random, height, width, far=20.0, near=0.5)
        assert depth.shape == (height, width)
        assert depth.dtype == np.float32
        nearness = 1 / depth.astype(float)
        assert nearness.min() >= 1 / 20 * (1 - 1e-6)
        assert nearness.max() <= 1 / 0.5 * (1 + 1e-6)
        # Where a plane is seen, the reciprocal of its depth is linear.
        for axis in (0, 1):
            if nearness.shape[axis] > 2:
                np.testing.assert_allclose(np.diff(nearness, 2, axis), 0, atol=2e-6)
        flat += bool(np.ptp(depth) == 0)
        extremes += [nearness.min(), nearness.max()]
    # A quarter; four standard deviations are 17.
    assert 8 <= flat <= 42
    assert min(extremes) < 0.15
    assert max(extremes) > 1.8


def test_cutouts_have_hard_or_soft_edges():
    random = generator()
    hard = soft = 0
    shares = []
    for _ in range(60):
        alpha = random_cutout(random, 80, 120)
        assert alpha.shape == (80, 120)
        assert alpha.dtype == np.float32
        assert alpha.min() >= 0
        assert alpha.max() <= 1
        # A hard edge leaves full cover within two pixels of none.
        steepest = max(np.abs(np.diff(alpha, axis=a)).max() for a in (0, 1))
        hard += bool(steepest > 0.45)
        soft += bool(0 < steepest < 0.45)
        shares.append((alpha > 0.5).mean())
    assert hard > 20
    assert soft > 5
    assert max(shares) > 0.2
    assert np.median(shares) > 0.02


@pytest.mark.parametrize('unknown', [0.0, -1.0, np.nan, np.inf])
def test_unknown_depth_is_that_of_the_nearest_known(unknown):
    random = generator()
    depth = 1 + np.arange(37 * 31).reshape(37, 31) / 100
    depth[random.random(depth.shape) < 0.95] = unknown
    known = np.isfinite(depth) & (depth > 0)
    filled = fill_unknown(depth)
    assert filled.dtype == np.float32
    np.testing.assert_array_equal(filled[known], np.float32(depth[known]))
    # Every depth occurs once, and so tells its pixel.
    rows, columns = np.divmod(np.rint((filled - 1) * 100).astype(int), 31)
    assert known[rows, columns].all()
    y, x = np.indices(depth.shape)
    # OpenCV's distances are within 2 % of the true ones.
    distance = np.hypot(y - rows, x - columns)
    np.testing.assert_array_less(distance, 1.03 * distance_transform_edt(~known) + 1e-9)


def test_known_depth_is_kept_and_none_is_refused():
    depth = generator().uniform(1, 2, (5, 7))
    np.testing.assert_array_equal(fill_unknown(depth), np.float32(depth))
    with pytest.raises(ValueError, match='knows no depth at all'):
        fill_unknown(np.zeros((5, 7)))


@pytest.mark.parametrize('thickness', [0.7, 2.0, 100.0])
def test_layers_of_a_depth_map_are_the_photograph(thickness):
    color = photo()
    radius = generator(1).uniform(-6, 5, (37, 31)).astype(np.float32)
    layers = layers_from_depth(color, radius, thickness)
    image, seen = compose(layers)
    np.testing.assert_array_equal(image, color)
    np.testing.assert_array_equal(seen, radius)
    assert len(layers) == math.ceil(np.ptp(radius) / thickness)
    # From back to front, none thicker than asked.
    spans = []
    for layer in layers:
        visible = layer.radius if layer.alpha is None else layer.radius[layer.alpha > 0]
        spans.append((visible.min(), visible.max()))
    for (low, high), (_, nearer) in zip(spans, spans[1:], strict=False):
        assert nearer <= low <= high <= low + thickness + 1e-5


def test_depth_map_of_one_depth_is_one_layer():
    (layer,) = layers_from_depth(photo(), np.full((37, 31), 3.0, np.float32))
    assert layer.alpha is None
    np.testing.assert_array_equal(layer.color, photo())


def _step(radius_behind, radius_before, color):
    """Layers of a depth map with a thing in its left half."""
    radius = np.full(color.shape[:2], radius_behind, np.float32)
    radius[:, : color.shape[1] // 2] = radius_before
    return layers_from_depth(color, radius)


@pytest.mark.parametrize(('behind', 'before'), [(0.0, -6.0), (6.0, 0.0), (4.0, -4.0)])
def test_two_planes_of_a_depth_map_are_two_layers(behind, before):
    margin = margin_of(6, Aperture())
    height, width = 40 + 2 * margin, 60 + 2 * margin
    color = photo(height, width)
    alpha = np.zeros((height, width), np.float32)
    alpha[:, : width // 2] = 1
    known = render(
        [Layer(color, behind), Layer(color, before, alpha)], Aperture(), margin
    )
    image = render(_step(behind, before, color), Aperture(), margin)
    # Beyond the reach of the edge, where nothing hidden is seen.
    for part in (slice(0, 22), slice(38, 60)):
        np.testing.assert_allclose(image[:, part], known[:, part], atol=1e-5)


def test_hidden_background_is_continued_behind_a_blurred_edge():
    """The edge of something blurred in front of uniform grey: one edge, no step."""
    color = np.zeros((81, 121, 3), np.float32)
    color[:, 60:] = 1
    image = render(_step(0.0, -8.0, color), Aperture(), 12)[..., 0]
    x = np.clip(47.5 - np.arange(97), -8, 8)
    cover = 0.5 + (x * np.sqrt(64 - x * x) + 64 * np.arcsin(x / 8)) / (64 * math.pi)
    np.testing.assert_allclose(image, np.broadcast_to(1 - cover, (57, 97)), atol=3e-3)


def test_sharp_foreground_of_a_depth_map_does_not_bleed():
    color = np.zeros((81, 121, 3), np.float32)
    color[:, 60:] = photo(81, 61)
    image = render(_step(8.0, 0.0, color), Aperture(), 12)
    assert np.abs(image[:, :48]).max() < 1e-6
    color[:, :60] = 1
    brighter = render(_step(8.0, 0.0, color), Aperture(), 12)
    np.testing.assert_allclose(brighter[:, 48:], image[:, 48:], atol=1e-6)
    np.testing.assert_allclose(brighter[:, :48], 1, atol=1e-6)


def test_slanted_plane_in_layers_is_nearly_one_surface():
    margin = margin_of(8, Aperture())
    side = 80 + 2 * margin
    y, x = np.indices((side, side), np.float32)
    # A smooth picture: seams would stand out.
    color = np.repeat(0.5 + 0.4 * np.sin(x / 9 + y / 13)[..., None], 3, 2)
    radius = ((x + y) / side - 1) * 8
    whole = render([Layer(color, radius)], Aperture(), margin)
    cut = render(layers_from_depth(color, radius), Aperture(), margin)
    assert np.abs(cut - whole).max() < 0.04
    assert np.abs(cut - whole).mean() < 0.005
