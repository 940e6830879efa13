"""INIKNet's parts with other networks, by the real tools, on made photos."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mmagic
import numpy as np
import pytest
import torch
from mmagic.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from PIL import Image

from mmagic_inik.launch import run_tool

ROOT = Path(__file__).parents[1]
MIXED = ROOT / 'configs' / 'mixed'
ABLATIONS = ROOT / 'configs' / 'ablations'
DEMO = ROOT / 'configs' / 'iniknet_demo.py'
NAFNET = dict(mid_channels=4, enc_blk_nums='1,1,1,1')
RESTORMER = dict(dim=8, num_blocks='1,1,1,1', num_refinement_blocks=1)
INIKNET = {
    'num_scales': 2,
    'backbone.channels': 4,
    'neck.channels': 4,
    'neck.num_res_blocks': 1,
    'head.in_channels': 4,
    'head.atom_bank.num_atoms': 2,
    'head.atom_bank.kernel_sizes': '1,3',
}


def prefixed(prefix, options):
    return {f'{prefix}.{key}': value for key, value in options.items()}


NETWORK = 'backbone.network'
UNET = {k: v for k, v in INIKNET.items() if k != 'backbone.channels'} | {
    'backbone.base_channels': 4,
    'backbone.num_res_blocks': 1,
}
TINY = {
    'iniknet_nafnet_dpdd': INIKNET | prefixed(NETWORK, NAFNET),
    'iniknet_restormer_dpdd': INIKNET | prefixed(NETWORK, RESTORMER),
    'nafnet_dpdd': NAFNET,
    'restormer_dpdd': RESTORMER,
    'iniknet_gopro': UNET,
}


def options(name, data, **more):
    """`--cfg-options` for two iterations of a narrow network on crops of 32 × 32."""
    crop = 6 if 'gopro' in name else 1
    given = prefixed('model.generator', TINY.get(name, UNET)) | {
        'data_root': data,
        'model.loss.losses.lpips': None,
        'train_cfg.max_iters': 2,
        'train_cfg.val_interval': 2,
        'default_hooks.checkpoint.interval': 2,
        'default_hooks.logger.interval': 1,
        f'train_dataloader.dataset.pipeline.{crop}.gt_patch_size': 32,
    }
    for split in ('train', 'val', 'test'):
        given |= prefixed(
            f'{split}_dataloader', dict(num_workers=0, persistent_workers=False)
        )
    return ['--cfg-options', *(f'{k}={v}' for k, v in (given | more).items())]


@pytest.fixture
def data(tmp_path):
    """Four pairs of 48 × 40 pixels, laid out plainly and as MMagic wants GoPro."""
    random = np.random.default_rng(0)
    for name in 'abcd':
        noise = random.integers(0, 256, (12, 10, 3), np.uint8)
        sharp = Image.fromarray(noise).resize((40, 48), Image.Resampling.BICUBIC)
        blurred = sharp.reduce(2).resize((40, 48))
        for folders, image in (
            (('target', 'train/sharp', 'test/sharp'), sharp),
            (('input', 'train/blur', 'test/blur'), blurred),
        ):
            for folder in folders:
                root = tmp_path / ('gopro' if '/' in folder else 'pairs')
                (root / folder).mkdir(parents=True, exist_ok=True)
                image.save(root / folder / f'{name}.png')
    return tmp_path


@pytest.fixture
def tool(monkeypatch, tmp_path, capfd):
    """Runs a tool in this process, which has imported MMagic already."""
    path = sys.path[:]

    def run(script, *arguments):
        monkeypatch.setattr(sys, 'path', path[:])
        sys.modules.pop('backbones', None)
        monkeypatch.setattr(sys, 'argv', [script, *map(str, arguments)])
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv('LOCAL_RANK', '0')
        try:
            run_tool(script)
        except SystemExit as stop:
            pytest.fail(str(stop.code))
        return capfd.readouterr().out

    return run


def test_every_mixed_config_is_tried():
    assert {path.stem for path in MIXED.glob('*.py')} == TINY.keys()


@pytest.mark.long
@pytest.mark.parametrize('name', TINY)
def test_trains_validates_and_tests(tool, data, tmp_path, name):
    root, work = data / ('gopro' if 'gopro' in name else 'pairs'), tmp_path / 'work'
    config = MIXED / f'{name}.py'
    log = tool('train.py', config, '--work-dir', work, *options(name, root))
    for part in ('Iter(train) [2/2]', 'loss_mse: ', 'loss_fd: ', '[4/4]    PSNR: '):
        assert part in log
    scores = {'test_evaluator.0.scores': 'PSNR'}
    log = tool(
        'test.py',
        *(config, work / 'iter_2.pth', '--work-dir', work),
        *options(name, root, **scores),
    )
    assert 'Iter(test) [4/4]    PSNR: ' in log


@pytest.mark.parametrize('name', TINY)
def test_differs_from_the_papers_recipe_in_its_part_alone(name):
    ours = Config.fromfile(MIXED / f'{name}.py').to_dict()
    paper = Config.fromfile(ROOT / 'configs/iniknet_dpdd.py').to_dict()
    if name == 'iniknet_gopro':
        assert ours['model'] == paper['model']
        for part in ('optim_wrapper', 'param_scheduler', 'default_hooks'):
            assert ours[part] == paper[part]
        assert ours['train_cfg'] == paper['train_cfg'] | dict(val_interval=20_000)
        assert ours['train_dataloader']['batch_size'] == 4
        return
    for config in (ours, paper):
        generator = config['model']['generator']
        if name.startswith('iniknet'):
            del generator['backbone']
        else:
            config['model']['generator'] = None
    assert ours == paper


@pytest.mark.parametrize(
    ('name', 'theirs'),
    [
        ('nafnet', 'nafnet/nafnet_c64eb11128mb1db1111_8xb8-lr1e-3-400k_gopro'),
        ('restormer', 'restormer/restormer_official_dpdd-single'),
    ],
)
def test_networks_are_sized_as_in_mmagics_configs(name, theirs):
    path = Path(mmagic.__file__).parent / '.mim/configs' / f'{theirs}.py'
    configs = [MIXED / f'{name}_dpdd.py', MIXED / f'iniknet_{name}_dpdd.py', path]
    alone, mixed, published = (Config.fromfile(p).model.generator for p in configs)
    with torch.device('meta'):
        shapes = [
            {k: p.shape for k, p in MODELS.build(config).named_parameters()}
            for config in (alone, mixed.backbone.network, published)
        ]
    assert shapes[0] == shapes[1] == shapes[2]


@pytest.mark.parametrize('split', ['train', 'val'])
def test_gopro_reaches_the_network_as_rgb(tmp_path, split):
    for folder in ('train/blur', 'train/sharp', 'test/blur', 'test/sharp'):
        (tmp_path / folder).mkdir(parents=True)
        color = (204, 102, 51) if 'blur' in folder else (153, 51, 204)
        Image.new('RGB', (40, 48), color).save(tmp_path / folder / '1.png')
    config = Config.fromfile(MIXED / 'iniknet_gopro.py')
    data_set = config[f'{split}_dataloader'].dataset
    data_set.data_root = str(tmp_path)
    if split == 'train':
        data_set.pipeline[6].gt_patch_size = 32
    batch = pseudo_collate([DATASETS.build(data_set)[0]])
    preprocessor = MODELS.build(config.model.data_preprocessor)
    batch = preprocessor(batch, training=split == 'train')
    means = batch['inputs'].mean((0, 2, 3))
    torch.testing.assert_close(means, torch.tensor([0.8, 0.4, 0.2]))
    target = batch['data_samples'].gt_img.float().mean((0, 2, 3))
    # MMagic scores in BGR and [0, 255].
    expected = [0.6, 0.2, 0.8] if split == 'train' else [204.0, 51.0, 153.0]
    torch.testing.assert_close(target, torch.tensor(expected))


@pytest.fixture
def own(tmp_path):
    """A config in a folder of its own, with the file of its backbone."""
    folder = tmp_path / 'own'
    folder.mkdir()
    (folder / 'backbones.py').write_text(
        'from torch import nn\n\n\n'
        'class Plain(nn.Sequential):\n'
        '    def __init__(self, channels):\n'
        '        super().__init__(nn.Conv2d(3, channels, 3, padding=1), nn.ReLU())\n'
    )
    config = folder / 'mine.py'
    config.write_text(
        f'_base_ = {str(DEMO)!r}\n'
        "backbone = dict(_delete_=True, type='backbones.Plain', channels=8)\n"
        'model = dict(generator=dict(backbone=backbone))\n'
    )
    return config


def own_options(data):
    return [
        *('--cfg-options', f'data_root={data / "pairs"}', 'train_cfg.max_iters=2'),
        *('train_cfg.val_interval=2', 'default_hooks.logger.interval=1'),
        'train_dataloader.dataset.pipeline.1.gt_patch_size=32',
    ]


@pytest.mark.long
def test_backbone_in_a_file_of_ones_own(tool, data, own, tmp_path):
    log = tool('train.py', own, *own_options(data))
    assert 'Iter(val) [4/4]    PSNR: ' in log
    checkpoint = tmp_path / 'work_dirs/mine/iter_2.pth'
    weights = torch.load(checkpoint, weights_only=True)['state_dict']
    assert weights['generator.backbone.0.weight'].shape == (8, 3, 3, 3)
    log = tool('test.py', own, checkpoint, *own_options(data))
    assert 'Iter(test) [4/4]    PSNR: ' in log


@pytest.mark.long
def test_mixed_and_ablated_networks_train_on_two_processes(data, own, tmp_path):
    """Through dist_train.sh, the ranks going from config to config."""
    lines = [[own, '--work-dir', tmp_path / 'mine', *own_options(data)]]
    for config in sorted([*MIXED.glob('*.py'), *ABLATIONS.glob('*.py')]):
        name = config.stem
        # So that most of the network lies behind the layer.
        nafnet = name == 'iniknet_nafnet_dpdd'
        more = {'model.generator.backbone.layer': 'encoders.1'} if nafnet else {}
        root = data / ('gopro' if 'gopro' in name else 'pairs')
        given = options(name, root, **more)
        lines.append([config, '--work-dir', tmp_path / name, *given])
    (tmp_path / 'lines.json').write_text(json.dumps(lines, default=str))
    tools = tmp_path / 'tools'
    tools.mkdir()
    shutil.copy(ROOT / 'tools' / 'dist_train.sh', tools)
    shutil.copy(ROOT / 'tests' / 'train_in_turn.py', tools / 'train.py')
    environment = {
        **os.environ,
        'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
        'PORT': str(28600 + os.getpid() % 1000),
        'CUDA_VISIBLE_DEVICES': '',
        'OMP_NUM_THREADS': '1',
    }
    result = subprocess.run(
        [tools / 'dist_train.sh', tmp_path / 'lines.json', '2'],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-5000:]
    # The second iteration is where DDP reports what the first left without a gradient.
    assert result.stdout.count('Iter(train) [2/2]') == len(lines)
    for _, _, work, *_ in lines:
        assert (work / 'iter_2.pth').exists()
