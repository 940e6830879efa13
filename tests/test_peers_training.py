"""Losses and restorers of the peers; two views of pairs made here."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmagic.registry import DATASETS, MODELS
from mmengine.logging import MessageHub
from PIL import Image
from skimage.metrics import structural_similarity
from torch import nn
from torchvision.models.optical_flow import raft_small

from mmagic_inik.datasets import DefocusPairDataset
from mmagic_inik.errors import InputError
from mmagic_inik.losses import AlternatingLoss, EdgeLoss, MultiScaleLoss, SSIMLoss
from mmagic_inik.models.peers.jdrl import JDRLRestorer, RAFTFlow, usual_flow, warp
from mmagic_inik.models.peers.training import DualPixelRestorer, ReblurringRestorer

SCALED = dict(
    type='DataPreprocessor', mean=[0.0], std=[255.0], output_channel_order='RGB'
)


def noise(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=dtype)


def at_iteration(number):
    MessageHub.get_current_instance().update_info('iter', number)


def test_ssim_as_scikit_image():
    a = noise(2, 3, 20, 26)
    b = (a + 0.3 * noise(2, 3, 20, 26, seed=1)).clamp(0, 1)
    expected = []
    for image, other in zip(a, b, strict=True):
        _, ssim = structural_similarity(
            image.numpy(),
            other.numpy(),
            channel_axis=0,
            data_range=1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )
        # Where the window is inside the image.
        expected.append(ssim[:, 5:-5, 5:-5].mean())
    found = SSIMLoss(0.5)(a, b)
    assert found.item() == pytest.approx(0.5 * (1 - np.mean(expected)), abs=1e-9)


def test_ssim_has_a_gradient_and_a_least_side():
    a = noise(1, 1, 12, 11).requires_grad_()
    assert torch.autograd.gradcheck(SSIMLoss(), (a, noise(1, 1, 12, 11, seed=1)))
    with pytest.raises(ValueError, match='SSIM needs sides from 11, got .10, 11.'):
        SSIMLoss()(a[..., :10, :], a)


def test_edges_of_a_pixel_by_hand():
    """A pixel of one in the middle, at an even and at an odd place."""
    taps = np.outer(*[(0.05, 0.25, 0.4, 0.25, 0.05)] * 2)
    for place in (8, 9):
        image = torch.zeros(1, 1, 17, 18, dtype=torch.float64)
        image[..., place, place] = 1
        smooth = np.zeros((17, 18))
        smooth[place - 2 : place + 3, place - 2 : place + 3] = taps
        kept = np.zeros_like(smooth)
        kept[::2, ::2] = 4 * smooth[::2, ::2]
        blurred = np.zeros_like(smooth)
        for i, j in zip(*np.nonzero(kept), strict=True):
            blurred[i - 2 : i + 3, j - 2 : j + 3] += kept[i, j] * taps
        edges = image[0, 0].numpy() - blurred
        expected = 3 * np.sqrt(edges**2 + 1e-6).mean()
        found = EdgeLoss(3.0).double()(image, torch.zeros_like(image))
        assert found.item() == pytest.approx(expected, rel=1e-6)


def test_scale_weights():
    loss = MultiScaleLoss(dict(l1=nn.L1Loss()), scale_weights=(1, 0.25))
    preds = [torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 2, 2)]
    assert loss(preds, torch.ones(1, 3, 4, 4)) == {'loss_l1': 1.25}
    with pytest.raises(ValueError, match='2 factors for 1 predictions'):
        loss(preds[:1], torch.ones(1, 3, 4, 4))


def test_losses_take_turns():
    """NRKNet's phases: from epoch 1000 on, the second in epochs 1101 to 1199, …."""

    def named(name):
        loss = nn.Module()
        loss.forward = lambda preds, target: name
        return loss

    loss = AlternatingLoss(named('first'), named('second'), 1000, 200, 87)
    assert loss([], None) == 'first'
    for epoch, expected in (
        (199, 'first'),
        (1100, 'first'),
        (1101, 'second'),
        (1199, 'second'),
        (1200, 'first'),
        (1300, 'first'),
        (1301, 'second'),
    ):
        at_iteration(87 * epoch)
        assert loss([], None) == expected, epoch
    at_iteration(87 * 1101 - 1)
    assert loss([], None) == 'first'
    with pytest.raises(ValueError, match='must be positive, got 0 and 87'):
        AlternatingLoss(named('first'), named('second'), 1000, 0, 87)


