import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmagic.registry import DATASETS, HOOKS, LOOPS, METRICS, MODELS, TRANSFORMS
from mmengine.config import Config

CONFIGS = sorted((Path(__file__).parents[1] / 'configs').glob('*.py'))


def load(name):
    return Config.fromfile(f'configs/{name}.py')


@pytest.mark.parametrize(
    ('registry', 'names'),
    [
        (
            MODELS,
            'INRAtomBank DuplexConvLSTM InverseFilterHead UNet INIKNet '
            'MultiScaleRestorer FrequencyLoss LPIPSLoss MultiScaleLoss',
        ),
        (METRICS, 'LPIPS UniformSSIM'),
        (DATASETS, 'DefocusPairDataset'),
        (TRANSFORMS, 'LoadDefocusPair'),
        (HOOKS, 'StrictCheckpointHook'),
        (LOOPS, 'FastResumeTrainLoop'),
    ],
    ids=['models', 'metrics', 'datasets', 'transforms', 'hooks', 'loops'],
)
def test_parts_are_in_mmagics_registries(registry, names):
    for name in names.split():
        assert registry.get(name).__module__.startswith('mmagic_inik.')


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_builds_trains_one_step_and_predicts(path):
    config = Config.fromfile(path)
    # LPIPS needs a file; test_tools.py trains with it.
    config.model.loss.losses.lpips = None
    model = MODELS.build(config.model)
    crop = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    from mmagic.structures import DataSample

    def batch():
        sample = DataSample(gt_img=crop.clone())
        sample.set_metainfo(dict(img_channel_order='RGB', gt_channel_order='RGB'))
        return dict(inputs=[crop.clone()], data_samples=[sample])

    from mmengine.optim import build_optim_wrapper

    before = [p.detach().clone() for p in model.parameters()]
    logged = model.train_step(batch(), build_optim_wrapper(model, config.optim_wrapper))
    assert {'loss', 'loss_mse', 'loss_fd'} == logged.keys()
    after = list(model.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    (result,) = model.eval().test_step(batch())
    assert result.output.pred_img.shape == (3, 32, 32)


def test_released_config_is_the_released_network():
    generator = MODELS.build(load('iniknet_dpdd').model.generator)
    assert sum(p.numel() for p in generator.parameters()) == 1_976_847
    assert generator.num_scales == 3
    head, bank = generator.head, generator.head.atom_bank
    assert head.mixing is not None
    assert head.residual
    assert bank.center == 'zero'
    assert bank.kernel_sizes == (1, 3, 5, 7, 9, 11, 13, 15)
    assert generator.size_neck.cell_state == 'recurrent'
    torch.testing.assert_close(bank.frequency, torch.linspace(2, 12, 10))


@torch.no_grad()
def test_literal_config_is_the_papers_network():
    generator = MODELS.build(load('iniknet_literal_dpdd').model.generator)
    head, bank = generator.head, generator.head.atom_bank
    assert head.mixing is None
    assert not head.residual
    assert (bank()[0] == 1).all()
    assert generator.size_neck.cell_state == 'feature'
    assert generator.shape_neck.cell_state == 'feature'
    assert bank.frequency.min() >= 2
    assert 12 < bank.frequency.max() <= 16
    assert bank.frequency.diff().min() < 0  # drawn, not spaced
    # An exact identity to start from, up to rounding of Σ μ ω.
    y = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(generator(y), y, atol=1e-5, rtol=0)


def test_literal_differs_from_released_in_options_alone():
    ours, theirs = load('iniknet_literal_dpdd'), load('iniknet_dpdd')
    for config in (ours, theirs):
        config.model.generator.neck.pop('cell_state', None)
        for option in ('fusion', 'residual'):
            config.model.generator.head.pop(option, None)
        for option in ('frequencies', 'frequency_range', 'center'):
            config.model.generator.head.atom_bank.pop(option, None)
    assert ours.to_dict() == theirs.to_dict()


def test_recipe_is_the_papers():
    config = load('iniknet_dpdd')
    assert config.train_cfg.max_iters == 400_000
    assert config.train_dataloader.batch_size == 4
    assert config.optim_wrapper.optimizer == dict(type='Adam', lr=2e-4)
    step = config.param_scheduler
    assert (step.type, step.step_size, step.gamma) == ('StepLR', 100_000, 0.5)
    assert not step.by_epoch
    losses = config.model.loss.losses
    assert losses.mse == dict(type='MSELoss')
    assert losses.fd == dict(type='FrequencyLoss', loss_weight=0.1)
    assert losses.lpips == dict(type='LPIPSLoss', loss_weight=0.1)
    crop = [t for t in config.train_pipeline if t.type == 'PairedRandomCrop']
    assert crop[0].gt_patch_size == 256
    kinds = [t.type for t in config.train_pipeline]
    assert kinds.count('Flip') == 2
    assert 'RandomTransposeHW' in kinds
    assert config.default_hooks.checkpoint.save_best == 'PSNR'
    assert config.default_hooks.checkpoint.interval == config.train_cfg.val_interval
    assert 'PSNR' in [metric.type for metric in config.val_evaluator]
    assert config.randomness.seed is not None


def test_network_and_losses_work_without_mmagics_dependencies():
    """On a machine with torch, mmengine, mmagic and mmcv-lite alone."""
    program = """
import sys
import importlib.util as u
class Lite:
    def find_spec(self, name, path=None, target=None):
        if name in ('mmcv.ops', 'mmcv._ext') or name.split('.')[0] in (
            'diffusers', 'transformers', 'mediapipe', 'albumentations', 'lpips'):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Lite())
real = u.find_spec
u.find_spec = lambda name, *a: None if name == 'mmcv._ext' else real(name, *a)
import torch
import mmagic_inik
from mmagic_inik.models import *
from mmagic_inik.losses import FrequencyLoss, MultiScaleLoss
net = INIKNet(UNet(3, 4, 1), [DuplexConvLSTM(4, 1), DuplexConvLSTM(4, 1)],
              InverseFilterHead(4, INRAtomBank(2, (1, 3))))
y = torch.rand(1, 3, 8, 8)
MultiScaleLoss(dict(fd=FrequencyLoss()))(net.forward_scales(y), y)['loss_fd'].backward()
assert 'mmagic.models' not in sys.modules
"""
    subprocess.run([sys.executable, '-c', program], check=True)
