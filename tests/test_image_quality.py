import logging

import numpy as np
import pytest
import torch
from mmagic.evaluation import Evaluator
from mmagic.models.data_preprocessors import DataPreprocessor
from mmagic.registry import METRICS
from mmagic.structures import DataSample
from mmengine.config import Config
from mmengine.logging import MMLogger
from skimage.data import astronaut
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import nn

from mmagic_inik.errors import InputError
from mmagic_inik.evaluation import ImageQuality
from mmagic_inik.evaluation.image_quality import DEFINITIONS
from mmagic_inik.evaluation.protocol import Protocol

ALL = tuple(DEFINITIONS)


def _pair(height=37, width=31, seed=0):
    """Sharp noise and a prediction that leaves the range, (H, W, 3) RGB."""
    random = np.random.default_rng(seed)
    gt = random.random((height, width, 3)) * 255
    return gt, gt + random.normal(0, 20, gt.shape)


def _tensor(image):
    """As MMagic's loops hand it to metrics: (C, H, W), BGR."""
    return torch.from_numpy(np.moveaxis(image, 2, 0)[::-1].copy())


def _sample(gt, pred, **more):
    sample = {'output': {'pred_img': _tensor(pred)}, **more}
    return sample if gt is None else {**sample, 'gt_img': _tensor(gt)}


def _scores(gt, pred, **options):
    metric = ImageQuality(**options)
    metric.process(None, [_sample(gt, pred)])
    scores = dict(metric.results[0])
    assert scores.pop('image') == 'an image'
    return scores


def _psnr(gt, pred):
    return peak_signal_noise_ratio(gt, pred, data_range=255)


class _Model(nn.Module):
    """What an evaluator asks of a model."""

    data_preprocessor = None


class _Loader:
    def __init__(self, size=1):
        self.dataset = range(size)


def test_predictions_are_clipped_unless_told():
    gt, pred = _pair()
    clipped = _scores(gt, pred, scores=['PSNR'])
    assert clipped == {'PSNR': pytest.approx(_psnr(gt, np.clip(pred, 0, 255)))}
    unclipped = _scores(gt, pred, scores=['PSNR'], clip=False)
    assert unclipped == {'PSNR': pytest.approx(_psnr(gt, pred))}
    assert clipped['PSNR'] > unclipped['PSNR'] + 0.1


def test_crop_is_at_right_and_bottom():
    gt, pred = _pair(37, 50)
    pred = pred.clip(0, 255)
    value = _scores(gt, pred, scores='PSNR', crop_to_multiple=16)['PSNR']
    assert value == pytest.approx(_psnr(gt[:32, :48], pred[:32, :48]))
    whole = _scores(gt, pred, scores='PSNR', crop_to_multiple=1)['PSNR']
    assert whole == pytest.approx(_psnr(gt, pred))


@pytest.mark.parametrize('bits', [8, 16])
def test_bit_depth_of_target_and_prediction(bits):
    gt, pred = _pair()
    pred = pred.clip(0, 255)
    top = 2**bits - 1
    deep = [np.round(x / 255 * top) for x in (gt, pred)]
    value = _scores(gt, pred, scores=['PSNR'], bit_depth=bits)['PSNR']
    expected = peak_signal_noise_ratio(deep[0] / top, pred / 255, data_range=1)
    assert value == pytest.approx(expected, abs=1e-9)
    value = _scores(gt, pred, scores=['PSNR'], bit_depth=bits, round=True)['PSNR']
    dtype = {8: np.uint8, 16: np.uint16}[bits]
    expected = peak_signal_noise_ratio(*(x.astype(dtype) for x in deep))
    assert value == pytest.approx(expected, abs=1e-9)


