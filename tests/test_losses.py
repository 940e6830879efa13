import numpy as np
import pytest
import torch
from mmagic.registry import MODELS
from torch import nn

from mmagic_inik.losses import (
    FlooredPSNRLoss,
    FrequencyLoss,
    MatchedLoss,
    MultiScaleLoss,
)
from mmagic_inik.losses.matched_loss import match_brightness


def _noise(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64).to(dtype)


def _distance(a, b):
    """SPEC, section 3, with NumPy: FFT of either image, then the difference."""
    a, b = (np.fft.fft2(x.double().numpy()) for x in (a, b))
    return abs(a.real - b.real).mean() + abs(a.imag - b.imag).mean()


@pytest.mark.parametrize(
    'shape',
    [(1, 3, 8, 8), (2, 3, 7, 9), (1, 1, 1, 5), (3, 2, 31, 37), (1, 3, 1, 1)],
    ids=lambda shape: 'x'.join(map(str, shape)),
)
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_frequency_loss_as_numpy(shape, dtype):
    a, b = _noise(*shape, seed=1, dtype=dtype), _noise(*shape, seed=2, dtype=dtype)
    loss = FrequencyLoss()(a, b)
    assert loss.shape == ()
    assert loss.dtype == dtype
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    assert loss.item() == pytest.approx(_distance(a, b), rel=tolerance)


def test_frequency_loss_by_hand():
    # FFT of (1, 0; 0, 0) is one everywhere, without an imaginary part.
    a = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    assert FrequencyLoss()(a, torch.zeros_like(a)).item() == 1
    # A constant c has the one coefficient c·H·W among H·W.
    assert FrequencyLoss()(torch.full((1, 1, 4, 6), 0.5), torch.zeros(1, 1, 4, 6)) == (
        pytest.approx(0.5)
    )


def test_frequency_loss_of_one_pixel_is_l1():
    a, b = _noise(4, 3, 1, 1, seed=1), _noise(4, 3, 1, 1, seed=2)
    assert FrequencyLoss()(a, b).item() == pytest.approx((a - b).abs().mean().item())


def test_frequency_loss_of_equal_images_is_zero():
    a = _noise(1, 3, 5, 6)
    assert FrequencyLoss()(a, a.clone()).item() == 0


