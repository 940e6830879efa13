"""The authors' evaluation against its formulas, written with NumPy and libraries."""

import numpy as np
import pytest
import torch
from lpips import LPIPS
from mmagic.registry import DATASETS, METRICS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from skimage.data import astronaut
from skimage.io import imsave
from skimage.metrics import structural_similarity
from torch import nn

from mmagic_inik.errors import InputError
from mmagic_inik.evaluation import CropAndRound, ImageQuality, image_quality

CONFIG = 'configs/iniknet_dpdd_inik2023.py'


class Overshoot(nn.Module):
    """Leaves the range, and depends on the size that it gets."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def forward(self, y):
        self.sizes.append(tuple(y.shape[-2:]))
        return 1.9 * y - 0.4 + 0.05 * (y.mean((1, 2, 3), keepdim=True) - y)


@pytest.fixture
def pair(tmp_path):
    """Blurred and sharp photo, RGB, 8 bits, of a size that is no multiple of 32."""
    sharp = astronaut()[:77, 100:215]
    blurred = (sharp.astype(int) + np.roll(sharp, 3, 1)) // 2
    for folder, photo in (('input', blurred), ('target', sharp)):
        (tmp_path / folder).mkdir()
        imsave(tmp_path / folder / 'a.png', photo.astype(np.uint8))
    return blurred[:64, :96] / 255, sharp[:64, :96] / 255


@pytest.fixture
def alexnet(monkeypatch):
    """LPIPS's network with random features, in the place of ours with AlexNet's."""
    torch.manual_seed(0)
    network = LPIPS(net='alex', pnet_rand=True, verbose=False).eval()

    def distance(gt, pred, *_):
        return network(gt * 2 - 1, pred * 2 - 1)

    monkeypatch.setattr('mmagic_inik.evaluation.metrics.lpips_distance', distance)
    monkeypatch.setattr(image_quality, 'load_lpips', lambda *_: None)
    return network


def scored(tmp_path, network):
    """What tools/test.py does to the one photo."""
    config = Config.fromfile(CONFIG)
    config.merge_from_dict(dict(data_root=str(tmp_path), preset='folders'))
    model = config.model
    model.update(generator=network, loss=nn.Identity())
    model = MODELS.build(model).eval()
    dataset = DATASETS.build(config.test_dataloader.dataset)
    metric = METRICS.build(config.test_evaluator[0])
    metric.prepare(model, torch.utils.data.DataLoader(dataset))
    with torch.no_grad():
        samples = model.test_step(pseudo_collate([dataset[0]]))
    metric.process(None, [sample.to_dict() for sample in samples])
    return metric.compute_metrics(metric.results)


def test_scores_are_those_of_the_plain_formulas(pair, alexnet, tmp_path):
    blurred, sharp = pair
    network = Overshoot()
    scores = scored(tmp_path, network)
    assert list(scores) == ['PSNR', 'SSIM_7x7', 'LPIPS_alex']
    # The photo was cropped before the network.
    assert network.sizes == [(64, 96)]
    output = 1.9 * blurred - 0.4 + 0.05 * (blurred.mean() - blurred)
    assert output.min() < -0.05
    assert output.max() > 1.05
    clipped = output.clip(0, 1)
    psnr = -10 * np.log10(((clipped - sharp) ** 2).mean())
    assert scores['PSNR'] == pytest.approx(psnr, abs=1e-4)
    ssim = structural_similarity(sharp, clipped, channel_axis=2, data_range=1)
    assert scores['SSIM_7x7'] == pytest.approx(ssim, abs=1e-5)
    # In OpenCV's order, unclipped.
    with torch.no_grad():
        target, unclipped, other = (
            torch.from_numpy(x[..., ::-1].copy()).permute(2, 0, 1)[None].float() * 2 - 1
            for x in (sharp, output, clipped)
        )
        expected = alexnet(target, unclipped).item()
        assert abs(alexnet(target, other).item() - expected) > 1e-4
        in_rgb = alexnet(target.flip(1), unclipped.flip(1)).item()
        assert abs(in_rgb - expected) > 1e-4
    assert scores['LPIPS_alex'] == pytest.approx(expected, abs=1e-6)


def test_photos_not_cropped_before_the_network_are_refused():
    image = torch.zeros(3, 64, 95)
    sample = dict(gt_img=image, output=dict(pred_img=image), img_path='a.png')
    metric = ImageQuality('PSNR', protocol='inik2023')
    with pytest.raises(InputError, match='a.png cannot .*this one of 95x64 came out'):
        metric.process(None, [sample])


def test_networks_that_clip_are_refused():
    model = Config.fromfile(CONFIG).model
    model.update(generator=nn.Identity(), loss=nn.Identity(), test_cfg=None)
    loader = torch.utils.data.DataLoader([0])
    with pytest.raises(InputError, match='needs unclipped predictions'):
        ImageQuality(protocol='inik2023').prepare(MODELS.build(model), loader)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(protocol='inik'), "protocol must be inik2023 or None, got 'inik'"),
        (dict(protocol='inik2023', clip=False), 'protocol=inik2023 says all; leave'),
        (dict(protocol='inik2023', scores=['PSNR', 'MAE']), 'does not define MAE; it'),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        ImageQuality(**options)


def test_line_says_the_protocol():
    line = ImageQuality(protocol='inik2023').protocol_line(76)
    assert line.startswith(
        '76 images; inik2023: BGR, cropped to multiples of 32 before'
    )


def test_sixteen_bits_are_reduced_and_small_photos_named():
    transform = CropAndRound()
    image = np.full((40, 33, 3), 100.4, np.float32)
    results = transform(dict(img=image, gt=image + 0.2))
    assert results['img'].shape == results['ori_gt_shape'] == (32, 32, 3)
    assert results['img'].dtype == np.float32
    assert (results['img'] == 100).all()
    assert (results['gt'] == 101).all()
    with pytest.raises(InputError, match='b.png cannot be used: nothing is left of 31'):
        transform(dict(img=image[:, :31], img_path='b.png'))
