import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmagic.registry import DATASETS, HOOKS, LOOPS, METRICS, MODELS, TRANSFORMS
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from PIL import Image

from mmagic_inik.errors import InputError

ROOT = Path(__file__).parents[1]
BASES = ROOT / 'configs/_base_'
CONFIGS = sorted(set((ROOT / 'configs').rglob('*.py')) - set(BASES.rglob('*.py')))
# They have recipes of their own.
PEERS = sorted((ROOT / 'configs/peers').glob('*_dpdd.py'))
DATA_SETS = sorted((BASES / 'datasets').glob('*.py'))
HALVES = ('source', 'target')
# They differ from the paper's recipe in data alone.
OF_OTHER_DATA = ('iniknet_all_sets', 'iniknet_folders', 'iniknet_lfdof')
# It differs in how it is tested alone.
INIK2023 = 'iniknet_dpdd_inik2023'


def load(name):
    return Config.fromfile(f'configs/{name}.py')


def short_name(path):
    return path.relative_to(ROOT / 'configs').with_suffix('').as_posix()


@pytest.mark.parametrize(
    ('registry', 'names'),
    [
        (
            MODELS,
            'INRAtomBank DuplexConvLSTM InverseFilterHead UNet TappedBackbone INIKNet '
            'MultiScaleRestorer FrequencyLoss LPIPSLoss MatchedLoss MultiScaleLoss '
            'PerSizeINRAtomBank MatrixAtomBank ConvNeck TappedBackbone '
            'UnidirectionalConvLSTM UnidirectionalINIKNet',
        ),
        (METRICS, 'ImageQuality'),
        (DATASETS, 'DefocusPairDataset SharpPhotoDataset'),
        (TRANSFORMS, 'LoadDefocusPair LoadSharpPhoto SyntheticDefocus'),
        (
            HOOKS,
            'StrictCheckpointHook TrainingPiecesHook ValidationSheetHook ProgressHook',
        ),
        (LOOPS, 'FastResumeTrainLoop'),
    ],
    ids=['models', 'metrics', 'datasets', 'transforms', 'hooks', 'loops'],
)
def test_parts_are_in_mmagics_registries(registry, names):
    for name in names.split():
        assert registry.get(name).__module__.startswith('mmagic_inik.')


@pytest.mark.parametrize(
    'path',
    [
        path
        for path in CONFIGS
        if path.stem not in (*OF_OTHER_DATA, INIK2023) and path not in PEERS
    ],
    ids=short_name,
)
def test_config_builds_trains_one_step_and_predicts(path):
    config = Config.fromfile(path)
    # LPIPS needs a file; test_tools.py trains with it.
    config.model.loss.losses.lpips = None
    losses = {f'loss_{name}' for name, loss in config.model.loss.losses.items() if loss}
    assert losses in ({'loss_mse', 'loss_fd'}, {'loss_psnr', 'loss_fd'})
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
    assert losses | {'loss'} == logged.keys()
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
    torch.manual_seed(0)  # frequencies are drawn
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
    assert 'PSNR' in config.val_evaluator[0].scores
    assert config.randomness.seed is not None


@pytest.mark.parametrize('name', OF_OTHER_DATA)
def test_configs_of_other_data_share_the_recipe(name):
    ours, theirs = load(name), load('iniknet_dpdd')
    for part in ('model', 'optim_wrapper', 'param_scheduler', 'train_cfg'):
        assert ours[part] == theirs[part]
    assert ours.train_pipeline == theirs.train_pipeline
    assert ours.train_dataloader.batch_size == theirs.train_dataloader.batch_size


@pytest.mark.parametrize('path', [*CONFIGS, *DATA_SETS], ids=short_name)
def test_every_data_set_and_metric_builds(path):
    config = Config.fromfile(path)
    for split in ('train', 'val', 'test'):
        loaders = config[f'{split}_dataloader']
        for loader in loaders if isinstance(loaders, list) else [loaders]:
            if loader is None or 'data_root' not in loader.dataset:
                # cuhk.py has nothing to train on; pairs.py names no data.
                assert path.stem in ('cuhk', 'pairs')
                continue
            DATASETS.build(dict(loader.dataset, lazy_init=True))
    for evaluator in (config.val_evaluator, config.test_evaluator):
        for metric in evaluator:
            for single in metric if isinstance(metric, list) else [metric]:
                METRICS.build(single)