LAYOUTS = {
    'original': (
        'train_c/source',
        'train_l/source',
        'train_r/source',
        'train_c/target',
    ),
    'with its root': tuple(
        f'dd_dp_dataset_png/train_{name}'
        for name in ('c/source', 'l/source', 'r/source', 'c/target')
    ),
    'repacked': ('train/inputC', 'train/inputL', 'train/inputR', 'train/target'),
}


def write_views(root, folders, count=3, size=(24, 20)):
    """Images of one value each: ten times their number, plus that of their folder."""
    for number, folder in enumerate(folders):
        (root / folder).mkdir(parents=True)
        for n in range(count):
            # The original names neighbours differently; they pair by order.
            shift = number if 'source' in folder or 'train_c' in folder else 0
            value = 10 * (n + 1) + number
            path = root / folder / f'1P0A{2 * n + shift + 100}.png'
            Image.new('RGB', size, (value, value, value)).save(path)


PIPELINE = [
    dict(type='LoadDefocusPair'),
    dict(type='FixedCrop', keys=['img', 'gt', 'left', 'right'], crop_size=(16, 16)),
    dict(type='PackInputs', data_keys=['left', 'right']),
]


@pytest.mark.parametrize('folders', LAYOUTS.values(), ids=LAYOUTS)
def test_views_of_dpdds_layouts(tmp_path, folders):
    write_views(tmp_path, folders)
    dataset = DefocusPairDataset(data_root=str(tmp_path), views=True, pipeline=PIPELINE)
    assert len(dataset) == 3
    for n in range(3):
        item = dataset[n]
        sample = item['data_samples']
        values = [item['inputs'], sample.left, sample.right, sample.gt_img]
        for number, image in enumerate(values):
            assert image.shape == (3, 16, 16)
            assert (image == 10 * (n + 1) + number).all()
    plain = DefocusPairDataset(data_root=str(tmp_path), pipeline=[])
    assert set(plain[0]) >= {'img_path', 'gt_path'}
    assert not {'left_path', 'right_path'} & set(plain[0])


def test_absent_and_wrong_views_are_told(tmp_path):
    folders = LAYOUTS['repacked']
    write_views(tmp_path, folders)
    gone = tmp_path / folders[2] / '1P0A102.png'
    gone.unlink()
    wrong = tmp_path / folders[1] / '1P0A104.png'
    Image.new('RGB', (20, 20)).save(wrong)

    def build(**options):
        DefocusPairDataset(data_root=str(tmp_path), **options)

    with pytest.raises(InputError) as caught:
        build(views=True)
    assert f'{tmp_path / folders[0]}/1P0A102.png has no right view' in str(caught.value)
    assert f'its left view {wrong} 20x20' in str(caught.value)
    build(views=False)
    (tmp_path / folders[1]).rename(tmp_path / 'elsewhere')
    with pytest.raises(
        InputError, match='inputL, where the left views of .* is no fold'
    ):
        build(views=True)
    with pytest.raises(InputError, match='has no left and right views; give views=Fal'):
        build(views=True, layout=dict(input='train/inputC', target='train/target'))


class Views(nn.Module):
    """Three images, each the photo times a factor."""

    def __init__(self):
        super().__init__()
        self.factors = nn.Parameter(torch.tensor([0.5, 0.75, 1.0]))

    def forward_views(self, image):
        names = ('left', 'right', 'sharp')
        return {k: f * image for k, f in zip(names, self.factors, strict=True)}

    def forward(self, image):
        return self.forward_views(image)['sharp']


def batch_of(dataset):
    from mmengine.dataset import pseudo_collate

    return pseudo_collate([dataset[n] for n in range(2)])


def test_dual_pixel_losses_by_hand(tmp_path):
    write_views(tmp_path, LAYOUTS['repacked'])
    dataset = DefocusPairDataset(data_root=str(tmp_path), views=True, pipeline=PIPELINE)
    restorer = DualPixelRestorer(
        Views(),
        dict(sharp=1, views=0.5, mean=2, disparity=4),
        data_preprocessor=SCALED,
    )
    data = restorer.data_preprocessor(batch_of(dataset), True)
    losses = restorer.forward_train(**data)

    def mean(of_photo):
        # Photos of 10 and 20, views one and two brighter, targets three.
        return sum(map(of_photo, (10.0, 20.0))) / 2 / 255**2

    assert losses['loss_sharp'].item() == pytest.approx(mean(lambda c: 9.0))
    views = mean(lambda c: ((0.5 * c - c - 1) ** 2 + (0.75 * c - c - 2) ** 2) / 2)
    assert losses['loss_views'].item() == pytest.approx(0.5 * views)
    assert losses['loss_mean'].item() == pytest.approx(
        2 * mean(lambda c: (c - 0.625 * c) ** 2)
    )
    assert losses['loss_disparity'].item() == pytest.approx(
        4 * mean(lambda c: (-0.25 * c + 1) ** 2)
    )
    assert set(losses) == {f'loss_{name}' for name in DualPixelRestorer.NAMES}
    # Of the first phase: s is c times one.
    restorer.blurred_as_sharp = True
    assert restorer.forward_train(**data)['loss_sharp'].item() == 0


