from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from mmagic.evaluation import metrics as mmagic_metrics
from mmagic.evaluation.metrics import SSIM
from mmagic.evaluation.metrics.mae import MAE
from mmagic.evaluation.metrics.niqe import niqe_core
from mmagic.evaluation.metrics.psnr import psnr as mmagic_psnr
from scipy import ndimage
from skimage.color import rgb2gray
from skimage.data import astronaut
from skimage.metrics import structural_similarity

import mmagic_inik.evaluation.metrics as scores
from mmagic_inik.datasets import read_photo
from mmagic_inik.errors import InputError

PHOTOS = Path(__file__).parents[2] / 'shared/data/dpdd_r61'


def _pair(height=37, width=31, channels=3, seed=0):
    """Sharp and blurred noise with an offset, (H, W, C) in [0, 255]."""
    sharp = np.random.default_rng(seed).random((height, width, channels))
    blurred = ndimage.gaussian_filter(sharp, (1, 1, 0)) * 0.8 + 0.1
    return sharp * 255, blurred * 255


def _skimage(gt, pred):
    return structural_similarity(
        gt / 255, pred / 255, win_size=7, channel_axis=2, data_range=1
    )


def _ssim_by_hand(a, b, weights, sample_covariance):
    """Wang et al.'s formula over every window that lies within the image."""
    c1, c2 = 0.01**2, 0.03**2
    n = len(weights)
    unbiased = n * n / (n * n - 1) if sample_covariance else 1
    values = []
    for channel in range(a.shape[2]):
        for y in range(a.shape[0] - n + 1):
            for x in range(a.shape[1] - n + 1):
                p, q = (i[y : y + n, x : x + n, channel] / 255 for i in (a, b))
                mp, mq = (weights * p).sum(), (weights * q).sum()
                vp, vq, cov = (
                    (weights * d * e).sum() * unbiased
                    for d, e in (
                        (p - mp, p - mp),
                        (q - mq, q - mq),
                        (p - mp, q - mq),
                    )
                )
                values.append(
                    (2 * mp * mq + c1)
                    * (2 * cov + c2)
                    / ((mp * mp + mq * mq + c1) * (vp + vq + c2))
                )
    return np.mean(values)


@pytest.mark.parametrize('channels', [3, 1], ids=['rgb', 'grey'])
def test_psnr_and_mae_by_loops(channels):
    gt, pred = _pair(5, 7, channels)
    errors = [a - b for a, b in zip(gt.ravel(), pred.ravel(), strict=True)]
    squared = sum(e * e for e in errors) / len(errors)
    assert scores.psnr(gt, pred) == pytest.approx(
        20 * np.log10(255) - 10 * np.log10(squared), abs=1e-10
    )
    absolute = sum(map(abs, errors)) / len(errors)
    assert scores.mae(gt, pred) == pytest.approx(absolute / 255, abs=1e-12)


def test_psnr_and_mae_as_mmagic():
    gt, pred = (x.astype(np.float32) for x in _pair())
    assert scores.psnr(gt, pred) == pytest.approx(mmagic_psnr(gt, pred), abs=1e-4)
    assert scores.mae(gt, pred) == pytest.approx(
        MAE().process_image(gt, pred, None), abs=1e-6
    )


def test_scores_of_equal_images():
    gt, _ = _pair()
    assert scores.psnr(gt, gt.copy()) == np.inf
    assert scores.mae(gt, gt.copy()) == 0
    for ssim in (scores.ssim_7x7, scores.ssim_11x11):
        assert ssim(gt, gt.copy()) == pytest.approx(1)


@pytest.mark.parametrize('channels', [3, 1], ids=['rgb', 'grey'])
@pytest.mark.parametrize(
    'size', [(37, 31), (7, 7), (8, 40)], ids='{0[0]}x{0[1]}'.format
)
def test_ssim_7x7_as_scikit_image(size, channels):
    gt, pred = _pair(*size, channels)
    assert scores.ssim_7x7(gt, pred) == pytest.approx(_skimage(gt, pred), abs=1e-9)


