"""The weights that come with the package."""

import csv
import hashlib
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
import yaml
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.runner import Runner
from PIL import Image
from skimage import data

from mmagic_inik.engine import load_checkpoint_file
from mmagic_inik.errors import InputError
from mmagic_inik.export.source import find_source
from mmagic_inik.options import NETWORKS
from mmagic_inik.restoration import describe_shipped, load_restorer, restore, shipped

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / 'benchmarks' / 'results' / 'shipped_weights'
CONFIG = ROOT / 'configs' / 'iniknet_light_synthetic.py'


@pytest.fixture
def copy(tmp_path):
    """The shipped weights and their card in another place."""
    for suffix in ('.pth', '.json'):
        shutil.copy(shipped.WEIGHTS.with_suffix(suffix), tmp_path)
    return tmp_path / shipped.WEIGHTS.name


@pytest.mark.parametrize('name', NETWORKS)
def test_weights_are_those_of_the_card_and_its_config(name):
    weights = shipped.weights_of(name)
    card = json.loads(weights.with_suffix('.json').read_text())
    assert card['sha256'] == hashlib.sha256(weights.read_bytes()).hexdigest()
    config = ROOT / 'configs' / f'{weights.stem}.py'
    generator = Config.fromfile(config).model.generator.to_dict()
    assert card['generator'] == json.loads(json.dumps(generator))
    assert config.stem == card['config']


