"""Recipes of the peers: they train a step, and are those of the publications."""

import warnings
from pathlib import Path

import pytest
import torch
from mmagic.registry import MODELS, PARAM_SCHEDULERS
from mmagic.structures import DataSample
from mmengine.config import Config
from mmengine.dataset import InfiniteSampler
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmagic_inik.datasets import RepeatingSampler
from mmagic_inik.engine import RestartFromBestHook

CONFIGS = Path(__file__).parents[1] / 'configs' / 'peers'
# Of DPDD's 350 photos in batches of four.
EPOCH = 87


def load(name):
    return Config.fromfile(CONFIGS / f'{name}_dpdd.py')


def batch(size=2, side=32):
    generator = torch.Generator().manual_seed(0)
    images, samples = [], []
    for _ in range(size):
        crops = torch.randint(0, 256, (4, 3, side, side), generator=generator).byte()
        image, gt_img, left, right = crops
        sample = DataSample(gt_img=gt_img, left=left, right=right)
        sample.set_metainfo(dict(img_channel_order='RGB', gt_channel_order='RGB'))
        images.append(image)
        samples.append(sample)
    return dict(inputs=images, data_samples=samples)


class NoFlow(nn.Module):
    def forward(self, a, b):
        return a.new_zeros(len(a), 2, *a.shape[-2:])


@pytest.mark.parametrize(
    ('name', 'losses'),
    [
        ('mdp', 'sharp views mean disparity'),
        ('mdp_views', 'sharp views mean disparity'),
        ('drbnet', 'l1'),
        ('mprnet', 'charbonnier edge'),
        ('mprnet_jdrl', 'deblur reblur'),
        ('nrknet', 'mse fd reblur'),
        ('convir_s', 'l1 fd'),
    ],
)
def test_trains_a_step_and_predicts(name, losses):
    config = load(name)
    if name == 'mprnet_jdrl':
        config.model.flow = NoFlow()
    if name == 'convir_s':
        # Needs 64 pixels in place of 256.
        config.model.generator.dilations = (1, 1, 1)
    model = MODELS.build(config.model)
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    logged = model.train_step(batch(), optimizer)
    expected = {f'loss_{loss}' for loss in losses.split()}
    assert expected | {'loss'} == logged.keys() - {'grad_norm'}
    assert all(value.isfinite() for value in logged.values())
    changed = {key for key, p in model.named_parameters() if not p.equal(before[key])}
    if name == 'mdp_views':
        assert changed
        assert not any('.sharp.' in key for key in changed)
    elif name == 'mprnet_jdrl':
        assert {key.split('.')[0] for key in changed} == {'reblurring'}
    else:
        assert {key.split('.')[0] for key in changed} == {'generator'}
    (result,) = model.eval().test_step(batch(1, 20))
    assert result.output.pred_img.shape == (3, 20, 20)


@pytest.mark.parametrize(
    ('name', 'parameters'),
    [('convir_b', 8_630_665), ('convir_l', 14_830_985), ('mdp_views', 46_860_397)],
)
def test_variants_build(name, parameters):
    network = MODELS.build(load(name).model.generator)
    assert sum(p.numel() for p in network.parameters()) == parameters


def rates(config, at):
    """Learning rates when so many iterations are done."""
    lr = config.optim_wrapper.optimizer.lr
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=lr)
    schedulers = [
        PARAM_SCHEDULERS.build(dict(scheduler, optimizer=optimizer))
        for scheduler in config.param_scheduler
    ]
    found = {}
    with warnings.catch_warnings():
        # No step of the optimizer comes between.
        warnings.filterwarnings('ignore', message='Detected call of `scheduler')
        for iteration in range(max(at) + 1):
            found[iteration] = optimizer.param_groups[0]['lr']
            for scheduler in schedulers:
                scheduler.step()
    return [found[iteration] for iteration in at]


def test_nrknets_recipe():
    config = load('nrknet')
    assert config.train_cfg.max_iters == 5000 * EPOCH
    assert config.train_dataloader.batch_size == 4
    loss = config.model.loss
    assert (loss.start, loss.period, loss.epoch_iters) == (1000, 200, EPOCH)
    for part in (loss.first, loss.second):
        assert part.scale_weights == (1, 0.75, 0.5, 0.25)
    first, second, third = config.param_scheduler[0].milestones + (
        config.param_scheduler[1].milestones
    )
    assert [first, second, third] == [2000 * EPOCH, 3000 * EPOCH, 4000 * EPOCH]
    gammas = [scheduler.gamma for scheduler in config.param_scheduler]
    assert 1e-4 * gammas[0] ** 2 * gammas[1] == pytest.approx(0.1e-4)
    assert config.custom_hooks[-1].at == [first, second, third]