def test_ssim_7x7_by_hand():
    gt, pred = _pair(11, 13, 2)
    expected = _ssim_by_hand(gt, pred, np.full((7, 7), 1 / 49), True)
    assert scores.ssim_7x7(gt, pred) == pytest.approx(expected, abs=1e-9)


def test_ssim_11x11_by_hand():
    gt, pred = _pair(14, 13, 2)
    bell = np.exp(-np.square(np.arange(-5, 6)) / (2 * 1.5**2))
    weights = np.outer(bell, bell)
    expected = _ssim_by_hand(gt, pred, weights / weights.sum(), False)
    assert scores.ssim_11x11(gt, pred) == pytest.approx(expected, abs=1e-9)


def test_ssim_11x11_is_mmagics_and_7x7_is_not():
    gt, pred = (x.astype(np.float32) for x in _pair(60, 50))
    theirs = SSIM(input_order='HWC').process_image(gt, pred, None)
    assert scores.ssim_11x11(gt, pred) == pytest.approx(theirs, abs=1e-5)
    assert abs(scores.ssim_7x7(gt, pred) - theirs) > 0.002


@pytest.mark.parametrize(
    'size', [(1, 1), (3, 20), (20, 6), (6, 6)], ids='{0[0]}x{0[1]}'.format
)
def test_tiny_images_are_extended_by_replication(size):
    gt, pred = _pair(*size)

    def extended(image, least):
        rows, columns = (
            np.minimum(np.arange(max(side, least)), side - 1) for side in size
        )
        return image[rows][:, columns]

    value = scores.ssim_7x7(gt, pred)
    assert value == pytest.approx(_skimage(extended(gt, 7), extended(pred, 7)))
    theirs = SSIM(input_order='HWC').process_image(
        *(extended(x, 11) for x in (gt, pred)), None
    )
    assert scores.ssim_11x11(gt, pred) == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize('ssim', [scores.ssim_7x7, scores.ssim_11x11])
def test_ssim_of_flat_images(ssim):
    # Without variance only the luminance term is left: (2ab + c1) / (a² + b² + c1).
    gt, pred = (np.full((12, 13, 3), level) for level in (51.0, 102.0))
    assert ssim(gt, pred) == pytest.approx((2 * 0.08 + 1e-4) / (0.2 + 1e-4), abs=1e-9)


@pytest.mark.parametrize('dtype', [np.uint8, np.float32, np.float64])
def test_types_of_images(dtype):
    gt, pred = (np.rint(x).astype(dtype) for x in _pair())
    # Eight bits must not wrap around when they are subtracted.
    exact = [x.astype(np.float64) for x in (gt, pred)]
    for score in (scores.psnr, scores.mae, scores.ssim_7x7, scores.ssim_11x11):
        assert score(gt, pred) == pytest.approx(score(*exact), abs=1e-12)


def _niqe_of_grey(grey):
    """Its published model, on an image that is grey by other means."""
    parameters = np.load(
        Path(mmagic_metrics.__file__).with_name('niqe_pris_params.npz')
    )
    return niqe_core(
        grey,
        parameters['mu_pris_param'],
        parameters['cov_pris_param'],
        parameters['gaussian_window'],
    )


def test_niqe_measures_the_grey_image():
    photo = astronaut()[:200, :300]
    # OpenCV's weights of red, green and blue, by hand.
    grey = np.rint(photo @ np.float32([0.299, 0.587, 0.114]))
    value = scores.niqe(photo)
    assert value == pytest.approx(float(_niqe_of_grey(grey)), abs=1e-3)
    # Another order or other weights give another figure.
    assert abs(scores.niqe(photo[..., ::-1]) - value) > 1e-3
    assert abs(float(_niqe_of_grey(np.rint(rgb2gray(photo) * 255))) - value) > 1e-3
    one_channel = grey[..., None]
    assert scores.niqe(one_channel) == pytest.approx(value, abs=1e-3)


def test_niqe_tells_noise_from_a_photo():
    photo = astronaut()[:200, :300].astype(float)
    noise = np.random.default_rng(0).normal(0, 40, photo.shape)
    assert scores.niqe(photo + noise) > scores.niqe(photo) + 1