def test_data_without_views_is_told(tmp_path):
    write_views(tmp_path, LAYOUTS['repacked'])
    pipeline = [dict(type='LoadDefocusPair'), dict(type='PackInputs')]
    dataset = DefocusPairDataset(data_root=str(tmp_path), pipeline=pipeline)
    weights = dict.fromkeys(DualPixelRestorer.NAMES, 1)
    restorer = DualPixelRestorer(Views(), weights, data_preprocessor=SCALED)
    data = restorer.data_preprocessor(batch_of(dataset), True)
    with pytest.raises(InputError, match='no left and no right view; give Defocus'):
        restorer.forward_train(**data)
    with pytest.raises(ValueError, match='loss_weights must name'):
        DualPixelRestorer(Views(), dict(sharp=1))


class Samples:
    def __init__(self, gt_img):
        self.gt_img = gt_img


class Reblurring(nn.Module):
    """Predictions and reblurred images that are what it was given, times a factor."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.5))

    def forward_reblurred(self, image, sharp):
        images = [self.factor * image]
        return images, [self.factor * sharp[..., ::s, ::s] for s in (1, 2, 4)]

    def forward_scales(self, image):
        return [self.factor * image]


def test_reblurring_of_the_truth_at_three_scales():
    loss = MultiScaleLoss(dict(l1=nn.L1Loss()))
    restorer = ReblurringRestorer(
        2.0, generator=Reblurring(), loss=loss, data_preprocessor=SCALED
    )
    y, x = noise(1, 3, 16, 16).float(), noise(1, 3, 16, 16, seed=1).float()
    losses = restorer.forward_train(y, Samples(x))
    # Bilinear halving is the mean of 2 × 2, quartering that of the inner 2 × 2.
    half = F.avg_pool2d(y, 2)
    quarter = F.avg_pool2d(
        y.unfold(2, 4, 4).unfold(3, 4, 4)[..., 1:3, 1:3].flatten(-2).mean(-1), 1
    )
    expected = 2 * sum(
        weight * ((x[..., ::s, ::s] / 2 - small) ** 2).mean().item()
        for weight, s, small in ((0.75, 1, y), (0.5, 2, half), (0.25, 4, quarter))
    )
    assert losses['loss_reblur'].item() == pytest.approx(expected, rel=1e-5)
    assert losses['loss_l1'].item() == pytest.approx((y / 2 - x).abs().mean().item())


def test_reblurring_can_be_left_out_as_released():
    loss = MultiScaleLoss(dict(l1=nn.L1Loss()))
    restorer = ReblurringRestorer(
        0.0, generator=Reblurring(), loss=loss, data_preprocessor=SCALED
    )
    y = noise(1, 3, 16, 16).float()
    assert set(restorer.forward_train(y, Samples(y))) == {'loss_l1'}
    with pytest.raises(ValueError, match='reblur_weight must not be negative, got -1'):
        ReblurringRestorer(-1, generator=Reblurring(), loss=loss)


def test_warp_follows_the_flow():
    image = noise(1, 2, 6, 8)
    flow = torch.zeros(1, 2, 6, 8)
    # No flow is no change, which the released warp misses.
    torch.testing.assert_close(warp(image, flow), image, atol=1e-6, rtol=0)
    flow[:, 0] = 2
    flow[:, 1] = -1
    moved = warp(image, flow)
    torch.testing.assert_close(
        moved[..., 1:, :-2], image[..., :-1, 2:], atol=1e-6, rtol=0
    )
    # Beyond the border, the last pixel.
    expected = image[..., :-1, -1:].expand(-1, -1, -1, 2)
    torch.testing.assert_close(moved[..., 1:, -2:], expected, atol=1e-6, rtol=0)


def test_unusual_flow_is_masked():
    flow = torch.zeros(2, 2, 20, 20)
    flow[:, 0] = 1
    # Of four pixels, in the first image alone.
    flow[0, :, :2, :2] = torch.tensor([0.0, -30.0]).view(2, 1, 1)
    mask = usual_flow(flow)
    assert mask.shape == (2, 1, 20, 20)
    assert mask[1].all()
    assert mask[0, 0, 5:, 5:].all()
    assert not mask[0, 0, :2, :2].any()


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.8))

    def forward(self, image, *others):
        return self.factor * image


class Shift(nn.Module):
    """A flow of one pixel to the right, from whatever to whatever; remembers what."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, a, b):
        self.seen.append((a.clone(), b.clone(), a.requires_grad or b.requires_grad))
        flow = a.new_zeros(len(a), 2, *a.shape[-2:])
        flow[:, 0] = 1
        return flow