def test_the_default_is_that_of_the_config_and_all_are_small():
    assert shipped.WEIGHTS.stem == CONFIG.stem
    files = [file for file in shipped.FOLDER.iterdir() if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 10e6


def test_without_config_and_checkpoint_the_shipped_weights_restore():
    photo = data.chelsea()[100:200, 100:227]
    restored = restore(photo, load_restorer())
    given = load_restorer(str(CONFIG), str(shipped.WEIGHTS))
    np.testing.assert_array_equal(restored, restore(photo, given))
    assert {p.dtype for p in given.parameters()} == {torch.float32}
    # It does something, and nothing wild.
    change = np.abs(restored.astype(int) - photo)
    assert 0.5 < change.mean() < 10


def test_what_they_are_is_said():
    card = shipped.read_card(shipped.WEIGHTS)
    assert describe_shipped() == (
        f'{CONFIG.stem}, trained for {card["iterations"]} iterations on '
        f'{card["remarks"]["data"]}'
    )


def weights_of_the_repository():
    """Every file of weights, with its config."""
    peers = ROOT / 'benchmarks' / 'weights'
    files = [*map(shipped.weights_of, NETWORKS), *sorted(peers.glob('*.pth'))]
    assert len(files) > 5
    for file in files:
        card = file.with_suffix('.json')
        # A training that goes on has no card.
        name = file.stem.removesuffix('_state')
        if card.is_file():
            name = json.loads(card.read_text())['config']
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            assert json.loads(card.read_text())['sha256'] == digest
        (config,) = (ROOT / 'configs').rglob(f'{name}.py')
        yield pytest.param(config, file, id=file.stem)


@pytest.mark.parametrize(('config', 'file'), weights_of_the_repository())
def test_mmengine_loads_every_file_of_weights_by_its_config(config, file, tmp_path):
    config = Config.fromfile(config)
    config.update(work_dir=str(tmp_path), load_from=str(file))
    if not any(hook.type == 'EMAHook' for hook in config.custom_hooks):
        config.custom_hooks.append(dict(type='EMAHook'))
    runner = Runner.from_cfg(config)
    runner.call_hook('before_run')
    runner.load_or_resume()
    (average,) = (hook for hook in runner.hooks if isinstance(hook, EMAHook))
    weights = torch.load(file, weights_only=True)['state_dict']
    for model in (runner.model, average.ema_model.module):
        state = model.state_dict()
        assert weights.keys() == state.keys()
        for name, weight in weights.items():
            torch.testing.assert_close(state[name], weight.float(), rtol=0, atol=0)


@pytest.mark.long
def test_mmagics_own_script_scores_the_shipped_weights(tmp_path):
    photos = tmp_path / 'photos'
    photos.mkdir()
    for name in ('astronaut', 'chelsea'):
        photo = getattr(data, name)()[:160, :160]
        Image.fromarray(photo).save(photos / f'{name}.png')
    script = Path(mmagic.__file__).parent / '.mim' / 'tools' / 'test.py'
    command = [sys.executable, script, CONFIG, shipped.WEIGHTS, '--work-dir', tmp_path]
    command += ['--out', tmp_path / 'scores.json']
    command += ['--cfg-options', f'data_root={photos}', 'val_share=0.5']
    environment = os.environ | dict(PYTHONPATH=str(ROOT))
    subprocess.run(list(map(str, command)), check=True, env=environment)
    scores = json.loads((tmp_path / 'scores.json').read_text())
    assert 15 < scores['PSNR'] < 50


def test_other_weights_are_refused(copy):
    state = torch.load(copy, weights_only=True)
    state['state_dict']['generator.head.bias'] += 1
    torch.save(state, copy)
    refusal = 'synthetic.pth is missing or not the file that its card'
    with pytest.raises(InputError, match=refusal):
        shipped.load_shipped(copy)
    # Nothing of it is unpickled before.
    copy.write_bytes(b'no checkpoint')
    with pytest.raises(InputError, match=refusal):
        shipped.load_shipped(copy)
    copy.unlink()
    with pytest.raises(InputError, match=refusal):
        shipped.load_shipped(copy)
    copy.with_suffix('.json').unlink()
    with pytest.raises(InputError, match=r'synthetic\.json is missing; install'):
        shipped.load_shipped(copy)


def test_config_and_checkpoint_come_together(copy):
    with pytest.raises(InputError, match='a checkpoint is given, .* and no config'):
        load_restorer(checkpoint=str(copy))
    with pytest.raises(InputError, match='a config is given, .* and no checkpoint'):
        load_restorer(str(CONFIG))


@pytest.mark.parametrize('name', NETWORKS)
def test_each_that_comes_is_loaded_by_name(name):
    weights = shipped.weights_of(name)
    assert describe_shipped(weights).startswith(f'{weights.stem}, trained for ')
    named = load_restorer(network=name).state_dict()
    for key, tensor in shipped.load_shipped(weights).state_dict().items():
        assert torch.equal(named[key], tensor)
    exported = find_source(name)
    assert exported.checkpoint == weights
    assert shipped.weights_of() == shipped.weights_of(NETWORKS[0]) == shipped.WEIGHTS


def test_names_of_networks_are_checked(copy):
    with pytest.raises(InputError, match='no network huge comes .* give one of '):
        load_restorer(network='huge')
    with pytest.raises(InputError, match='leave out config and checkpoint, or'):
        load_restorer(str(CONFIG), str(copy), network=NETWORKS[0])


def measured():
    """Scores in benchmarks/results, by network, data set and score."""
    with RESULTS.with_suffix('.csv').open() as file:
        return {
            (row['model'], row['data'], row['score']): float(row['value'])
            for row in csv.DictReader(file)
        }


def test_card_has_the_results_as_measured_of_these_weights():
    results = RESULTS.with_suffix('.md').read_text()
    card = (shipped.FOLDER / 'README.md').read_text()
    tables = [line for line in results.splitlines() if line.startswith('|')]
    assert len(tables) > 10
    assert set(tables) <= set(card.splitlines())
    for weights in map(shipped.weights_of, NETWORKS):
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        assert f'{weights.name} (sha256 {digest[:12]})' in results


@pytest.mark.parametrize('name', NETWORKS)
def test_metafile_has_the_results_as_measured(name):
    (path,) = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    metafile = yaml.safe_load((ROOT / path).read_text())
    assert len(metafile['Models']) == len(NETWORKS)
    scores = measured()
    model = metafile['Models'][NETWORKS.index(name)]
    weights = shipped.weights_of(name)
    assert model['Name'] == weights.stem
    assert model['Config'] == f'configs/{weights.stem}.py'
    assert model['Weights'] == str(weights.relative_to(ROOT))
    network = load_restorer(network=name).generator
    count = sum(p.numel() for p in network.parameters())
    assert model['Metadata']['Parameters'] == count
    named = {
        (result['Dataset'], score): value
        for result in model['Results']
        for score, value in result['Metrics'].items()
    }
    row = f'shipped: INIKNet {name}'
    ours = {key[1:]: v for key, v in scores.items() if key[0] == row}
    assert named.keys() == ours.keys()
    for key, value in named.items():
        assert value == pytest.approx(ours[key], abs=5e-4)


@pytest.mark.long
@pytest.mark.parametrize('name', ['iniknet_small_synthetic', 'iniknet_light_synthetic'])
def test_training_goes_on_from_the_committed_state(tmp_path, name):
    state = ROOT / 'benchmarks' / 'weights' / f'{name}_state.pth'
    config = ROOT / 'configs' / f'{name}.py'
    iteration = load_checkpoint_file(str(state))['meta']['iter']
    photos = tmp_path / 'photos'
    photos.mkdir()
    for name in ('astronaut', 'chelsea', 'coffee'):
        Image.fromarray(getattr(data, name)()).save(photos / f'{name}.png')
    options = [f'data_root={photos}', 'val_share=0.34', f'load_from={state}']
    options += ['train_dataloader.batch_size=1', f'train_cfg.max_iters={iteration + 1}']
    command = [sys.executable, ROOT / 'tools/train.py', config, '--resume']
    command += ['--work-dir', tmp_path / 'work', '--cfg-options', *options]
    environment = os.environ | dict(ITERS=str(2 * iteration))
    subprocess.run(list(map(str, command)), check=True, env=environment)
    after = load_checkpoint_file(str(tmp_path / f'work/iter_{iteration + 1}.pth'))
    before = load_checkpoint_file(str(state))
    assert after['optimizer']['state'][0]['step'] == iteration + 1
    assert before['optimizer']['state'][0]['step'] == iteration
    # Far from the end of the schedule, the rate is the full one again.
    assert after['optimizer']['param_groups'][0]['lr'] == pytest.approx(1e-3)
