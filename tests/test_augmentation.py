"""IFAN's changes of photo, target and views, by scikit-image and by hand."""

import numpy as np
import pytest
from mmagic.registry import TRANSFORMS
from skimage.measure import block_reduce

from mmagic_inik.datasets import SharedGrey, SharedNoise, SharedShrink, StackViews


@pytest.fixture
def results():
    np.random.seed(0)
    return {
        key: np.random.randint(0, 256, (8, 12, 3), dtype=np.uint8)
        for key in ('img', 'gt', 'left')
    }


def test_noise_is_one_field_for_all_of_its_images(results):
    for key in results:
        results[key][:] = 128
    transform = SharedNoise(['img', 'left', 'right'], ratio=1, sigma=(0.02, 0.02))
    changed = transform.transform(dict(results))
    assert np.array_equal(changed['img'], changed['left'])
    assert np.array_equal(changed['gt'], results['gt'])
    assert 'right' not in changed
    noise = changed['img'] - 128
    assert changed['img'].dtype == np.float32
    assert noise.std() == pytest.approx(255 * 0.02, rel=0.2)
    # It is of the colours, too.
    assert noise.std(axis=-1).min() > 0


def test_noise_is_clipped(results):
    results['img'][:] = 255
    noisy = SharedNoise(['img'], ratio=1, sigma=(0.5, 0.5)).transform(results)['img']
    assert noisy.max() == 255
    assert noisy.min() >= 0
    assert (noisy < 255).any()


def test_grey_of_known_colors():
    image = np.array([[[255, 255, 255], [255, 0, 0], [0, 0, 0], [1, 1, 1]]], np.uint8)
    grey = SharedGrey(['img'], ratio=1).transform(dict(img=image))['img']
    assert grey.shape == (1, 4, 3)
    assert (grey == grey[..., :1]).all()
    # White; 0.2126 of light; black; 1/255 of light, still above the curve's start.
    red = 255 * (1.055 * 0.2126 ** (1 / 2.4) - 0.055)
    dim = 255 * (1.055 * (1.00008 / 255) ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(grey[0, :, 0], [255, red, 0, dim], atol=0.02)


def test_shrinking_is_the_mean_of_areas(results, monkeypatch):
    monkeypatch.setattr(np.random, 'uniform', lambda low, high: 0.5)
    keys = ['img', 'gt']
    changed = SharedShrink(keys, ratio=1, least=0.5).transform(dict(results))
    for key in keys:
        expected = block_reduce(results[key].astype(float), (2, 2, 1), np.mean)
        assert np.abs(changed[key] - expected).max() <= 0.5
    assert changed['left'].shape == (8, 12, 3)


@pytest.mark.parametrize('ratio', [0, 1])
def test_ratio(results, ratio):
    steps = [
        SharedNoise(['img'], ratio, (0.1, 0.1)),
        SharedGrey(['img'], ratio),
        SharedShrink(['img'], ratio, 0.7),
    ]
    for step in steps:
        before = results['img'].copy()
        after = step.transform(dict(results))['img']
        changed = after.shape != before.shape or not np.array_equal(before, after)
        assert changed == bool(ratio)
        assert np.array_equal(results['img'], before)


def test_half_of_the_time(results):
    step = SharedGrey(['img'], 0.5)
    dtypes = [step.transform(dict(results))['img'].dtype for _ in range(40)]
    assert {np.dtype(np.uint8), np.dtype(np.float32)} == set(dtypes)


def test_views_take_the_photos_place(results):
    left, right = results['left'].copy(), results['gt'].copy()
    results['right'] = right
    stacked = TRANSFORMS.build(dict(type='StackViews')).transform(results)
    assert isinstance(TRANSFORMS.build(dict(type='StackViews')), StackViews)
    assert np.array_equal(stacked['img'][..., :3], left)
    assert np.array_equal(stacked['img'][..., 3:], right)
    assert 'left' not in stacked
    assert stacked['ori_img_shape'] == (8, 12, 6)


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match=r'ratio must be in \[0, 1\], got 2'):
        SharedGrey(['img'], 2)
    with pytest.raises(ValueError, match=r'least must be in \(0, 1\], got 0'):
        SharedShrink(['img'], 1, 0)
