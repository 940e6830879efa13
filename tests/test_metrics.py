from pathlib import Path

import numpy as np
import pytest
import torch
from mmagic.evaluation.metrics import SSIM
from mmagic.models.data_preprocessors import DataPreprocessor
from mmagic.registry import METRICS
from mmagic.structures import DataSample
from mmengine.evaluator import Evaluator
from scipy import ndimage
from skimage.metrics import structural_similarity
from torch import nn

from mmagic_inik.datasets import read_photo
from mmagic_inik.evaluation.metrics import UniformSSIM

PHOTOS = Path(__file__).parents[2] / 'shared/data/dpdd_r61'


def _pair(height=37, width=31, channels=3, seed=0):
    """Sharp and blurred noise with an offset, (H, W, C) in [0, 1]."""
    sharp = np.random.default_rng(seed).random((height, width, channels))
    return sharp, ndimage.gaussian_filter(sharp, (1, 1, 0)) * 0.8 + 0.1


def _tensor(image):
    return torch.from_numpy(np.moveaxis(image, 2, 0).copy() * 255)


def _skimage(gt, pred):
    return structural_similarity(gt, pred, win_size=7, channel_axis=2, data_range=1)


def _ssim_by_hand(a, b):
    """Wang et al.'s formula over every whole 7×7 window, unbiased covariance."""
    c1, c2 = 0.01**2, 0.03**2
    values = []
    for channel in range(a.shape[2]):
        for y in range(a.shape[0] - 6):
            for x in range(a.shape[1] - 6):
                p, q = (i[y : y + 7, x : x + 7, channel].ravel() for i in (a, b))
                (vp, cov), (_, vq) = np.cov(p, q)
                m, n = p.mean(), q.mean()
                values.append(
                    (2 * m * n + c1)
                    * (2 * cov + c2)
                    / ((m * m + n * n + c1) * (vp + vq + c2))
                )
    return np.mean(values)


@pytest.mark.parametrize('channels', [3, 1], ids=['rgb', 'grey'])
@pytest.mark.parametrize(
    'size', [(37, 31), (7, 7), (8, 40)], ids='{0[0]}x{0[1]}'.format
)
def test_ssim_as_scikit_image(size, channels):
    gt, pred = _pair(*size, channels)
    value = UniformSSIM().process_image(_tensor(gt), _tensor(pred), None)
    assert value == pytest.approx(_skimage(gt, pred), abs=1e-9)


def test_ssim_by_hand():
    gt, pred = _pair(11, 13, 2)
    value = UniformSSIM().process_image(_tensor(gt), _tensor(pred), None)
    assert value == pytest.approx(_ssim_by_hand(gt, pred), abs=1e-9)


def test_ssim_of_equal_images_is_one():
    gt = _tensor(_pair()[0])
    assert UniformSSIM().process_image(gt, gt.clone(), None) == pytest.approx(1)


def test_ssim_differs_from_the_gaussian_one():
    gt, pred = map(_tensor, _pair())
    ours = UniformSSIM().process_image(gt, pred, None)
    theirs = SSIM().process_image(gt.float(), pred.float(), None)
    assert abs(ours - theirs) > 0.002


@pytest.mark.parametrize(
    'size', [(1, 1), (3, 20), (20, 6), (6, 6)], ids='{0[0]}x{0[1]}'.format
)
def test_tiny_images_are_extended_by_replication(size):
    gt, pred = _pair(*size)
    rows, columns = (
        np.minimum(np.arange(max(side, 7)), side - 1) for side in gt.shape[:2]
    )
    expected = _skimage(gt[rows][:, columns], pred[rows][:, columns])
    value = UniformSSIM().process_image(_tensor(gt), _tensor(pred), None)
    assert value == pytest.approx(expected, abs=1e-9)


def test_ssim_of_flat_images():
    # Without variance only the luminance term is left: (2ab + c1) / (a² + b² + c1).
    gt, pred = (torch.full((3, 9, 9), level) for level in (51.0, 102.0))
    value = UniformSSIM().process_image(gt, pred, None)
    assert value == pytest.approx((2 * 0.08 + 1e-4) / (0.2 + 1e-4), abs=1e-9)