def jdrl(**options):
    return JDRLRestorer(
        Shift(),
        Scale(),
        generator=Scale(),
        loss=dict(type='CharbonnierLoss', eps=1e-6),
        data_preprocessor=SCALED,
        **options,
    )


def rho(a, b):
    return ((a - b) ** 2 + 1e-6).sqrt().mean().item()


def test_jdrl_goes_through_its_phases():
    restorer = jdrl(warm_up=10, reblurring_first=5)
    blurred, sharp = noise(1, 3, 8, 12).float(), noise(1, 3, 8, 12, seed=1).float()
    moved = sharp[..., [*range(1, 12), 11]]
    parameters = [restorer.generator.factor, restorer.reblurring.factor]

    def step(number):
        at_iteration(number)
        losses = restorer.forward_train(blurred, Samples(sharp))
        gradients = torch.autograd.grad(sum(losses.values()), parameters)
        return losses, [bool(gradient) for gradient in gradients]

    losses, trained = step(9)
    assert set(losses) == {'loss_deblur'}
    assert losses['loss_deblur'].item() == pytest.approx(rho(0.8 * blurred, moved))
    # The truth goes onto the blurred image.
    assert torch.equal(restorer.flow.seen[-1][0], blurred)
    assert trained == [True, False]

    losses, trained = step(14)
    assert losses['loss_deblur'].item() == 0
    reblurred = 0.5 * rho(0.64 * blurred, blurred)
    assert losses['loss_reblur'].item() == pytest.approx(reblurred)
    assert trained == [False, True]

    losses, trained = step(15)
    back = (0.8 * blurred)[..., [*range(1, 12), 11]]
    both = rho(0.8 * blurred, moved) + rho(sharp, back)
    # Of one flow everywhere, nothing is masked.
    assert losses['loss_deblur'].item() == pytest.approx(both)
    assert losses['loss_reblur'].item() == pytest.approx(reblurred)
    assert trained == [True, True]
    assert not any(needs_gradient for *_, needs_gradient in restorer.flow.seen)


def test_jdrl_refuses_what_cannot_be():
    with pytest.raises(ValueError, match='must not be negative, got -1, 0 and 0.5'):
        jdrl(warm_up=-1)


def test_raft_in_place_of_pwc_net(tmp_path):
    torch.manual_seed(0)
    network = raft_small(weights=None).eval()
    path = tmp_path / 'raft.pth'
    torch.save(network.state_dict(), path)
    flow = RAFTFlow(str(path), 'raft_small')
    a, b = noise(1, 3, 128, 136).float(), noise(1, 3, 128, 136, seed=1).float()
    with torch.no_grad():
        expected = network(2 * a - 1, 2 * b - 1)[-1]
    torch.testing.assert_close(flow(a, b), expected)
    assert not flow.state_dict()
    assert flow(a[..., :130], b[..., :130]).shape == (1, 2, 128, 130)
    with pytest.raises(InputError, match='RAFT needs sides from 128, got 100x136'):
        flow(a[:, :, :100], b[:, :, :100])
    with pytest.raises(InputError, match='raft.pth has no weights of raft_large'):
        RAFTFlow(str(path))(a, b)


def test_parts_are_registered():
    names = 'SSIMLoss EdgeLoss AlternatingLoss DualPixelRestorer ReblurringRestorer'
    names += ' JDRLRestorer RAFTFlow ReblurNet MDP DRBNet MPRNet NRKNet ConvIR'
    for name in names.split():
        assert MODELS.get(name).__module__.startswith('mmagic_inik.')
    assert DATASETS.get('DefocusPairDataset') is DefocusPairDataset
