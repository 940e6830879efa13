"""The comparison of lighter designs, on photos of scikit-image."""

import json
from pathlib import Path

import pytest
import torch
from mmagic.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image
from skimage import data

ROOT = Path(__file__).parents[1]


@pytest.fixture
def designs(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'benchmarks')
    init_default_scope('mmagic')
    import designs

    return designs


def test_designs_differ_from_the_recipe_by_their_options_alone(designs, tmp_path):
    recipe = Config.fromfile(designs.RECIPE)
    for name in designs.DESIGNS:
        config = Config.fromfile(designs.write_config(name, tmp_path))
        assert config.train_dataloader.batch_size == recipe.train_dataloader.batch_size
        assert (config.model == recipe.model) == ('(the recipe)' in name)
        generator = config.model.generator
        whole = not name.startswith('1/')
        expected = 1 if whole else int(name[2])
        assert generator.backbone.get('reduction', 1) == expected
        assert generator.head.get('reduction', 1) == expected


def test_small_is_that_of_its_config(designs, tmp_path):
    config = Config.fromfile(designs.write_config(designs.SMALL, tmp_path))
    small = Config.fromfile(ROOT / 'configs' / 'iniknet_small_synthetic.py')
    ours, theirs = (MODELS.build(c.model).generator for c in (config, small))
    shapes = [{k: v.shape for k, v in n.state_dict().items()} for n in (ours, theirs)]
    assert shapes[0] == shapes[1]
    image = torch.rand(1, 3, 16, 16)
    ours.load_state_dict(theirs.state_dict())
    assert torch.equal(ours(image), theirs(image))


def test_scenes_differ_in_training_alone(designs, tmp_path):
    recipe = Config.fromfile(designs.RECIPE)
    for name, scenes in designs.SCENES.items():
        config = Config.fromfile(designs.write_config(name, tmp_path))
        expected = recipe.train_dataloader.dataset.to_dict()
        expected['pipeline'][1].update(scenes)
        assert config.train_dataloader.dataset.to_dict() == expected
        assert config.train_dataloader.dataset != recipe.train_dataloader.dataset
        assert config.val_dataloader == recipe.val_dataloader
        assert config.model == recipe.model


@pytest.mark.long
def test_all_is_trained_judged_and_written(designs, tmp_path, monkeypatch, capsys):
    photos = tmp_path / 'photos'
    photos.mkdir()
    for name in ('astronaut', 'chelsea', 'coffee'):
        Image.fromarray(getattr(data, name)()).save(photos / f'{name}.png')
    name = 'C = 16, two scales'

    def measure(config):
        # Ten steps of a second each; timing is of no interest here.
        return dict(parameters=7, step_seconds=1.0, photo_seconds=0.5)

    monkeypatch.setattr(designs, 'measure', measure)
    config = designs.write_config(name, tmp_path)
    short = 'train_dataloader.update(batch_size=1)\ntrain_cfg = dict(val_interval=99)\n'
    config.write_text(config.read_text() + short)
    monkeypatch.setattr(designs, 'write_config', lambda *_: config)
    arguments = ['designs', photos, '--seconds', 10, '--designs', name]
    arguments += ['--work-dir', tmp_path / 'work', '--out', tmp_path / 'table']
    monkeypatch.setattr('sys.argv', list(map(str, arguments)))
    designs.main()
    table = (tmp_path / 'table.md').read_text()
    assert table in capsys.readouterr().out
    (row,) = (line for line in table.splitlines() if line.startswith(f'| {name} |'))
    assert row.startswith(f'| {name} | 0.000 | 1.00 | 0.50 | 10 | ')
    gains = json.loads((tmp_path / 'table.json').read_text())['designs'][name]['gains']
    # Ten steps change next to nothing.
    assert abs(gains['all blurred']) < 1
    assert f'{gains["all blurred"]:+.2f}' in row

    # What is there is not made again.
    monkeypatch.setattr(designs, 'train', None)
    designs.main()


def test_no_photos_are_said_before_anything_is_timed(designs, tmp_path, monkeypatch):
    monkeypatch.setattr(designs, 'measure', None)
    arguments = ['designs', tmp_path / 'absent', '--work-dir', tmp_path / 'work']
    arguments += ['--out', tmp_path / 'table']
    monkeypatch.setattr('sys.argv', list(map(str, arguments)))
    with pytest.raises(SystemExit, match='designs: data set .*absent is not a folder'):
        designs.main()
    assert not list(tmp_path.glob('table*'))


def test_a_step_and_a_photo_are_timed(designs, tmp_path, monkeypatch):
    monkeypatch.setattr(designs, 'REPEATS', 1)
    config = designs.write_config('C = 16, ConvNeck', tmp_path)
    measured = designs.measure(config)
    assert 0 < measured['photo_seconds'] < 60
    assert 0 < measured['step_seconds'] < 60
    # U-Net, two necks of convolutions, predictors, atoms, mixing.
    assert 300_000 < measured['parameters'] < 350_000