@pytest.mark.parametrize('name', ['dpdd', 'lfdof', 'realdof', 'rtf', 'cuhk', 'folders'])
def test_data_set_configs_name_their_preset_for_every_split(name):
    config = load(f'_base_/datasets/{name}')
    for split in ('train', 'val', 'test'):
        if (name, split) == ('cuhk', 'train'):
            assert config.train_dataloader is None
            continue
        data_set = config[f'{split}_dataloader'].dataset
        assert data_set.preset == config.preset == name
        assert data_set.data_root == config.data_root
        assert data_set.split == split
        assert data_set.get('test_mode', False) == (split != 'train')


def test_photos_of_ones_own_keep_a_tenth_from_training():
    config = load('iniknet_folders')
    for split in ('train', 'val', 'test'):
        data_set = config[f'{split}_dataloader'].dataset
        assert data_set.val_share == config.val_share == 0.1
        assert data_set.layout == config.layout == {}


@pytest.fixture
def all_sets(tmp_path):
    """Smallest folders of DPDD, LFDOF, RealDOF, RTF and CUHK; the config on them."""
    names = [
        *(f'DPDD/{s}_c/{k}/1.png' for s in ('train', 'val') for k in HALVES),
        *(f'DPDD/test_c/{k}/{n}.png' for k in HALVES for n in (1, 2)),
        *('LFDOF/test_data/input/1/1_ap1.png', 'LFDOF/test_data/ground_truth/1.png'),
        *(f'RealDOF/{kind}/01.png' for kind in HALVES),
        *('RTF/image/0/image_01.png', 'RTF/GT/sharp_01.png'),
        'CUHK/image/out_of_focus0001.jpg',
    ]
    random = np.random.default_rng(0)
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(random.integers(0, 256, (16, 24, 3), np.uint8))
        # NIQE takes blocks of 96 pixels.
        size = (192, 96) if 'CUHK' in name else (48, 32)
        coarse.resize(size, Image.Resampling.BICUBIC).save(path)

    def build():
        config = load('iniknet_all_sets')
        tiny = load('iniknet_demo')
        config.model = tiny.model
        generator = config.model.generator
        generator.num_scales = 1
        generator.backbone.base_channels = generator.neck.channels = 2
        generator.head.in_channels = 2
        generator.head.atom_bank.update(num_atoms=2, kernel_sizes=(1, 3))
        config.work_dir = str(tmp_path / 'work')
        config.train_cfg.update(max_iters=1, val_interval=1)
        config.train_dataloader.dataset.pipeline[1].gt_patch_size = 32
        loaders = [*config.val_dataloader, *config.test_dataloader]
        for loader in [config.train_dataloader, *loaders]:
            loader.update(num_workers=0, persistent_workers=False)
            root = Path(loader.dataset.data_root)
            loader.dataset.data_root = str(tmp_path / root.name)
        for (metric,) in config.test_evaluator:
            # LPIPS would need AlexNet's weights.
            metric.scores = [s for s in metric.scores if s != 'LPIPS_alex']
        return config

    return build


@pytest.mark.long
def test_all_sets_are_validated_and_tested_in_one_run(all_sets, tmp_path):
    config = all_sets()
    runner = Runner.from_cfg(config)
    runner.train()
    assert list((tmp_path / 'work').glob('best_DPDD_PSNR_iter_1.pth'))
    best = torch.load(tmp_path / 'work/best_DPDD_PSNR_iter_1.pth', weights_only=True)
    assert best['meta']['iter'] == 1
    runner.test()
    with_targets = ['PSNR', 'SSIM_7x7', 'SSIM_11x11', 'MAE']
    # MMagic's loop returns nothing.
    logged = MessageHub.get_current_instance().log_scalars
    found = {key.removeprefix('test/') for key in logged if key.startswith('test/')}
    assert {key for key in found if '/' in key} == {
        *(
            f'{n}/{s}'
            for n in ('DPDD', 'LFDOF', 'RealDOF', 'RTF')
            for s in with_targets
        ),
        'CUHK/NIQE',
    }


def test_sets_that_one_lacks_are_left_out(all_sets, monkeypatch):
    monkeypatch.setenv('SETS', 'RTF, CUHK')
    config = all_sets()
    assert [loader.dataset.preset for loader in config.test_dataloader] == [
        'rtf',
        'cuhk',
    ]
    assert [metric.prefix for (metric,) in config.test_evaluator] == ['RTF', 'CUHK']
    assert config.val_dataloader == []


def test_unknown_set_is_named(monkeypatch):
    monkeypatch.setenv('SETS', 'DPDD,LFDO')
    with pytest.raises(InputError, match='SETS is DPDD,LFDO; choose of DPDD,LFDOF,'):
        load('iniknet_all_sets')


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