def test_mdps_recipe():
    phases = {name: load(name) for name in ('mdp', 'mdp_views')}
    epochs = {name: config.train_cfg.max_iters / 350 for name, config in phases.items()}
    assert epochs == {'mdp': 80, 'mdp_views': 60}
    assert phases['mdp'].optim_wrapper.optimizer == dict(type='Adam', lr=6e-4, eps=1e-7)
    assert phases['mdp_views'].optim_wrapper.optimizer.lr == 3e-4
    for config in phases.values():
        assert config.train_dataloader.batch_size == 8
        assert config.train_dataloader.sampler.times == 8
        assert config.param_scheduler.step_size == 8 * 350
        crop = config.train_dataloader.dataset.pipeline[1]
        assert (crop.type, tuple(crop.crop_size)) == ('FixedCrop', (512, 512))
        kinds = [step.type for step in config.train_dataloader.dataset.pipeline]
        assert 'Flip' not in kinds
    assert phases['mdp'].model.loss_weights == dict(
        sharp=1, views=0.2, mean=0.2, disparity=0.2
    )
    assert phases['mdp_views'].model.loss_weights == dict(
        sharp=1, views=1, mean=0.2, disparity=0.2
    )


@pytest.mark.parametrize('name', ['convir_s', 'mprnet'])
def test_warm_up_and_cosine(name):
    config = load(name)
    lr = {'convir_s': 1e-4, 'mprnet': 2e-4}[name]
    warm, cosine = config.param_scheduler
    assert config.optim_wrapper.optimizer.lr == lr
    assert warm.end == cosine.begin == config.train_cfg.max_iters // 1000
    assert cosine.end == config.train_cfg.max_iters
    first, warmed = rates(config, [0, warm.end])
    assert first == pytest.approx(lr / 3)
    assert warmed == pytest.approx(lr, rel=1e-3)
    assert cosine.eta_min == 1e-6


def test_convirs_recipe():
    config = load('convir_l')
    assert config.train_cfg.max_iters == 3000 * EPOCH
    assert config.optim_wrapper.clip_grad.max_norm == 0.001
    flips = [s for s in config.train_dataloader.dataset.pipeline if s.type == 'Flip']
    assert [flip.direction for flip in flips] == ['horizontal']
    kinds = [step.type for step in config.train_dataloader.dataset.pipeline]
    assert 'RandomTransposeHW' not in kinds
    # Real and imaginary parts share one mean there, and have one each here.
    assert config.model.loss.losses.fd.loss_weight == 0.1 / 2


def test_batches_of_one_photo():
    plain = iter(InfiniteSampler(range(5), seed=3))
    sampler = RepeatingSampler(range(5), times=4, seed=3)
    repeated = iter(sampler)
    for _ in range(12):
        index = next(plain)
        assert [next(repeated) for _ in range(4)] == [index] * 4
    with pytest.raises(ValueError, match='times must be positive, got 0'):
        RepeatingSampler(range(5), times=0)


class _Run:
    """What the hook sees of a runner."""

    def __init__(self, weight, iteration):
        self.model = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.model.weight, weight)
        self.optim_wrapper = build_optim_wrapper(
            self.model, dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.1))
        )
        self.model(torch.ones(1, 1)).backward()
        self.optim_wrapper.optimizer.step()
        self.iter = iteration
        self.message_hub = MessageHub.get_current_instance()


def test_restart_from_the_best_weights(tmp_path):
    hook = RestartFromBestHook([10, 20])
    best = tmp_path / 'best.pth'
    torch.save(dict(state_dict={'weight': torch.tensor([[7.0]])}), best)
    early = _Run(1.0, 10)
    # None is there yet: the optimizer alone starts afresh.
    hook.before_train_iter(early, 0)
    assert early.model.weight.item() == pytest.approx(0.9)
    assert not early.optim_wrapper.optimizer.state
    MessageHub.get_current_instance().update_info('best_ckpt', str(best))
    between = _Run(1.0, 11)
    hook.before_train_iter(between, 0)
    assert between.model.weight.item() == pytest.approx(0.9)
    assert between.optim_wrapper.optimizer.state
    late = _Run(1.0, 20)
    hook.before_train_iter(late, 0)
    assert late.model.weight.item() == 7
    assert not late.optim_wrapper.optimizer.state
    with pytest.raises(ValueError, match='at must be of positive iterations'):
        RestartFromBestHook([0])