@pytest.mark.parametrize('size', [(5, 4), (3, 7)], ids=['5x4', '3x7'])
def test_frequency_loss_gradient(size):
    a = _noise(2, 1, *size, seed=1, dtype=torch.float64).requires_grad_()
    b = _noise(2, 1, *size, seed=2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(FrequencyLoss(0.3), (a, b))


@pytest.mark.parametrize('weight', [0.0, 0.1, 2.0])
def test_frequency_loss_weight(weight):
    a, b = _noise(1, 3, 6, 7, seed=1), _noise(1, 3, 6, 7, seed=2)
    expected = weight * _distance(a, b)
    assert FrequencyLoss(weight)(a, b).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_frequency_loss_in_half_precision(dtype):
    a, b = (_noise(1, 3, 16, 15, seed=s, dtype=dtype) for s in (1, 2))
    a.requires_grad_()
    loss = FrequencyLoss()(a, b)
    loss.backward()
    assert loss.dtype == torch.float32
    tolerance = 1e-3 if dtype == torch.float16 else 1e-2
    assert loss.item() == pytest.approx(_distance(a.detach(), b), rel=tolerance)
    assert a.grad.dtype == dtype
    assert a.grad.abs().max() > 0


def test_frequency_loss_of_half_precision_does_not_overflow():
    # The sum of the pixels, 2e5, is beyond float16.
    a = torch.ones(1, 1, 400, 500, dtype=torch.float16)
    assert FrequencyLoss()(a, torch.zeros_like(a)).item() == pytest.approx(1)


def test_multi_scale_sums_over_scales_and_names_its_terms():
    target = torch.full((2, 3, 8, 8), 0.5)
    preds = [
        torch.full((2, 3, 8, 8), 0.6),
        torch.full((2, 3, 4, 4), 0.8),
        torch.full((2, 3, 2, 2), 0.1),
    ]
    losses = MultiScaleLoss(dict(mse=nn.MSELoss(), mae=nn.L1Loss()))(preds, target)
    assert list(losses) == ['loss_mse', 'loss_mae']
    assert losses['loss_mse'].item() == pytest.approx(0.1**2 + 0.3**2 + 0.4**2)
    assert losses['loss_mae'].item() == pytest.approx(0.1 + 0.3 + 0.4)
    assert all(loss.shape == () for loss in losses.values())


class _Recorder(nn.Module):
    def __init__(self):
        super().__init__()
        self.targets = []

    def forward(self, pred, target):
        self.targets.append(target)
        return (pred - target).sum()


def test_multi_scale_resizes_the_target_bilinearly():
    target = _noise(2, 3, 12, 8)
    recorder = _Recorder()
    preds = [target + 1, torch.zeros(2, 3, 6, 4), torch.zeros(2, 3, 3, 2)]
    MultiScaleLoss(dict(any=recorder))(preds, target)
    full, half, quarter = recorder.targets
    assert torch.equal(full, target)
    # Half way between pixel centres: the mean of 2×2; at a quarter without a
    # low-pass filter: the mean of the inner 2×2 of 4×4.
    x = target.numpy()
    mean = (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2]) / 4
    np.testing.assert_allclose(half, mean + x[..., 1::2, 1::2] / 4, atol=1e-6)
    inner = [x[..., i::4, j::4] for i in (1, 2) for j in (1, 2)]
    np.testing.assert_allclose(quarter, sum(inner) / 4, atol=1e-6)


def test_multi_scale_gradient_reaches_every_scale():
    preds = [_noise(1, 3, s, s, seed=s).requires_grad_() for s in (8, 4, 2)]
    losses = MultiScaleLoss(dict(mse=nn.MSELoss()))(preds, torch.zeros(1, 3, 8, 8))
    losses['loss_mse'].backward()
    for pred in preds:
        expected = 2 * pred.detach() / pred.numel()
        torch.testing.assert_close(pred.grad, expected)


def test_multi_scale_leaves_out_none():
    loss = MultiScaleLoss(dict(mse=nn.MSELoss(), lpips=None))
    assert list(loss([torch.ones(1, 3, 2, 2)], torch.zeros(1, 3, 2, 2))) == ['loss_mse']


@pytest.mark.parametrize('losses', [{}, {'a': None}, {'a': None, 'b': None}])
def test_multi_scale_without_a_term(losses):
    with pytest.raises(ValueError, match='losses must name at least one loss'):
        MultiScaleLoss(losses)


def test_multi_scale_from_config():
    loss = MODELS.build(
        dict(
            type='MultiScaleLoss',
            losses=dict(
                fd=dict(type='FrequencyLoss', loss_weight=0.1),
                mse=nn.MSELoss(),
                lpips=dict(type='LPIPSLoss', loss_weight=0.1),
            ),
        )
    )
    assert isinstance(loss, MultiScaleLoss)
    assert isinstance(loss.losses['fd'], FrequencyLoss)
    # No network is loaded before the first image.
    assert loss.state_dict() == {}
    del loss.losses['lpips']
    a, b = _noise(2, 3, 6, 5, seed=1), _noise(2, 3, 6, 5, seed=2)
    values = loss([a], b)
    assert values['loss_fd'].item() == pytest.approx(0.1 * _distance(a, b), rel=1e-5)
    expected = ((a - b) ** 2).mean().item()
    assert values['loss_mse'].item() == pytest.approx(expected, rel=1e-5)


def _images(dtype=torch.float64):
    target = _noise(2, 3, 7, 9, dtype=dtype)
    pred = 0.5 * target + 0.3 * _noise(2, 3, 7, 9, seed=1, dtype=dtype) + 0.1
    return pred, target


