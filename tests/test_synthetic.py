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
from mmagic_inik.datasets.photos import read_photo

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
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(option, value):
    with pytest.raises(ValueError, match=f'{option}.* (be|must)'):
        SyntheticDefocus(**{option: value})


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