def test_order_of_channels_matters_to_lpips_and_niqe_alone(monkeypatch):
    import mmagic_inik.evaluation.metrics as module

    seen = []
    monkeypatch.setattr(module, 'lpips', lambda gt, pred, *_: seen.append((gt, pred)))
    photo = astronaut()[:96, :192]
    gt, pred = photo[::-1], photo
    names = ['PSNR', 'SSIM_7x7', 'MAE', 'LPIPS_alex', 'NIQE']
    rgb = _scores(gt, pred, scores=names)
    bgr = _scores(gt, pred, scores=names, channel_order='BGR')
    for name in names[:3]:
        assert rgb[name] == pytest.approx(bgr[name], abs=1e-9)
    assert rgb['NIQE'] == pytest.approx(module.niqe(photo))
    assert bgr['NIQE'] == pytest.approx(module.niqe(photo[..., ::-1]))
    assert abs(rgb['NIQE'] - bgr['NIQE']) > 1e-3
    (gt_rgb, pred_rgb), (gt_bgr, pred_bgr) = seen
    np.testing.assert_array_equal(gt_rgb, gt)
    np.testing.assert_array_equal(pred_rgb, pred)
    np.testing.assert_array_equal(gt_bgr, gt[..., ::-1])
    np.testing.assert_array_equal(pred_bgr, pred[..., ::-1])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(scores=['PSNR', 'SSIM']), 'scores must be of PSNR, .*, got SSIM'),
        (dict(scores=[]), 'scores must be of PSNR, .*, got none'),
        (dict(scores=['PSNR', 'PSNR']), 'scores names one twice: PSNR, PSNR'),
        (dict(crop_to_multiple=0), 'crop_to_multiple must be a positive integer .* 0'),
        (dict(crop_to_multiple=1.5), 'crop_to_multiple must be .*, got 1.5'),
        (dict(bit_depth=10), 'bit_depth must be 8, 16 or None, got 10'),
        (dict(round=True), 'round=True needs bit_depth=8'),
        (dict(round=True, bit_depth=8, clip=False), 'round=True needs clip=True'),
        (dict(channel_order='rgb'), "must be 'RGB' or 'BGR', got 'rgb'"),
        (dict(lpips_weights=dict(alex='a.pth')), 'given for alex, but the scores'),
        (
            dict(scores='LPIPS_alex', lpips_weights=dict(resnet='a.pth')),
            'given for resnet, but the scores',
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value),
)
def test_wrong_options_are_one_clear_error(options, message):
    with pytest.raises(InputError, match=message):
        METRICS.build(dict(type='ImageQuality', **options))


def test_lpips_weights_from_the_command_line():
    config = Config(dict(test_evaluator=[dict(type='ImageQuality', scores=list(ALL))]))
    config.merge_from_dict({'test_evaluator.0.lpips_weights.alex': 'alexnet.pth'})
    metric = METRICS.build(config.test_evaluator[0])
    assert metric.lpips_weights == {'alex': 'alexnet.pth'}
    assert metric.scores == ALL


class _Unclipped(_Model):
    clips_predictions = False


class _Wrapper(nn.parallel.DataParallel):
    pass


def test_unclipped_scores_need_a_model_that_does_not_clip():
    metric = ImageQuality(['PSNR'], clip=False)
    with pytest.raises(InputError, match='clip=False needs .*, but _Model clips them'):
        metric.prepare(_Model(), _Loader())
    metric.prepare(_Unclipped(), _Loader())
    metric.prepare(_Wrapper(_Unclipped()), _Loader())
    ImageQuality(['PSNR']).prepare(_Unclipped(), _Loader())


def test_missing_ground_truth():
    _, pred = _pair(96, 192)
    sample = _sample(None, pred, img_path='my/photo.jpg')
    with pytest.raises(InputError, match='my/photo.jpg cannot be .* no ground truth'):
        ImageQuality(['PSNR', 'NIQE']).process(None, [sample])
    alone = ImageQuality('NIQE')
    alone.process(None, [sample])
    assert alone.results[0].keys() == {'image', 'NIQE'}
    assert alone.results[0]['image'] == 'my/photo.jpg'
    assert alone.results[0]['NIQE'] > 0


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(scores='NIQE'), 'photo.jpg cannot be .* got 31x37'),
        (dict(crop_to_multiple=32), 'photo.jpg cannot be .* left of 31x37 pixels'),
    ],
    ids=['niqe', 'crop'],
)
def test_too_small_images_are_named(options, message):
    sample = _sample(*_pair(), img_path='photo.jpg')
    with pytest.raises(InputError, match=message):
        ImageQuality(**options).process(None, [sample])


def test_images_of_different_size_are_named():
    gt, pred = _pair()
    with pytest.raises(InputError, match=r'photo.jpg .* \(37, 30, 3\), the ground '):
        ImageQuality().process(None, [_sample(gt, pred[:, :30], img_path='photo.jpg')])


def test_means_keys_and_prefix_in_an_evaluator():
    evaluator = Evaluator(
        [
            dict(type='ImageQuality', prefix='DPDD', gt_key='sharp', pred_key='out'),
            dict(type='ImageQuality', scores='MAE', gt_key='sharp', pred_key='out'),
        ]
    )
    evaluator.prepare_metrics(_Model(), _Loader(3))
    expected = []
    for seed in range(3):
        gt, pred = (x.clip(0, 255) for x in _pair(seed=seed))
        sample = DataSample(sharp=_tensor(gt))
        sample.output = DataSample(out=_tensor(pred))
        evaluator.process([sample], {}, evaluator.metrics)
        ssim = structural_similarity(gt, pred, channel_axis=2, data_range=255)
        expected.append((_psnr(gt, pred), ssim, np.abs(gt - pred).mean() / 255))
    means = np.mean(expected, 0)
    assert evaluator.evaluate() == {
        'DPDD/PSNR': pytest.approx(means[0]),
        'DPDD/SSIM_7x7': pytest.approx(means[1]),
        'MAE': pytest.approx(means[2]),
    }