def test_matched_brightness_is_least_squares():
    pred, target = _images()
    matched = match_brightness(pred, target)
    for image, sharp, ours in zip(pred, target, matched, strict=True):
        for x, y, z in zip(image.numpy(), sharp.numpy(), ours.numpy(), strict=True):
            system = np.stack([x.ravel(), np.ones(x.size)], 1)
            solution, *_ = np.linalg.lstsq(system, y.ravel(), rcond=None)
            np.testing.assert_allclose(z.ravel(), system @ solution, atol=1e-12)


@pytest.mark.parametrize('loss', [nn.MSELoss(), nn.L1Loss(), FrequencyLoss()])
def test_matched_loss_does_not_see_brightness(loss):
    pred, target = _images()
    matched = MatchedLoss(loss)
    expected = matched(pred, target)
    assert 0 < expected < loss(pred, target)
    gain = torch.tensor([0.5, 0.9, 1.3], dtype=torch.float64)[:, None, None]
    other = gain * pred + torch.tensor([0.1, 0.0, -0.2])[:, None, None]
    assert matched(other, target).item() == pytest.approx(expected.item(), rel=1e-9)


def test_matched_loss_gradient_leaves_brightness_alone():
    pred, target = _images()
    pred.requires_grad_()
    assert torch.autograd.gradcheck(MatchedLoss(nn.MSELoss()), (pred, target))
    MatchedLoss(nn.MSELoss())(pred, target).backward()
    offsets, scales = pred.grad.sum((2, 3)), (pred.grad * pred).sum((2, 3))
    assert pred.grad.abs().max() > 1e-4
    assert max(offsets.abs().max(), scales.abs().max()) < 1e-12


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_matched_loss_of_flat_images_is_finite(dtype):
    pred = torch.full((1, 3, 8, 8), 0.4, dtype=dtype, requires_grad=True)
    target = _noise(1, 3, 8, 8, dtype=dtype)
    loss = MatchedLoss(nn.MSELoss())(pred, target)
    loss.backward()
    variance = target.float().var((2, 3), unbiased=False).mean()
    assert loss.item() == pytest.approx(variance.item(), rel=1e-4)
    assert loss.dtype == torch.float32
    assert pred.grad.isfinite().all()


def test_matched_loss_from_config():
    loss = MODELS.build(
        dict(
            type='MultiScaleLoss',
            losses=dict(matched=dict(type='MatchedLoss', loss=dict(type='MSELoss'))),
        )
    )
    pred, target = _images(torch.float32)
    expected = 2 * ((match_brightness(pred, target) - target) ** 2).mean()
    assert loss([pred, pred], target)['loss_matched'].item() == pytest.approx(
        expected.item()
    )


def test_floored_psnr_by_hand():
    target = torch.zeros(2, 3, 4, 4)
    pred = target.clone()
    # 20 dB and no error at all, which is the floor.
    pred[0] = 0.1
    loss = FlooredPSNRLoss(best=40, loss_weight=0.5)(pred, target)
    expected = 0.5 * (10 * np.log10(0.01 + 1e-4) - 40) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_floored_psnr_is_not_dominated_by_good_images():
    # Both a tenth of their error better: without a floor, their gradients' norms would
    # be as one to a hundred.
    target = torch.full((2, 3, 8, 8), 0.5)
    pred = target.clone()
    pred[0] += 0.1
    pred[1] += 0.001
    pred.requires_grad_()
    FlooredPSNRLoss(best=40)(pred, target).backward()
    wide, sharp = pred.grad.flatten(1).norm(dim=1)
    assert sharp < wide
    assert sharp > 0


def test_floored_psnr_from_config_in_half_precision():
    loss = MODELS.build(dict(type='FlooredPSNRLoss', best=30))
    pred = torch.zeros(1, 3, 4, 4, dtype=torch.bfloat16)
    assert loss(pred, torch.zeros(1, 3, 4, 4)).item() == pytest.approx(-30)
