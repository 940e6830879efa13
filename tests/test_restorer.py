import pytest
import torch
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from torch import nn

from mmagic_inik.losses import MultiScaleLoss
from mmagic_inik.models import (
    DuplexConvLSTM,
    INIKNet,
    INRAtomBank,
    InverseFilterHead,
    UNet,
)
from mmagic_inik.models.restorer import MultiScaleRestorer

PREPROCESSOR = dict(
    type='DataPreprocessor', mean=[0.0], std=[255.0], output_channel_order='RGB'
)


class Scales(nn.Module):
    """Stands in for a network; records what it is given."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))
        self.seen = []

    def forward(self, y):
        self.seen.append(y)
        return self.gain * y

    def forward_scales(self, y):
        return [self.gain * y, nn.functional.avg_pool2d(self.gain * y, 2)]


class Single(nn.Module):
    def forward(self, y):
        return y


def restorer(generator, **options):
    return MultiScaleRestorer(
        generator,
        MultiScaleLoss(dict(l1=nn.L1Loss(), mse=nn.MSELoss())),
        data_preprocessor=PREPROCESSOR,
        **options,
    )


def samples(target):
    return DataSample(gt_img=target)


def test_trains_on_all_scales_with_named_losses():
    y, target = torch.zeros(2, 3, 8, 8), torch.full((2, 3, 8, 8), 0.5)
    losses = restorer(Scales()).forward_train(y, samples(target))
    assert {k: v.item() for k, v in losses.items()} == {'loss_l1': 1, 'loss_mse': 0.5}


def test_single_output_networks_train_on_the_finest_scale():
    y, target = torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), 0.5)
    losses = restorer(Single()).forward_train(y, samples(target))
    assert losses['loss_l1'].item() == 0.5


def test_trains_an_mmagic_network():
    model = MODELS.build(
        dict(
            type='MultiScaleRestorer',
            generator=dict(
                type='NAFNet',
                img_channels=3,
                mid_channels=4,
                enc_blk_nums=[1],
                middle_blk_num=1,
                dec_blk_nums=[1],
            ),
            loss=dict(type='MultiScaleLoss', losses=dict(l1=dict(type='L1Loss'))),
            data_preprocessor=PREPROCESSOR,
        )
    )
    y = torch.rand(1, 3, 16, 16)
    model(y, samples(y), mode='loss')['loss_l1'].backward()
    assert any(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ('size', 'padded'),
    [
        ((1, 1), (32, 32)),
        ((32, 32), (32, 32)),
        ((33, 48), (48, 48)),
        ((37, 31), (48, 32)),
        ((20, 100), (32, 112)),
    ],
)
def test_pads_and_crops_back(size, padded):
    network, y = Scales(), torch.rand(1, 3, *size)
    out = restorer(network).forward_tensor(y)
    assert torch.equal(out, y)
    assert network.seen[0].shape[-2:] == padded


def test_padding_reflects_and_replicates_where_it_cannot():
    network = Scales()
    model = restorer(network, size_divisor=4, min_size=1)
    row = torch.tensor([1.0, 2, 3, 4, 5, 6]).expand(1, 3, 6, 6)
    model.forward_tensor(row)
    assert network.seen[-1][0, 0, 0].tolist() == [1, 2, 3, 4, 5, 6, 5, 4]
    model.forward_tensor(row[..., :2, :2])
    assert network.seen[-1][0, 0, 0].tolist() == [1, 2, 2, 2]


def test_grey_images_are_restored_as_rgb_and_returned_grey():
    network, y = Scales(), torch.rand(1, 1, 8, 8)
    model = restorer(network)
    assert torch.allclose(model.forward_tensor(y), y)
    assert network.seen[0].shape[1] == 3
    losses = model.forward_train(y, samples(y + 0.5))
    assert losses['loss_l1'].item() == pytest.approx(1)


def test_predicts_through_mmagics_data_flow():
    """What tools/test.py does: preprocess, predict, hand 8-bit BGR to metrics."""
    model = restorer(Scales()).eval()
    rgb = torch.randint(0, 256, (3, 5, 7), dtype=torch.uint8)
    sample = DataSample(gt_img=rgb.clone())
    sample.set_metainfo(dict(img_channel_order='RGB', gt_channel_order='RGB'))
    (result,) = model.test_step(dict(inputs=[rgb], data_samples=[sample]))
    torch.testing.assert_close(result.output.pred_img, rgb.flip(0).float())
    torch.testing.assert_close(result.gt_img, rgb.flip(0))


class Affine(nn.Module):
    """Brightens beyond the range, each colour by an amount of its own."""

    def forward(self, y):
        return 2 * y + torch.tensor([-1.0, 0, 1]).view(3, 1, 1)


@pytest.mark.parametrize('order', ['RGB', 'BGR'])
@pytest.mark.parametrize('clip', [None, True, False])
def test_predictions_can_be_left_unclipped(clip, order):
    test_cfg = None if clip is None else dict(clip=clip)
    model = restorer(Affine(), test_cfg=test_cfg).eval()
    assert model.clips_predictions is (clip is not False)
    rgb = torch.randint(0, 256, (3, 5, 7), dtype=torch.uint8)
    packed = rgb if order == 'RGB' else rgb.flip(0)
    sample = DataSample(gt_img=packed.clone())
    sample.set_metainfo(dict(img_channel_order=order, gt_channel_order=order))
    (result,) = model.test_step(dict(inputs=[packed], data_samples=[sample]))
    expected = 2 * rgb.float() + torch.tensor([-255.0, 0, 255]).view(3, 1, 1)
    if clip is not False:
        expected = expected.clamp(0, 255)
    torch.testing.assert_close(
        result.output.pred_img, expected.flip(0), rtol=0, atol=1e-3
    )


@pytest.mark.parametrize('clip', [True, False])
def test_grey_predictions_can_be_left_unclipped(clip):
    model = restorer(Affine(), test_cfg=dict(clip=clip)).eval()
    grey = torch.full((1, 5, 7), 200.0)
    data = dict(inputs=[grey], data_samples=[DataSample(gt_img=grey.clone())])
    (result,) = model.test_step(data)
    assert result.output.pred_img.shape == (1, 5, 7)
    value = result.output.pred_img.mean().item()
    assert value == pytest.approx(255 if clip else 400)


def test_predicts_in_pieces_and_trains_on_whole_crops():
    network, y = Scales(), torch.rand(1, 3, 50, 100)
    model = restorer(network, test_cfg=dict(tile=48, overlap=16)).eval()
    with torch.no_grad():
        assert torch.equal(model.forward_tensor(y), y)
    # Extended to 64 x 112.
    assert [tuple(piece.shape) for piece in network.seen] == 6 * [(1, 3, 48, 48)]
    assert len(model.forward_train(y, samples(y))) == 2
    assert len(network.seen) == 6

    sample = DataSample(gt_img=y[0], metainfo=dict(img_channel_order='RGB'))
    (result,) = model.test_step(dict(inputs=[255 * y[0]], data_samples=[sample]))
    torch.testing.assert_close(result.output.pred_img, 255 * y[0].flip(0))
    assert len(network.seen) == 12


def test_options_of_a_call_stand_instead_of_test_cfg():
    network, y = Scales(), torch.rand(2, 3, 64, 64)
    model = restorer(network, test_cfg=dict(tile=32, overlap=16))
    told = []
    assert torch.equal(model.restore(y, progress=lambda *count: told.append(count)), y)
    assert [piece.shape[-1] for piece in network.seen] == [64]
    assert told == [(1, 1)]
    progress = lambda *count: told.append(count)  # noqa: E731
    assert torch.equal(model.restore(y, 48, 32, progress=progress), y)
    assert [piece.shape[-1] for piece in network.seen[1:]] == 4 * [48]
    assert told[1:] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_neighbours_share_64_pixels_unless_told():
    network = Scales()
    restorer(network).restore(torch.rand(1, 3, 16, 256), 128)
    # With 48 pixels or less, and with 80 or more, it would be another number.
    assert len(network.seen) == 3
    network.seen.clear()
    restorer(network, test_cfg=dict(tile=128)).forward_tensor(torch.rand(1, 3, 16, 272))
    assert len(network.seen) == 4


def test_grey_images_in_pieces():
    network, y = Scales(), torch.rand(1, 1, 50, 70)
    restored = restorer(network).restore(y, 48, 16)
    torch.testing.assert_close(restored, y)
    assert {piece.shape[1] for piece in network.seen} == {3}


def small_iniknet():
    """Changes an image by tenths, and by what lies far away, as trained ones do."""
    torch.manual_seed(0)
    network = INIKNet(
        UNet(base_channels=4, num_res_blocks=1),
        [DuplexConvLSTM(4, 1), DuplexConvLSTM(4, 1)],
        InverseFilterHead(4, INRAtomBank(num_atoms=2, kernel_sizes=(1, 3, 5))),
        num_scales=2,
    )
    with torch.no_grad():
        network.head.mixing.mul_(50)
        for name, parameter in network.named_parameters():
            if parameter.ndim == 4 and 'head' not in name:
                parameter.mul_(1.7)
    return network


@torch.no_grad()
def test_pieces_of_iniknet_are_those_of_the_whole_image():
    model, y = restorer(small_iniknet()), torch.rand(1, 3, 64, 416)
    whole = model.restore(y)
    assert (whole - y).abs().max() > 20 / 255

    def error(overlap):
        return (model.restore(y, 208 + overlap // 2, overlap) - whole).abs().max() * 255

    # 75 pixels beside a cut may differ; 16 are left for the ramp.
    assert error(192) < 1e-3
    assert error(64) < 1
    assert error(0) > 1


@torch.no_grad()
def test_half_precision_is_close():
    network, y = small_iniknet(), torch.rand(1, 3, 32, 48)
    whole = restorer(network).restore(y)
    types = []
    network.backbone.downs[0].register_forward_hook(
        lambda module, inputs, output: types.append(output.dtype)
    )
    for dtype in ('bfloat16', 'float16'):
        restored = restorer(network, test_cfg=dict(dtype=dtype)).forward_tensor(y)
        assert restored.dtype == torch.float32
        assert types[-1] == getattr(torch, dtype)
        error = (restored - whole).abs().max()
        assert 0 < error < 2 / 255
        assert torch.equal(restorer(network).restore(y, dtype=dtype), restored)


@torch.no_grad()
def test_an_autocast_around_a_prediction_holds():
    network, y = nn.Conv2d(3, 3, 1), torch.rand(1, 3, 32, 32)
    model, types = restorer(network), []
    network.register_forward_hook(lambda m, inputs, out: types.append(out.dtype))
    with torch.autocast('cpu', torch.bfloat16):
        assert model.forward_tensor(y).dtype == torch.float32
    model.forward_tensor(y)
    assert types == [torch.bfloat16, torch.float32]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs an NVIDIA GPU')
@pytest.mark.parametrize('tile', [None, 32])
def test_the_image_may_stay_in_the_computers_memory(tile):
    model, y = restorer(Scales()).cuda(), torch.rand(1, 3, 50, 70)
    with torch.no_grad():
        restored = model.restore(y, tile, 16, 'bfloat16')
    assert {piece.device.type for piece in model.generator.seen} == {'cuda'}
    assert torch.equal(restored, y)


@pytest.mark.parametrize('options', [dict(size_divisor=0), dict(min_size=0)], ids=str)
def test_bad_options(options):
    with pytest.raises(ValueError, match='must be positive'):
        restorer(Single(), **options)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(tile=64, overlap=64), 'got tile=64 and overlap=64'),
        (dict(tile=64), 'got tile=64 and overlap=64'),
        (dict(tile=100, overlap=16), 'multiples of 16 with'),
        (dict(tile=128, overlap=8), 'multiples of 16 with'),
        (dict(tile=16, overlap=0), 'tile must not be below min_size 32, got 16'),
        (dict(dtype='half'), "dtype must be in .*, got 'half'"),
    ],
    ids=str,
)
def test_bad_ways_to_predict(options, message):
    with pytest.raises(ValueError, match=message):
        restorer(Single(), test_cfg=options)
    with pytest.raises(ValueError, match=message):
        restorer(Single()).restore(torch.zeros(1, 3, 32, 32), **options)


def test_other_keys_of_test_cfg_are_left_alone():
    model = restorer(Single(), test_cfg=dict(metrics=['PSNR']))
    assert model.test_cfg == dict(metrics=['PSNR'])
