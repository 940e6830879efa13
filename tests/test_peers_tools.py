"""Peers by the real tools, on made photos: train, resume, test, restore."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmagic.registry import MODELS
from mmengine.config import Config
from PIL import Image

from mmagic_inik.benchmark.contenders import build_contender
from mmagic_inik.errors import InputError
from mmagic_inik.launch import run_tool

ROOT = Path(__file__).parents[1]
PEERS = ROOT / 'configs' / 'peers'
SYNTHETIC = PEERS / 'synthetic.py'
INIKNET = 'configs/iniknet_synthetic.py'
sys.path.insert(0, str(ROOT / 'tools'))
import restore  # noqa: E402

# What each learns from.
LOSSES = {
    'dpdnet': ['mse'],
    'dpdnet_views': ['mse'],
    'aifnet': ['mse'],
    'ifan': ['mse'],
    'ifan_reblurring': ['mse', 'reblur'],
    'ifan_views': ['mse', 'reblur', 'disparity'],
    'kpac': ['l1'],
    'kpac_2level': ['l1'],
    'gkmnet': ['mse'],
}


@pytest.fixture
def narrow(monkeypatch):
    """Networks of the same form that train in a second."""
    models = 'mmagic_inik.models.peers'
    monkeypatch.setattr(f'{models}.dpdnet._WIDTHS', (8, 16, 32, 64, 128))
    monkeypatch.setattr(f'{models}.aifnet._NUM_LEVELS', 3)
    monkeypatch.setattr(f'{models}.ifan._ITERATIONS', 2)


@pytest.fixture
def data(tmp_path):
    """Three photos of 56 × 48 pixels with both views, as DPDD is repacked."""
    random = np.random.default_rng(0)
    for split in ('train', 'val', 'test'):
        for name in 'abc':
            noise = random.integers(0, 256, (14, 12, 3), np.uint8)
            sharp = Image.fromarray(noise).resize((48, 56), Image.Resampling.BICUBIC)
            blurred = sharp.reduce(2).resize((48, 56))
            left, right = (
                blurred.transform((48, 56), Image.Transform.AFFINE, (1, 0, s, 0, 1, 0))
                for s in (-1, 1)
            )
            images = dict(target=sharp, inputC=blurred, inputL=left, inputR=right)
            for folder, photo in images.items():
                path = tmp_path / 'photos' / split / folder / f'{name}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                photo.save(path)
    return tmp_path / 'photos'


@pytest.fixture
def tool(monkeypatch, tmp_path, capfd):
    """Runs a tool in this process, which has imported MMagic already."""
    path = sys.path[:]

    def run(script, *arguments):
        monkeypatch.setattr(sys, 'path', path[:])
        monkeypatch.setattr(sys, 'argv', [script, *map(str, arguments)])
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv('LOCAL_RANK', '0')
        try:
            run_tool(script)
        except SystemExit as stop:
            pytest.fail(str(stop.code))
        return capfd.readouterr().out

    return run


def options(config, data, iterations=2):
    """`--cfg-options` for so many iterations on crops of 48 × 48."""
    given = {
        'data_root': data,
        'train_cfg.max_iters': iterations,
        'train_cfg.val_interval': iterations,
        'default_hooks.checkpoint.interval': iterations,
        'default_hooks.logger.interval': 1,
        'train_dataloader.batch_size': 2,
        'test_evaluator.0.scores': 'PSNR',
    }
    for split in ('train', 'val', 'test'):
        given[f'{split}_dataloader.num_workers'] = 0
        given[f'{split}_dataloader.persistent_workers'] = False
    pipeline = Config.fromfile(config).train_dataloader.dataset.pipeline
    for k, step in enumerate(pipeline):
        step_is = f'train_dataloader.dataset.pipeline.{k}'
        if step.type == 'PairedRandomCrop':
            given[f'{step_is}.gt_patch_size'] = 48
        elif step.type == 'FixedCrop':
            given[f'{step_is}.crop_size'] = '(32,32)'
    return ['--cfg-options', *(f'{key}={value}' for key, value in given.items())]


def restored_photo(config, checkpoint, photo, out):
    restore.main(
        [
            *(str(photo), '--config', str(config), '--checkpoint', str(checkpoint)),
            *('--out', str(out), '--device', 'cpu'),
        ]
    )
    return np.asarray(Image.open(out / photo.name))


@pytest.mark.long
@pytest.mark.parametrize('name', LOSSES)
def test_trains_resumes_tests_and_restores(narrow, tool, data, tmp_path, name):
    config, work = PEERS / f'{name}_dpdd.py', tmp_path / 'work'
    log = tool('train.py', config, '--work-dir', work, *options(config, data))
    for part in ('Iter(train) [2/2]', 'Iter(val) [3/3]    PSNR: '):
        assert part in log
    for loss in LOSSES[name]:
        assert f'loss_{loss}: ' in log
    log = tool(
        'train.py',
        *(config, '--work-dir', work, '--resume', *options(config, data, 3)),
    )
    assert 'Iter(train) [3/3]' in log
    assert 'Iter(train) [2/3]' not in log
    checkpoint = work / 'iter_3.pth'
    log = tool(
        'test.py', config, checkpoint, '--work-dir', work, *options(config, data)
    )
    assert 'Iter(test) [3/3]    PSNR: ' in log
    if 'views' in name and 'dpdnet' in name:
        # It takes two views, which a photo has not.
        return
    photo = data / 'test' / 'inputC' / 'a.png'
    restored = restored_photo(config, checkpoint, photo, tmp_path / 'restored')
    assert restored.shape == (56, 48, 3)
    assert (restored != np.asarray(Image.open(photo))).any()


def test_every_config_is_tried():
    """Here or in test_peers_configs.py."""
    others = 'convir_b convir_l convir_s drbnet mdp mdp_views mprnet mprnet_jdrl nrknet'
    names = {path.stem.removesuffix('_dpdd') for path in PEERS.glob('*_dpdd.py')}
    assert names == LOSSES.keys() | set(others.split())


@pytest.mark.parametrize('name', ['gkmnet', 'aifnet', 'mdp', 'convir_s'])
def test_any_peer_trains_by_iniknets_schedule(monkeypatch, name):
    monkeypatch.setenv('PEER', name)
    monkeypatch.setenv('ITERS', '100')
    ours, theirs = Config.fromfile(SYNTHETIC), Config.fromfile(ROOT / INIKNET)
    for part in ('optim_wrapper', 'param_scheduler', 'train_cfg', 'train_dataloader'):
        assert ours[part] == theirs[part]
    assert ours.model.loss == theirs.model.loss
    assert ours.custom_hooks == theirs.custom_hooks
    own = Config.fromfile(PEERS / f'{name}_dpdd.py').model.generator
    assert ours.model.generator.type == own.type
    assert ours.work_dir == f'work_dirs/{name}_synthetic'
    assert ours.model_wrapper_cfg.find_unused_parameters == (name in ('aifnet', 'mdp'))


def test_every_peer_has_a_name_for_synthetic_defocus(monkeypatch):
    names = [path.stem for path in PEERS.glob('*_dpdd.py')]
    variants = '_jdrl', '_views', '_reblurring'
    for name in names:
        name = name.removesuffix('_dpdd')
        if name.endswith(variants):
            continue
        monkeypatch.setenv('PEER', name)
        with torch.device('meta'):
            MODELS.build(Config.fromfile(SYNTHETIC).model.generator)
    monkeypatch.setenv('PEER', 'dpd')
    with pytest.raises(InputError, match='PEER is dpd; give one of aifnet, convir_b, '):
        Config.fromfile(SYNTHETIC)


def test_peer_trains_on_synthetic_defocus(tool, tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    for k in range(10):
        noise = random.integers(0, 256, (30, 30, 3), np.uint8)
        photo = Image.fromarray(noise).resize((120, 120), Image.Resampling.BICUBIC)
        path = tmp_path / 'sharp' / f'{k}.png'
        path.parent.mkdir(exist_ok=True)
        photo.save(path)
    monkeypatch.setenv('PEER', 'kpac')
    monkeypatch.setenv('ITERS', '10')
    given = [
        f'data_root={tmp_path / "sharp"}',
        'model.loss.losses.lpips=None',
        'train_cfg.max_iters=2',
        'train_cfg.val_interval=2',
        'default_hooks.logger.interval=1',
        'train_dataloader.batch_size=2',
    ]
    for split in ('train', 'val', 'test'):
        given += [
            f'{split}_dataloader.num_workers=0',
            f'{split}_dataloader.persistent_workers=False',
        ]
    for split in ('train', 'val'):
        crop = f'{split}_dataloader.dataset.pipeline.1'
        given += [f'{crop}.crop_size=64', f'{crop}.max_radius=4']
    log = tool('train.py', SYNTHETIC, '--cfg-options', *given)
    assert 'Iter(train) [2/2]' in log
    for loss in ('psnr', 'fd'):
        assert f'loss_{loss}: ' in log
    assert 'Iter(val) [1/1]    PSNR: ' in log
    assert (tmp_path / 'work_dirs' / 'kpac_synthetic' / 'iter_2.pth').is_file()


def test_benchmarks_predict_unclipped_with_every_restorer(tmp_path):
    """A subclass of MultiScaleRestorer is ours as well."""
    config = PEERS / 'nrknet_dpdd.py'
    model = MODELS.build(Config.fromfile(config).model)
    checkpoint = tmp_path / 'nrknet.pth'
    torch.save(model.state_dict(), checkpoint)
    contender = build_contender('NRKNet', str(config), str(checkpoint), clip=False)
    assert not contender.module.clips_predictions