@pytest.mark.parametrize('size', [(96, 191), (191, 191), (95, 900)])
def test_niqe_of_small_images_is_one_clear_error(size):
    height, width = size
    expected = f'two blocks of 96x96 pixels at least, got {width}x{height}'
    with pytest.raises(InputError, match=expected):
        scores.niqe(np.zeros((*size, 3)))
    photo = astronaut()
    assert np.isfinite(scores.niqe(photo[:96, :192]))


def test_niqe_of_flat_images_is_no_number():
    assert np.isnan(scores.niqe(np.full((200, 200, 3), 128.0)))


@pytest.mark.long
def test_real_photos():
    """Fixed points of untouched photos, all sixty: PSNR 24.824, SSIM 0.7410."""
    if not PHOTOS.exists():
        pytest.skip(f'{PHOTOS} is not here')
    table = []
    for path in sorted((PHOTOS / 'input').iterdir()):
        pred, gt = (read_photo(p) for p in (path, PHOTOS / 'target' / path.name))
        table.append((scores.psnr(gt, pred), scores.ssim_7x7(gt, pred)))
    assert len(table) == 60
    np.testing.assert_allclose(np.mean(table, 0), (24.824, 0.7410), atol=6e-4)


def test_lpips_needs_no_gradient_and_takes_grey(tmp_path):
    path = tmp_path / 'alexnet.pth'
    torch.manual_seed(0)
    torch.save(torchvision.models.alexnet(weights=None).state_dict(), path)
    gt, pred = _pair(channels=1)
    value = scores.lpips(gt, pred, 'alex', str(path))
    rgb = (np.repeat(x, 3, 2) for x in (gt, pred))
    assert value == pytest.approx(scores.lpips(*rgb, 'alex', str(path)))
    assert value > 0


def _decibels(gt, pred):
    return 10 * np.log10(255**2 / ((gt - pred) ** 2).mean())


def _least_squares(gt, pred):
    """Scale and offset of every channel by NumPy's solver, clipped."""
    matched = np.empty_like(pred)
    for channel in range(gt.shape[2]):
        image = pred[..., channel].ravel()
        system = np.stack([image, np.ones_like(image)], 1)
        solution, *_ = np.linalg.lstsq(system, gt[..., channel].ravel(), rcond=None)
        matched[..., channel] = (system @ solution).reshape(gt.shape[:2])
    return matched.clip(0, 255)


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('gain', [0.6, 1.2], ids=['dark', 'bright'])
def test_psnr_matched_as_least_squares(channels, gain):
    sharp, blurred = _pair(channels=channels)
    pred = blurred * (gain + 0.05 * np.arange(channels)) - 7
    expected = _decibels(sharp, _least_squares(sharp, pred))
    assert scores.psnr_matched(sharp, pred) == pytest.approx(expected, abs=1e-9)
    assert scores.psnr_matched(sharp, pred) > scores.psnr(sharp, pred)
    # Brightness makes no difference to it.
    other = scores.psnr_matched(sharp, 0.5 * pred + 20)
    assert other == pytest.approx(expected, abs=1e-9)


def test_psnr_matched_clips():
    # Half of the light lies above white after matching.
    gt = np.full((10, 10, 1), 250.0)
    gt[:5] = 100
    pred = gt.copy()
    pred[7, 7] = 500
    matched = _least_squares(gt, pred)
    assert matched.max() == 255
    expected = _decibels(gt, matched)
    assert scores.psnr_matched(gt, pred) == pytest.approx(expected, abs=1e-9)


def test_psnr_matched_of_flat_images():
    sharp, _ = _pair()
    mean = np.broadcast_to(sharp.mean((0, 1)), sharp.shape)
    expected = scores.psnr(sharp, mean)
    # The mean of the second is not exactly itself.
    for flat in (np.full_like(sharp, 30), np.full_like(sharp, 30.1)):
        assert scores.psnr_matched(sharp, flat) == pytest.approx(expected)
    assert scores.psnr_matched(flat, flat) == np.inf