@pytest.mark.parametrize('dtype', [torch.uint8, torch.float32, torch.float64])
def test_types_of_images(dtype):
    gt, pred = (_tensor(x).round().to(dtype) for x in _pair())
    expected = _skimage(
        *(np.moveaxis(x.double().numpy(), 0, 2) / 255 for x in (gt, pred))
    )
    value = UniformSSIM().process_image(gt, pred, None)
    assert value == pytest.approx(expected, abs=1e-9)


class _Model(nn.Module):
    """What an evaluator asks of a model."""

    data_preprocessor = None


class _Loader:
    def __init__(self, size):
        self.dataset = range(size)


def test_metric_by_mmagic_interface():
    metric = METRICS.build(dict(type='UniformSSIM', prefix='val'))
    assert isinstance(metric, UniformSSIM)
    metric.prepare(_Model(), _Loader(3))
    expected = []
    for seed in range(3):
        gt, pred = _pair(seed=seed)
        sample = DataSample(gt_img=_tensor(gt))
        sample.output = DataSample(pred_img=_tensor(pred))
        metric.process([{}], [sample.to_dict()])
        expected.append(_skimage(gt, pred))
    assert metric.evaluate() == {'val/SSIM_7x7': pytest.approx(np.mean(expected))}


def test_keys_can_be_named():
    gt, pred = _pair()
    metric = UniformSSIM(gt_key='sharp', pred_key='restored')
    metric.process(
        [{}], [{'sharp': _tensor(gt), 'output': {'restored': _tensor(pred)}}]
    )
    assert metric.results == [{'SSIM_7x7': pytest.approx(_skimage(gt, pred))}]


def test_stack_of_images_is_averaged():
    pairs = [_pair(seed=seed) for seed in range(2)]
    gt, pred = (torch.stack([_tensor(p[i]) for p in pairs]) for i in (0, 1))
    metric = UniformSSIM()
    metric.process([{}], [{'gt_img': gt, 'output': {'pred_img': pred}}])
    expected = np.mean([_skimage(*pair) for pair in pairs])
    assert metric.results == [{'SSIM_7x7': pytest.approx(expected)}]


def test_metric_behind_mmagic_preprocessing():
    # From packed 8-bit RGB through MMagic's preprocessor and back, as in its loops.
    gt, pred = (np.rint(x * 255) for x in _pair(32, 40))
    packed = DataSample(gt_img=torch.from_numpy(np.moveaxis(gt, 2, 0)).float())
    packed.set_metainfo(dict(img_channel_order='RGB', gt_channel_order='RGB'))
    preprocessor = DataPreprocessor(
        mean=[0.0], std=[255.0], output_channel_order='RGB'
    ).eval()
    blurred = torch.from_numpy(np.moveaxis(pred, 2, 0)).float()
    data = preprocessor(dict(inputs=[blurred], data_samples=[packed]))
    restored = preprocessor.destruct(data['inputs'], data['data_samples'])
    sample = data['data_samples'].split()[0]
    sample.output = DataSample(pred_img=restored[0])
    evaluator = Evaluator([UniformSSIM()])
    evaluator.process([sample], {})
    value = evaluator.metrics[0].results[0]['SSIM_7x7']
    assert value == pytest.approx(_skimage(gt / 255, pred / 255), abs=1e-6)


def test_real_photos():
    if not PHOTOS.exists():
        pytest.skip(f'{PHOTOS} is not here')
    metric = UniformSSIM()
    expected = []
    for path in sorted((PHOTOS / 'input').iterdir())[:3]:
        pred, gt = (read_photo(p) for p in (path, PHOTOS / 'target' / path.name))
        expected.append(_skimage(gt / 255, pred / 255))
        gt, pred = (torch.from_numpy(x).permute(2, 0, 1).flip(0) for x in (gt, pred))
        metric.process([{}], [{'gt_img': gt, 'output': {'pred_img': pred}}])
    mean = metric.compute_metrics(metric.results)['SSIM_7x7']
    assert mean == pytest.approx(np.mean(expected), abs=1e-6)
    # DATA.md: 0.741 over all sixty.
    assert 0.5 < mean < 0.95