@pytest.mark.parametrize('order', ['RGB', 'BGR'])
def test_behind_mmagics_preprocessing(order):
    """From packed 8-bit images through MMagic's preprocessor and back."""
    gt, pred = (np.rint(x.clip(0, 255)) for x in _pair(32, 40))
    step = 1 if order == 'RGB' else -1
    tensors = [
        torch.from_numpy(np.moveaxis(x, 2, 0)[::step].copy()).float()
        for x in (gt, pred)
    ]
    packed = DataSample(gt_img=tensors[0])
    packed.set_metainfo(dict(img_channel_order=order, gt_channel_order=order))
    preprocessor = DataPreprocessor(
        mean=[0.0], std=[255.0], output_channel_order='RGB'
    ).eval()
    data = preprocessor(dict(inputs=[tensors[1]], data_samples=[packed]))
    restored = preprocessor.destruct(data['inputs'], data['data_samples'])
    sample = data['data_samples'].split()[0]
    sample.output = DataSample(pred_img=restored[0])
    metric = ImageQuality()
    metric.process({}, [sample.to_dict()])
    assert metric.results[0]['PSNR'] == pytest.approx(_psnr(gt, pred), abs=1e-4)


def _logged(caplog, **options):
    logger = MMLogger.get_instance('test')
    logger.addHandler(caplog.handler)
    metric = ImageQuality(**options)
    metric.prepare(_Model(), _Loader(2))
    for seed in range(2):
        gt, pred = _pair(96, 192, seed)
        metric.process(None, [_sample(gt, pred)])
    with caplog.at_level(logging.INFO):
        metric.evaluate()
    return [record.getMessage() for record in caplog.records][-1]


def test_infinite_scores_are_named_and_left_out(caplog):
    metric = ImageQuality()
    results = [
        dict(image=f'{n}.png', PSNR=value, SSIM_7x7=0.5)
        for n, value in enumerate((20.0, np.inf, 30.0, np.nan))
    ]
    logger = MMLogger.get_instance('test of infinite scores')
    logger.addHandler(caplog.handler)
    means = metric.compute_metrics(results)
    assert means == dict(PSNR=25, SSIM_7x7=0.5)
    assert (
        'PSNR is a mean without 2 of 4 images that have none: 1.png (inf), 3.png (nan)'
    ) in caplog.text
    assert 'SSIM_7x7 is' not in caplog.text
    # Of nothing else there is no mean.
    assert metric.compute_metrics(results[1:2])['PSNR'] == np.inf


def test_every_result_carries_its_protocol(caplog):
    psnr, ssim = (
        np.mean(
            [
                score(gt, pred.clip(0, 255))
                for gt, pred in (_pair(96, 192, s) for s in range(2))
            ]
        )
        for score in (
            _psnr,
            lambda a, b: structural_similarity(a, b, channel_axis=2, data_range=255),
        )
    )
    assert _logged(caplog) == (
        f'PSNR {psnr:.3f}, SSIM_7x7 {ssim:.4f} (2 images; RGB, whole images, target as '
        'stored, predictions clipped, not rounded; PSNR in dB over all pixels and '
        'channels; SSIM_7x7 uniform window, per channel, sample covariance)'
    )


def test_protocol_of_other_options(caplog):
    line = _logged(
        caplog,
        scores=['MAE', 'NIQE'],
        crop_to_multiple=32,
        bit_depth=8,
        round=True,
        channel_order='BGR',
        prefix='RTF',
    )
    assert line.startswith('RTF: MAE 0.')
    assert line.endswith(
        '(2 images; BGR, cropped to multiples of 32, target in 8 bits, predictions '
        'clipped, rounded to 8 bits; MAE in [0, 1]; NIQE of the grey prediction)'
    )


def test_protocol_without_targets_does_not_mention_them():
    line = ImageQuality('NIQE', clip=False).protocol_line(1)
    assert line == (
        '1 image; RGB, whole images, predictions not clipped, not rounded; '
        'NIQE of the grey prediction'
    )


def test_protocol_leaves_its_arguments_alone():
    image = np.full((4, 4, 3), 300.0)
    Protocol(bit_depth=8, round=True).prediction(image)
    assert (image == 300).all()
