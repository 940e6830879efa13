import numpy as np
import pytest
from PIL import Image

from mmagic_inik.datasets import demo_data
from mmagic_inik.datasets.demo_data import (
    MAX_RADIUS,
    MIN_RADIUS,
    VIEWS,
    blur,
    make_demo_data,
    procedural_depth,
    radius_map,
)


@pytest.fixture
def few(monkeypatch):
    """Two small photos in place of those of libraries."""
    random = np.random.default_rng(0)
    photo = random.integers(0, 256, (24, 20, 3), np.uint8)
    named = {
        'train': {'grey': (photo[..., 0], None)},
        'test': {'colour': (photo, np.mgrid[:24, :20][0])},
    }
    monkeypatch.setattr(demo_data, 'photos', lambda: named)
    return photo


def test_what_is_written(few, tmp_path):
    folder = tmp_path / 'demo'
    make_demo_data(folder)
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob('*.*'))
    names = [f'train/{{}}/grey_{view}' for view in range(VIEWS)] + ['test/{}/colour']
    kinds = dict(input='png', target='png', radius='npy')
    assert files == sorted(
        f'{name.format(kind)}.{ending}'
        for name in names
        for kind, ending in kinds.items()
    )
    np.testing.assert_array_equal(Image.open(folder / 'test/target/colour.png'), few)
    grey = np.asarray(Image.open(folder / 'train/target/grey_0.png'))
    np.testing.assert_array_equal(grey, np.stack([few[..., 0]] * 3, axis=2))
    # Focused near the first row, which is where the depth begins.
    radius = np.load(folder / 'test/radius/colour.npy')
    assert radius.shape == (24, 20)
    assert radius[0].max() < radius[-1].min() == radius.max()
    assert radius.max() == pytest.approx(MAX_RADIUS)


def test_it_is_the_same_every_time_and_not_made_twice(few, tmp_path, monkeypatch):
    for name in 'ab':
        make_demo_data(tmp_path / name)
    for path in (tmp_path / 'a').rglob('*.*'):
        other = tmp_path / 'b' / path.relative_to(tmp_path / 'a')
        assert path.read_bytes() == other.read_bytes()
    monkeypatch.setattr(demo_data, 'photos', lambda: 1 / 0)
    make_demo_data(tmp_path / 'a')


def test_radii_by_hand():
    depth = np.array([[10.0, 20.0, 30.0]])
    half = (MIN_RADIUS + MAX_RADIUS) / 2
    expected = [[MIN_RADIUS, half, MAX_RADIUS]]
    np.testing.assert_allclose(radius_map(depth, 0), expected)
    expected = [[MAX_RADIUS, MIN_RADIUS, MAX_RADIUS]]
    np.testing.assert_allclose(radius_map(depth, 0.5), expected)


def test_a_plain_surface_stays_plain():
    sharp = np.full((16, 12, 3), 90, np.uint8)
    radius = radius_map(procedural_depth(16, 12, np.random.default_rng(0)), 0.1)
    np.testing.assert_allclose(blur(sharp, radius), sharp, atol=1)


def test_every_split_has_photos_of_its_own():
    named = demo_data.photos()
    assert set(named) == {'train', 'test', 'val'}
    all_names = [name for photos in named.values() for name in photos]
    assert len(all_names) == len(set(all_names))
    # What is drawn at random for others is as before: results stay comparable.
    assert list(named)[-1] == 'val'
