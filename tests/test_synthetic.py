import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmagic.registry import TRANSFORMS
from mmengine.dataset import Compose
from scipy import ndimage
from torch.utils.data import DataLoader, Dataset

from mmagic_inik.datasets import SyntheticDefocus
from mmagic_inik.photos import read_photo

DATA = Path(__file__).parents[2] / 'shared' / 'data'
# No noise, nothing in front, nothing above white, no JPEG.
PLAIN = dict(max_cutouts=0, highlights=1, shot_noise=0, read_noise=0, jpeg_quality=None)


def photo(height=60, width=80, dtype=np.uint8):
    """Colours that are smooth enough to be told from their blur, and all different."""
    random = np.random.default_rng(0)
    image = random.uniform(-200, 455, (height, width, 3))
    image = ndimage.gaussian_filter(image, (1, 1, 0)) * 2 - 127
    image = np.clip(image, 0, 255).astype(np.float32)
    return np.rint(image).astype(np.uint8) if dtype == np.uint8 else image


def depth_map(height=60, width=80):
    depth = np.full((height, width), 4.0, np.float32)
    depth[height // 3 :, width // 4 : width // 2] = 0.8
    depth[:5] = 0
    return depth


def digest(result):
    parts = (result[key].tobytes() for key in ('img', 'gt', 'coc'))
    return hashlib.sha256(b''.join(parts)).hexdigest()


def sample(index=0, image=None, depth=None, **options):
    results = dict(gt=photo() if image is None else image, sample_idx=index)
    if depth is not None:
        results['depth'] = depth
    return SyntheticDefocus(**options).transform(results)


class Samples(Dataset):
    def __init__(self, **options):
        self.transform = SyntheticDefocus(crop_size=32, max_radius=4, **options)

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return digest(self.transform(dict(gt=photo(), sample_idx=index)))


def test_same_seed_and_index_give_the_same_bytes():
    dataset = Samples()
    expected = [dataset[n] for n in range(6)]
    assert len(set(expected)) == 6
    assert [dataset[n] for n in (3, 0, 5)] == [expected[n] for n in (3, 0, 5)]
    assert [Samples()[n] for n in range(6)] == expected
    assert not set(expected) & {Samples(seed=1)[n] for n in range(6)}


@pytest.mark.parametrize('workers', [0, 1, 3])
def test_workers_change_nothing(workers):
    np.random.seed(workers)
    torch.manual_seed(workers)
    dataset = Samples()
    loader = DataLoader(dataset, batch_size=2, num_workers=workers)
    assert [one for batch in loader for one in batch] == [dataset[n] for n in range(6)]


@pytest.mark.parametrize('depth', [None, depth_map()], ids=['plain', 'depth'])
@pytest.mark.parametrize('highlights', [1, 6])
def test_target_is_the_photograph(depth, highlights):
    options = dict(PLAIN, highlights=highlights, crop_size=24, max_radius=5)
    image = photo()
    assert (image.min(2) == 255).any()
    turned = _turned(image)
    used = set()
    for index in range(30):
        target = sample(index, image, depth, **options)['gt']
        places = [
            number
            for number, candidate in enumerate(turned)
            if _holds(candidate, target)
        ]
        assert len(places) == 1
        used |= set(places)
    # All eight ways; 30 draws miss one with a chance of 15 %, of more hardly ever.
    assert len(used) >= 6


def _turned(image):
    """All eight flips and transpositions."""
    flipped = [image[::rows, ::columns] for rows in (1, -1) for columns in (1, -1)]
    return flipped + [image.swapaxes(0, 1) for image in flipped]


def _holds(image, crop):
    """Whether a picture contains a crop to the bit."""
    height, width = crop.shape[:2]
    starts = np.argwhere((image == crop[0, 0]).all(2))
    return any(
        np.array_equal(image[y : y + height, x : x + width], crop) for y, x in starts
    )


@pytest.mark.parametrize('shape', [(37, 31), (60, 80), (1, 1), (2, 9), (1, 40)])
@pytest.mark.parametrize('index', range(5))
def test_whole_photographs_of_any_size(shape, index):
    image = photo(*shape)
    # With a margin larger than these photographs.
    result = sample(index, image, crop_size=None, max_radius=40, **PLAIN)
    np.testing.assert_array_equal(result['gt'], image)
    for key, dtype in (('img', np.uint8), ('gt', np.uint8), ('coc', np.float32)):
        assert result[key].shape[:2] == shape
        assert result[key].dtype == dtype
        assert result[key].flags.c_contiguous
    assert result['ori_img_shape'] == result['ori_gt_shape'] == (*shape, 3)
    assert result['img_channel_order'] == result['gt_channel_order'] == 'RGB'


def test_whole_photograph_whose_half_diagonal_rounds_down():
    image = photo(67, 533)
    options = dict(PLAIN, psfs=['cats_eye'], max_radius=3)
    result = sample(0, image, crop_size=None, **options)
    np.testing.assert_array_equal(result['gt'], image)


@pytest.mark.parametrize('psf', ['disc', 'gaussian', 'polygon', 'ring', 'cats_eye'])
def test_photographs_smaller_than_the_crop(psf):
    image = photo(5, 40)
    result = sample(3, image, crop_size=48, max_radius=8, psfs=[psf], **PLAIN)
    assert result['img'].shape == result['gt'].shape == (48, 48, 3)
    # Continued by reflection, as NumPy does it.
    grown = [
        np.pad(
            turned, [*((0, 48 - side) for side in turned.shape[:2]), (0, 0)], 'reflect'
        )
        for turned in _turned(image)
    ]
    assert any(np.array_equal(result['gt'], g) for g in grown)
    assert result['img'].std() > 1


def test_flat_photograph_shows_the_noise():
    image = np.full((200, 200, 3), 128, np.uint8)
    # sRGB: ((128/255 + 0.055) / 1.055)^2.4, and its slope there in pixels.
    light = ((128 / 255 + 0.055) / 1.055) ** 2.4
    slope = 255 * 1.055 / 2.4 * light ** (1 / 2.4 - 1)
    options = dict(PLAIN, crop_size=200, max_radius=2)
    ratios = []
    for index in range(20):
        result = sample(index, image, **dict(options, shot_noise=0.05))
        assert (result['gt'] == 128).all()
        noise = result['img'].astype(float) - 128
        # Rounding adds 1/12.
        variance = noise.var() - 1 / 12
        ratios.append(np.sqrt(max(variance, 0) / light) / slope)
        # Squared through the curve's bend, noise moves the mean a little.
        assert abs(noise.mean()) < 0.6
    # Evenly from none to what was asked.
    assert max(ratios) < 0.05 * 1.02
    assert max(ratios) > 0.04
    assert min(ratios) < 0.01
    assert np.mean(ratios) == pytest.approx(0.025, abs=0.012)
    result = sample(0, image, **options)
    assert (result['img'] == 128).all()


@pytest.mark.parametrize('value', [0, 119, 255])
def test_uniform_photographs_stay_uniform(value):
    image = np.full((50, 50, 3), value, np.uint8)
    options = dict(PLAIN, max_cutouts=3, highlights=4)
    for index in range(10):
        for depth in (None, depth_map(50, 50)):
            result = sample(index, image, depth, crop_size=32, **options)
            assert (result['img'] == value).all()
            assert (result['gt'] == value).all()


def test_jpeg_off_is_lossless_and_on_is_jpeg():
    plain = sample(1, crop_size=48, **PLAIN)
    best = sample(1, crop_size=48, **dict(PLAIN, jpeg_quality=(100, 100)))
    worst = sample(1, crop_size=48, **dict(PLAIN, jpeg_quality=(10, 10)))
    np.testing.assert_array_equal(plain['gt'], worst['gt'])
    np.testing.assert_array_equal(plain['coc'], worst['coc'])
    errors = [np.abs(x['img'].astype(int) - plain['img']).mean() for x in (best, worst)]
    assert 0 < errors[0] < errors[1]


@pytest.mark.parametrize('max_radius', [0.7, 9.0])
def test_radius_is_bounded_and_used(max_radius):
    largest = []
    for index in range(40):
        depth = depth_map() if index % 2 else None
        coc = sample(index, depth=depth, crop_size=24, max_radius=max_radius)['coc']
        largest.append(np.abs(coc).max())
    assert max(largest) <= max_radius * (1 + 1e-6)
    assert max(largest) > 0.8 * max_radius
    # Every scene draws its own; seldom none.
    assert min(largest) < 0.3 * max_radius
    assert np.median(largest) > 0.2 * max_radius


def test_scenes_in_focus():
    options = dict(PLAIN, crop_size=32, max_radius=9)
    for depth in (None, depth_map()):
        result = sample(0, depth=depth, in_focus=1, **options)
        assert np.abs(result['coc']).max() <= 0.01
        np.testing.assert_allclose(result['img'], 1.0 * result['gt'], atol=1)
    sharp = [
        np.allclose(result['img'], 1.0 * result['gt'], atol=1)
        for result in (sample(n, in_focus=0.3, **options) for n in range(100))
    ]
    # Four standard deviations to either side.
    assert 12 <= sum(sharp) <= 48


def linear(pixels):
    """The sRGB curve, undone."""
    pixels = pixels / 255
    return np.where(
        pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4
    )


def srgb(light):
    curve = np.where(
        light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055
    )
    return 255 * curve


def test_photograph_made_smaller_is_the_mean_of_its_light():
    image = photo(90, 120)
    options = dict(PLAIN, scale=(0.5, 0.5), crop_size=20, max_radius=3)
    # Any two by two pixels, in all eight ways.
    halves = []
    for turned in _turned(image):
        light = linear(turned.astype(float))
        for y in (0, 1):
            for x in (0, 1):
                part = light[y:, x:]
                part = part[: len(part) // 2 * 2, : part.shape[1] // 2 * 2]
                blocks = part.reshape(part.shape[0] // 2, 2, -1, 2, 3)
                halves.append(srgb(blocks.mean((1, 3))))
    for index in range(8):
        target = sample(index, image, **options)['gt']
        distances = []
        for half in halves:
            windows = np.lib.stride_tricks.sliding_window_view(half, (20, 20), (0, 1))
            windows = windows.transpose(0, 1, 3, 4, 2)
            distances.append(np.abs(windows - target).max((2, 3, 4)).min())
        assert min(distances) < 0.6
    whole = sample(3, image, **dict(options, crop_size=None))
    assert whole['gt'].shape == whole['img'].shape == (45, 60, 3)
    np.testing.assert_allclose(whole['gt'], halves[0], atol=0.6)


@pytest.mark.parametrize('crop_size', [1, 24, None])
@pytest.mark.parametrize('shape', [(37, 31), (1, 1), (24, 200), (5, 90)], ids=str)
def test_photographs_of_any_size_made_smaller(shape, crop_size):
    image, depth = photo(*shape), np.full(shape, 2, np.float32)
    depth[0, 0] = 1
    sides = set()
    for index in range(12):
        result = sample(
            index,
            image,
            depth if index % 2 else None,
            scale=(0.1, 1),
            crop_size=crop_size,
            max_radius=9,
        )
        assert result['img'].shape == result['gt'].shape
        assert result['coc'].shape == result['gt'].shape[:2]
        sides.add(result['gt'].shape[:2])
    if crop_size:
        assert sides == {(crop_size, crop_size)}
    elif min(shape) > 1:
        assert len(sides) > 5
        assert all(np.less_equal(side, shape).all() for side in sides)


def test_no_photograph_is_made_smaller_than_the_crop():
    image = photo(24, 40)
    turned = _turned(image)
    options = dict(PLAIN, crop_size=24, max_radius=3, scale=(0.2, 0.3))
    for index in range(10):
        target = sample(index, image, **options)['gt']
        assert any(_holds(candidate, target) for candidate in turned)


def test_scale_is_drawn_from_its_range():
    # Stripes of four pixels: of period 8 · scale afterwards.
    image = np.zeros((400, 400, 3), np.uint8)
    image[:, np.arange(400) % 8 < 4] = 255
    scales = []
    for index in range(40):
        options = dict(PLAIN, crop_size=100, max_radius=1, scale=(0.5, 1))
        target = sample(index, image, **options)['gt'][..., 0].astype(float)
        line = max((target.mean(0), target.mean(1)), key=np.std)
        power = np.abs(np.fft.rfft(line - line.mean(), 4000))
        scales.append(4000 / power.argmax() / 8)
    assert 0.48 < min(scales) < 0.6
    assert 0.9 < max(scales) < 1.02
    assert np.mean(scales) == pytest.approx(0.75, abs=0.08)


def test_depth_of_a_smaller_photograph_has_no_depth_between():
    depth = np.full((61, 83), 4.0, np.float32)
    depth[:, :33] = 0.8
    for index in range(5):
        options = dict(PLAIN, crop_size=None, scale=(0.4, 0.9), max_radius=5)
        coc = sample(index, photo(61, 83), depth, **options)['coc']
        assert len(np.unique(coc)) == 2


def test_brightness_of_the_input_alone_changes():
    image = np.full((50, 50, 3), 128, np.uint8)
    options = dict(PLAIN, crop_size=32, max_radius=2)
    gains, spread = [], []
    for index in range(60):
        result = sample(index, image, **options, gain=(0.8, 1.1), color_gain=0.02)
        assert (result['gt'] == 128).all()
        by_color = linear(result['img'].astype(float)).mean((0, 1)) / linear(128)
        gains.append(by_color.mean())
        spread.append(np.ptp(by_color))
    assert 0.78 < min(gains) < 0.85
    assert 1.05 < max(gains) < 1.13
    assert 0.01 < max(spread) < 0.045
    same = sample(0, image, **options, gain=(1, 1))
    assert (same['img'] == 128).all()


def test_gain_of_what_is_in_focus_too():
    options = dict(PLAIN, crop_size=32, in_focus=1, soft_in_focus=0.5)
    for index in range(4):
        result = sample(index, **options, gain=(0.7, 0.7))
        expected = srgb(0.7 * linear(result['gt'].astype(float)))
        np.testing.assert_allclose(result['img'], expected, atol=1.5)


def test_soft_scenes_have_nothing_to_undo():
    image = photo(100, 100)
    sharp = np.abs(np.diff(image.astype(float), axis=0)).mean()
    ratios = []
    for index in range(80):
        options = dict(PLAIN, crop_size=64, in_focus=1, psfs=['disc'])
        result = sample(index, image, soft_in_focus=0.5, **options)
        np.testing.assert_allclose(result['img'], 1.0 * result['gt'], atol=1)
        assert np.abs(result['coc']).max() < 0.02
        slope = np.abs(np.diff(result['gt'].astype(float), axis=0)).mean() / sharp
        ratios.append(slope)
    soft = np.array(ratios) < 0.9
    # Four standard deviations to either side.
    assert 22 <= soft.sum() <= 58
    assert 0.2 < min(ratios) < 0.8


def test_softness_leaves_blurred_scenes_alone():
    options = dict(PLAIN, crop_size=24, max_radius=3)
    turned = _turned(photo())
    blurred = 0
    for index in range(30):
        result = sample(index, in_focus=0.3, soft_in_focus=1, **options)
        if np.abs(result['coc']).max() > 0.02:
            blurred += 1
            assert any(_holds(candidate, result['gt']) for candidate in turned)
    assert 10 < blurred < 30


def test_fringes_change_the_radius_of_red_and_blue():
    # A point of light, grey: its variance is r²/4 in either direction.
    image = np.zeros((81, 81, 3), np.uint8)
    image[40, 40] = 254
    y, x = np.indices((81, 81)) - 40
    options = dict(PLAIN, crop_size=None, max_radius=9, psfs=['disc'], highlights=1)
    ratios = []
    for index in range(40):
        result = sample(index, image, fringes=0.1, **options)
        radius = np.abs(result['coc'][40, 40])
        np.testing.assert_array_equal(result['gt'], image)
        if radius < 4:
            continue
        light = linear(result['img'].astype(float))
        weight = light.sum((0, 1))
        second = (light * (x * x + y * y)[..., None]).sum((0, 1)) / weight
        ratios.append(np.sqrt(second / second[1])[[0, 2]])
    ratios = np.array(ratios)
    assert len(ratios) > 10
    assert 0.89 < ratios.min() < 0.96
    assert 1.04 < ratios.max() < 1.11
    assert np.abs(np.corrcoef(ratios.T)[0, 1]) < 0.7


def test_exposure_darkens_target_and_input_alike():
    image = np.full((50, 50, 3), 200, np.uint8)
    factors = []
    for index in range(60):
        result = sample(index, image, **PLAIN, crop_size=32, exposure=(0.25, 0.8))
        assert np.ptp(result['gt']) == 0
        np.testing.assert_array_equal(result['img'], result['gt'])
        factors.append(linear(float(result['gt'][0, 0, 0])) / linear(200.0))
    assert 0.24 < min(factors) < 0.3
    assert 0.7 < max(factors) < 0.81


def test_softness_is_that_of_the_target_too():
    # Stripes of four pixels: a Gaussian leaves exp(-2 π² σ² / 16) of their contrast.
    image = np.full((64, 64, 3), 100, np.uint8)
    image[:, ::4] = image[:, 1::4] = 140
    options = dict(PLAIN, crop_size=32, in_focus=1, psfs=['disc'])
    contrasts = []
    for index in range(60):
        result = sample(index, image, **options, softness=1.5)
        np.testing.assert_allclose(result['img'], 1.0 * result['gt'], atol=1)
        contrasts.append(np.ptp(result['gt'][8:-8, 8:-8]) / 40)
    assert max(contrasts) == 1
    least = np.exp(-2 * np.pi**2 * 1.5**2 / 16)
    assert least < min(contrasts) < 3 * least
    assert 0.2 < np.mean(np.array(contrasts) < 0.6) < 0.8


@pytest.mark.parametrize('value', [0, 119, 255])
def test_uniform_photographs_stay_uniform_with_all_options(value):
    image = np.full((50, 50, 3), value, np.uint8)
    options = dict(scale=(0.4, 1), fringes=0.1, in_focus=0.5, soft_in_focus=0.5)
    options['softness'] = 0.9
    for index in range(10):
        for depth in (None, depth_map(50, 50)):
            plain = dict(PLAIN, max_cutouts=3, highlights=4)
            result = sample(index, image, depth, crop_size=32, **plain, **options)
            assert (result['img'] == value).all()
            assert (result['gt'] == value).all()


def test_blur_grows_with_the_radius():
    image = np.zeros((64, 64, 3), np.uint8)
    image[::4] = 255
    contrasts, radii = [], []
    for index in range(30):
        result = sample(index, image, crop_size=32, max_radius=4, **PLAIN)
        radii.append(np.abs(result['coc']).mean())
        contrasts.append(result['img'].std() / result['gt'].std())
    # Radii within the stripes' period blur the more, the larger they are.
    assert np.corrcoef(radii, contrasts)[0, 1] < -0.7
    sharp = [c for r, c in zip(radii, contrasts, strict=True) if r < 0.25]
    assert min(sharp) > 0.9


def test_cutouts_stand_in_front():
    seen = set()
    for index in range(30):
        result = sample(index, crop_size=40, max_radius=6, **dict(PLAIN, max_cutouts=2))
        # Surfaces are smooth; between them the radius steps.
        steps = np.abs(np.diff(result['coc'], axis=1)).max() > 0.5
        seen.add(bool(steps))
    assert seen == {True, False}


def test_highlights_spread_white():
    image = np.zeros((64, 64, 3), np.uint8)
    image[24:40, 24:40] = 255
    lit = []
    for highlights in (1, 10):
        options = dict(PLAIN, highlights=highlights, psfs=['disc'])
        results = [
            sample(n, image, crop_size=None, max_radius=8, **options) for n in range(8)
        ]
        assert all(np.array_equal(r['gt'], image) for r in results)
        lit.append(np.mean([(r['img'] == 255).mean() for r in results]))
    assert lit[1] > 1.3 * lit[0]


def test_float_photographs():
    image = photo(dtype=np.float32)
    assert (image % 1).any()
    result = sample(2, image, crop_size=None, **PLAIN)
    # Rounded, through a table that knows a 20th of a pixel.
    np.testing.assert_allclose(result['gt'], image, atol=0.55)
    assert result['img'].dtype == np.uint8


def test_depth_decides_the_blur():
    depth = depth_map()
    for index in range(5):
        result = sample(index, depth=depth, crop_size=None, **PLAIN)
        assert 'depth' not in result
        coc = result['coc']
        near, far = coc[40, 30], coc[40, 60]
        assert near < far
        # Two depths, two radii; what is unknown takes the nearest pixel's.
        expected = np.where(depth == np.float32(0.8), near, far)
        np.testing.assert_array_equal(coc, expected)


def test_unknown_depth_in_all_of_a_crop():
    depth = np.zeros((200, 200), np.float32)
    depth[0, 0] = 2
    for index in range(5):
        result = sample(index, photo(200, 200), depth, crop_size=20, max_radius=2)
        assert np.ptp(result['coc']) == 0


@pytest.mark.parametrize('crop_size', [24, None])
def test_photograph_and_depth_given_are_not_changed(crop_size):
    # They may be a loader's cache.
    image, depth = photo(), depth_map()
    image.flags.writeable = depth.flags.writeable = False
    cached = dict(gt=image, depth=depth)
    for index in range(3):
        sample(index, image, depth, crop_size=crop_size)
        sample(index, image, crop_size=crop_size)
    assert cached.keys() == {'gt', 'depth'}
    np.testing.assert_array_equal(image, photo())
    np.testing.assert_array_equal(depth, depth_map())


def test_in_mmagics_pipeline():
    pipeline = Compose(
        [
            dict(type='SyntheticDefocus', crop_size=32),
            dict(type='PackInputs', meta_keys=['coc']),
        ]
    )
    packed = pipeline(dict(gt=photo(), sample_idx=4, gt_path='a.png'))
    expected = TRANSFORMS.build(dict(type='SyntheticDefocus', crop_size=32))(
        dict(gt=photo(), sample_idx=4)
    )
    target = packed['data_samples'].gt_img
    for tensor, key in ((packed['inputs'], 'img'), (target, 'gt')):
        assert tensor.shape == (3, 32, 32)
        assert tensor.dtype == torch.uint8
        np.testing.assert_array_equal(tensor.permute(1, 2, 0), expected[key])
    np.testing.assert_array_equal(packed['data_samples'].coc, expected['coc'])


@pytest.mark.parametrize(
    ('option', 'value'),
    [
        ('crop_size', 0),
        ('max_radius', 0.0),
        ('in_focus', -0.1),
        ('in_focus', 1.1),
        ('psfs', ()),
        ('psfs', ('disc', 'star')),
        ('max_cutouts', -1),
        ('highlights', 0.9),
        ('shot_noise', -0.1),
        ('read_noise', -0.1),
        ('jpeg_quality', (80, 70)),
        ('jpeg_quality', (0, 70)),
        ('jpeg_quality', (50, 101)),
        ('seed', -1),
        ('scale', (0, 1)),
        ('scale', (0.8, 0.5)),
        ('scale', (0.5, 1.1)),
        ('softness', -0.1),
        ('exposure', (0, 1)),
        ('exposure', (0.5, 1.1)),
        ('gain', (0, 1)),
        ('gain', (1.1, 0.9)),
        ('color_gain', -0.1),
        ('fringes', 1.1),
        ('soft_in_focus', 0.5),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(option, value):
    with pytest.raises(ValueError, match=f'{option}.* (be|must)'):
        SyntheticDefocus(**{option: value})


@pytest.mark.parametrize('share', [-0.1, 1.5])
def test_impossible_share_of_soft_scenes(share):
    with pytest.raises(ValueError, match=f'soft_in_focus must be in .*, got {share}'):
        SyntheticDefocus(in_focus=0.5, soft_in_focus=share)


def test_depth_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r'size \(60, 80\) .* got \(80, 60\)'):
        sample(depth=depth_map().T)


@pytest.mark.skipif(
    not (DATA / 'nyu11').is_dir(), reason='needs the photos of shared/data/nyu11'
)
def test_real_depth():
    path = min((DATA / 'nyu11/image').iterdir())
    counts = cv2.imread(str(DATA / 'nyu11/depth' / f'{path.stem}.png'), -1)
    depth = counts.astype(np.float32) / 1000
    image = read_photo(path)
    result = sample(0, image, depth, crop_size=None, **PLAIN)
    np.testing.assert_array_equal(result['gt'], image)
    # A thin lens's blur is linear in the reciprocal of depth.
    line = np.polyfit(1 / depth.ravel(), result['coc'].ravel(), 1)
    fitted = np.polyval(line, 1 / depth)
    np.testing.assert_allclose(result['coc'], fitted, atol=1e-3)
    assert line[0] < 0
