"""Costs of the compared systems, and their training at equal cost."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config
from PIL import Image
from skimage import data

from mmagic_inik.benchmark.complexity import Cost

ROOT = Path(__file__).parents[1]
SETS = 'dpdd_r61', 'kodak24', 'cuhk30'


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'benchmarks')
    import peers_cost
    import peers_trained

    return peers_cost, peers_trained


def run(script, monkeypatch, *arguments):
    monkeypatch.setattr('sys.argv', ['script', *map(str, arguments)])
    script.main()


def test_costs_go_on_after_a_kill(scripts, tmp_path, monkeypatch, capsys):
    script, _ = scripts
    monkeypatch.setattr(script, 'OURS', script.OURS[:1])
    monkeypatch.setattr(script, 'PEERS', [p for p in script.PEERS if p.name == 'KPAC'])
    asked = []

    def alone(config, size, device, dtype, repeats):
        asked.append((Path(config).stem, size, dtype, repeats))
        if len(asked) == 4:
            raise KeyboardInterrupt
        seconds = [2.0 if dtype == 'float32' else 1.0] * repeats
        return Cost(memory=3 * 2**30 * size[0] // 640, seconds=seconds, threads=2)

    monkeypatch.setattr(script, 'measure_alone', alone)
    arguments = ['--repeats', 2, '--out', tmp_path / 'cost']
    with pytest.raises(KeyboardInterrupt):
        run(script, monkeypatch, *arguments)
    run(script, monkeypatch, *arguments)
    small, kpac = 'iniknet_small_synthetic', 'kpac_dpdd'
    assert asked == [
        (small, (640, 640), 'float32', 2),
        (small, (640, 640), 'bfloat16', 2),
        (kpac, (640, 640), 'float32', 2),
        (kpac, (640, 640), 'bfloat16', 2),
        (kpac, (640, 640), 'float32', 2),
        (kpac, (640, 640), 'bfloat16', 2),
        (small, (1120, 1680), 'float32', 0),
        (kpac, (1120, 1680), 'float32', 0),
    ]
    table = (tmp_path / 'cost.md').read_text()
    assert table in capsys.readouterr().out
    (row,) = (line for line in table.splitlines() if line.startswith('| KPAC'))
    cells = [cell.strip() for cell in row.split('|')[1:-1]]
    assert cells[:2] == ['KPAC', '2.058']
    assert cells[3:] == ['2.00', '1.00', '3.00', '3.00', '5.25']


def test_systems_are_made_to_cost_the_same(scripts, tmp_path, monkeypatch):
    _, script = scripts

    def measure(config):
        generator = Config.fromfile(config).model.generator
        return dict(step_seconds=8 * generator.get('width', 1), parameters=1)

    monkeypatch.setattr(script, 'measure', measure)
    # Between 3/16 and 1/4, of which the latter is nearer; dearer ones are not tried.
    row = script.fit('KPAC', 1.9, tmp_path)
    assert row == dict(step_seconds=2.0, parameters=1, width='0.25')
    model = dict(script.candidates('KPAC'))[row['width']]
    config = Config.fromfile(script.write_config(model, tmp_path / 'kpac.py'))
    assert config.model.generator == dict(type='KPAC', width=0.25)
    assert config.model.size_divisor == 1
    recipe = Config.fromfile(script.RECIPE)
    assert config.model.loss == recipe.model.loss
    assert config.train_dataloader == recipe.train_dataloader
    # The cheapest, where even that is dearer.
    assert script.fit('KPAC', 0.1, tmp_path)['width'] == '0.0625'


def test_every_system_has_widths(scripts, tmp_path):
    _, script = scripts
    for name in script.SYSTEMS:
        for _, model in script.candidates(name):
            Config.fromfile(script.write_config(model, tmp_path / 'config.py'))


@pytest.mark.long
def test_systems_are_trained_alike_and_scored(scripts, tmp_path, monkeypatch, capsys):
    _, script = scripts
    photos = tmp_path / 'photos'
    photos.mkdir()
    for name in ('astronaut', 'chelsea', 'coffee'):
        Image.fromarray(getattr(data, name)()).save(photos / f'{name}.png')
    for name in SETS:
        (tmp_path / name).mkdir()
    (tmp_path / 'a.pth').touch()
    judged = []

    def judge(models, folder, lpips_weights, out, results):
        judged.append(models)
        results.with_suffix('.md').write_text('scores\n')

    def write_config(model, path):
        lines = script_write(model, path).read_text() + (
            'train_dataloader = dict(batch_size=1)\ntrain_cfg = dict(val_interval=99)\n'
        )
        path.write_text(lines)
        return path

    script_write = script.write_config
    monkeypatch.setattr(script, 'write_config', write_config)
    monkeypatch.setattr(script, 'judge', judge)
    monkeypatch.setattr(
        script, 'measure', lambda _: dict(step_seconds=1, photo_seconds=1, parameters=7)
    )
    arguments = [photos, tmp_path, '--lpips-weights', tmp_path / 'a.pth']
    arguments += ['--seconds', 10]
    arguments += ['--systems', 'KPAC', '--work-dir', tmp_path / 'work']
    arguments += ['--out', tmp_path / 'trained']
    run(script, monkeypatch, *arguments)
    (models,) = judged
    config, checkpoint = (ROOT / path for path in models['KPAC'])
    assert Config.fromfile(config).model.generator.type == 'KPAC'
    assert checkpoint.name == 'iter_10.pth'
    assert checkpoint.is_file()
    table = (tmp_path / 'trained.md').read_text()
    assert '| KPAC | 0.0625 | 0.000 | 1.00 | 1.00 | 10 |' in table
    assert table.endswith('scores\n')
    assert table in capsys.readouterr().out
    assert json.loads((tmp_path / 'trained.json').read_text())['seconds'] == 10
    # What judges at the end is asked for at the beginning.
    (tmp_path / 'kodak24').rmdir()
    with pytest.raises(SystemExit, match='has no folder kodak24'):
        run(script, monkeypatch, *arguments)
    (tmp_path / 'kodak24').mkdir()
    # Other seconds would not be equal.
    arguments[5] = 20
    with pytest.raises(SystemExit, match='made with other seconds'):
        run(script, monkeypatch, *arguments)
