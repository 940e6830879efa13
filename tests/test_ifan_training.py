"""What trains IFAN beside its image: reblurring and disparity."""

import pytest
import torch
import torch.nn.functional as F
from mmagic.structures import DataSample
from torch import nn

from mmagic_inik.errors import InputError
from mmagic_inik.losses import AlternatingLoss, MultiScaleLoss
from mmagic_inik.models.peers import IFAN
from mmagic_inik.models.peers.ifan_training import IFANRestorer, shifted

SCALED = dict(
    type='DataPreprocessor', mean=[0.0], std=[255.0], output_channel_order='RGB'
)


@pytest.fixture
def restorer(monkeypatch):
    """Of two iterations, whose parts can be compared quickly."""
    monkeypatch.setattr('mmagic_inik.models.peers.ifan._ITERATIONS', 2)
    torch.manual_seed(0)

    def build(width=1.0, **options):
        return IFANRestorer(
            generator=IFAN(width=width),
            loss=MultiScaleLoss(dict(mse=nn.MSELoss())),
            size_divisor=1,
            min_size=1,
            data_preprocessor=SCALED,
            **options,
        )

    return build


def sample(sharp, **views):
    found = DataSample(gt_img=sharp)
    found.set_tensor_data({name: 255 * view for name, view in views.items()})
    return found


def test_shift_by_whole_and_half_pixels():
    x = torch.arange(1.0, 6).expand(1, 2, 3, 5)
    # Read two to the right; what is beyond is zero.
    found = shifted(x, torch.full((1, 1, 3, 5), 2.0))
    expected = torch.tensor([3.0, 4, 5, 0, 0]).expand(1, 2, 3, 5)
    torch.testing.assert_close(found, expected)
    found = shifted(x, torch.full((1, 1, 3, 5), -0.5))
    expected = torch.tensor([0.5, 1.5, 2.5, 3.5, 4.5]).expand(1, 2, 3, 5)
    torch.testing.assert_close(found, expected)


def test_losses_are_the_formulas(restorer):
    model = restorer(reblur_weight=0.5, disparity_weight=2.0)
    blurred, sharp, left, right = torch.rand(4, 2, 3, 32, 40)
    losses = model.forward_train(blurred, sample(sharp, left=left, right=right))
    assert losses.keys() == {'loss_mse', 'loss_reblur', 'loss_disparity'}
    network = model.generator

    def reduced(image, mode):
        return F.interpolate(image, (4, 5), mode=mode)

    with torch.no_grad():
        filters = network.forward_filters(blurred)[1]
        again = model.reblurring(filters, reduced(sharp, 'nearest'))
        moved = shifted(reduced(right, 'area'), network.disparity(right))
        differences = dict(
            mse=network(blurred) - sharp,
            reblur=again - reduced(blurred, 'area'),
            disparity=moved - reduced(left, 'area'),
        )
    for (name, difference), weight in zip(
        differences.items(), (1.0, 0.5, 2.0), strict=True
    ):
        expected = weight * difference.square().mean()
        torch.testing.assert_close(losses[f'loss_{name}'].detach(), expected)


def test_reblurring_is_of_the_networks_width(restorer):
    model = restorer(width=0.25)
    blurred, sharp = torch.rand(2, 1, 3, 30, 34)
    losses = model.forward_train(blurred, sample(sharp))
    losses['loss_reblur'].backward()
    assert model.reblurring.layers[0][0].weight.shape[:2] == (32, 2 * 7 * 32)
    assert all(p.grad.isfinite().all() for p in model.reblurring.parameters())


def test_disparity_trains_the_estimator_by_the_right_view(restorer):
    model = restorer(disparity_weight=1.0)
    blurred, sharp, left, right = torch.rand(4, 1, 3, 30, 34)
    losses = model.forward_train(blurred, sample(sharp, left=left, right=right))
    losses['loss_disparity'].backward()
    trained = {
        name.split('.')[0]
        for name, parameter in model.generator.named_parameters()
        if parameter.grad is not None
    }
    assert trained == {'filter_encoder', 'disparity_estimator'}


def test_views_are_wanted_only_for_disparity(restorer):
    blurred, sharp = torch.rand(2, 1, 3, 16, 16)
    assert restorer().forward_train(blurred, sample(sharp)).keys() == {
        'loss_mse',
        'loss_reblur',
    }
    with pytest.raises(InputError, match='no left and no right view; give Defocus'):
        restorer(disparity_weight=1.0).forward_train(blurred, sample(sharp))
    with pytest.raises(ValueError, match='must not be negative, got 1.0 and -1'):
        restorer(disparity_weight=-1)


def test_gkmnets_turns(monkeypatch):
    """MSE before epoch 1000, then 1 − SSIM first in every 200 epochs."""
    first, second = (lambda preds, target, n=n: n for n in ('first', 'second'))
    loss = AlternatingLoss(first, second, 1000, 200, 87, second_half=False)
    turns = {}
    for epoch in (0, 50, 999, 1000, 1099, 1100, 1199, 1200, 1299, 1300, 3999):
        done = f'{AlternatingLoss.__module__}.iterations_done'
        monkeypatch.setattr(done, lambda epoch=epoch: 87 * epoch + 86)
        turns[epoch] = loss([], None)
    seconds = [epoch for epoch, turn in turns.items() if turn == 'second']
    assert seconds == [1000, 1099, 1200, 1299]


class Total(nn.Module):
    def forward(self, pred, target):
        return target.sum()


def test_targets_can_be_reduced_as_pil_does():
    target = torch.zeros(1, 1, 16, 16)
    target[..., 8, 8] = 1
    pred = torch.zeros(1, 1, 4, 4)
    plain, wide = (
        MultiScaleLoss(dict(sum=Total()), antialias=antialias)
        for antialias in (False, True)
    )
    # Of sixteen pixels, plain bilinear reduction reads four.
    assert plain([pred], target)['loss_sum'] == 0
    assert wide([pred], target)['loss_sum'] == pytest.approx(1 / 16)
