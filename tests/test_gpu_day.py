"""What waits for a GPU, rehearsed on a CPU, so that nothing is run first on the day."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config

from mmagic_inik.benchmark.origin import describe_device
from mmagic_inik.errors import InputError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def gpu_day(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'benchmarks')
    import gpu_day

    return gpu_day


@pytest.fixture
def gpu_steps(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'benchmarks')
    import gpu_steps

    return gpu_steps


def run(gpu_day, monkeypatch, *argv):
    monkeypatch.setattr('sys.argv', ['gpu_day.py', *map(str, argv)])
    gpu_day.main()


@pytest.fixture
def trained(gpu_steps, tmp_path, monkeypatch):
    """Train in pieces that leave the given checkpoints; the result and the calls."""
    args = SimpleNamespace(
        device='cuda',
        out=tmp_path,
        data=Path('photos'),
        config='config.py',
        iterations=(50, 90),
        minutes=2,
    )

    def train(*checkpoints):
        left, calls = iter(checkpoints), []

        def run(*command, limit, environment):
            calls.append((command, limit, environment))
            work = tmp_path / 'training'
            work.mkdir(exist_ok=True)
            (work / 'last_checkpoint').write_text(f'{work}/iter_{next(left)}.pth')
            return len(calls) > 1

        monkeypatch.setattr(gpu_steps, '_run', run)
        return gpu_steps.training(args), calls

    return train


@pytest.mark.long
def test_rehearsal(gpu_day, tmp_path, monkeypatch):
    steps = '--steps', 'tiles', 'profile'
    run(gpu_day, monkeypatch, '--device', 'cpu', '--out', tmp_path, *steps)
    results = json.loads((tmp_path / 'gpu_day.json').read_text())
    assert results['device'] == describe_device('cpu')
    assert results['versions']['torch'] == torch.__version__
    found = results['steps']
    assert found['tiles']['skipped'] == 'tiles: no CUDA device'
    for times in (found['profile'][dtype] for dtype in ('float32', 'bfloat16')):
        assert any('inverse_filter' in name for name in times)
        assert all(time >= 0 for time in times.values())


def test_training_goes_on_in_the_second_piece(trained):
    found, calls = trained(25, 90)
    assert found['pieces'] == [
        dict(to=50, before=0, reached=25, in_time=False),
        dict(to=90, before=25, reached=90, in_time=True),
    ]
    for (command, limit, environment), count in zip(calls, ('50', '90'), strict=True):
        assert command[:3] == ('tools/train.py', 'config.py', '--resume')
        assert 'data_root=photos' in command
        assert (limit, environment) == (60, {'ITERS': count})


def test_training_that_is_done_may_be_repeated(trained):
    trained(50, 90)
    found, _ = trained(90, 90)
    assert [piece['before'] for piece in found['pieces']] == [90, 90]


def test_a_piece_that_gets_nowhere_fails(trained):
    with pytest.raises(InputError, match='from iteration 25 to no later .* in 60 s'):
        trained(25, 25)


def test_rehearsed_training_is_one_that_its_config_takes(gpu_steps, monkeypatch):
    for count in gpu_steps.FEW:
        monkeypatch.setenv('ITERS', str(count))
        config = Config.fromfile(gpu_steps.ROOT / gpu_steps.TRAINED)
        assert config.train_cfg.max_iters == count
    config.merge_from_dict(dict(option.split('=') for option in gpu_steps.SMALL))
    renderer = config.train_dataloader.dataset.pipeline[1]
    assert (renderer.type, int(renderer.crop_size)) == ('SyntheticDefocus', 64)


def test_what_does_not_end_in_time_is_said(gpu_steps, capsys):
    sleep = '-c', 'import time; time.sleep(60)'
    assert gpu_steps._run('-c', 'pass', limit=60)
    assert not gpu_steps._run(*sleep, limit=0.2)
    assert capsys.readouterr().err == '-c was ended after 0.2 s\n'
    with pytest.raises(InputError, match='-c 1/0 failed: .*ZeroDivisionError'):
        gpu_steps._run('-c', '1/0')


def test_a_case_that_fails_is_a_failure(gpu_day, tmp_path, monkeypatch):
    cases = [dict(seconds=1), dict(error='out of memory')]
    monkeypatch.setitem(gpu_day.STEPS, 'speed', lambda args: dict(cases=cases))
    arguments = '--device', 'cpu', '--out', tmp_path, '--steps', 'speed'
    with pytest.raises(SystemExit, match='failed: speed; see'):
        run(gpu_day, monkeypatch, *arguments)


def test_tiles_without_room_are_told_in_json(gpu_steps, monkeypatch):
    times = {'forward': {'16/1': math.inf, '32/1': 0.5}}
    monkeypatch.setattr('mmagic_inik.ops.triton_tiles.timings', lambda: times)
    monkeypatch.setattr(gpu_steps, '_filter_once', lambda *args: None)
    found = gpu_steps.tiles(SimpleNamespace(device='cuda'))
    assert found == {'forward': {'16/1': 'no room', '32/1': 0.5}}


def test_a_step_that_fails_does_not_end_the_others(gpu_day, tmp_path, monkeypatch):
    def failing(args):
        raise RuntimeError('no room')

    monkeypatch.setitem(gpu_day.STEPS, 'tiles', failing)
    monkeypatch.setitem(gpu_day.STEPS, 'speed', lambda args: dict(cases=[]))
    arguments = '--device', 'cpu', '--out', tmp_path, '--steps', 'tiles', 'speed'
    with pytest.raises(SystemExit, match='failed: tiles; see'):
        run(gpu_day, monkeypatch, *arguments)
    found = json.loads((tmp_path / 'gpu_day.json').read_text())['steps']
    assert found['tiles']['error'] == 'RuntimeError: no room'
    assert found['speed']['cases'] == []


def test_outcomes_of_tests_are_told_by_name(gpu_day, gpu_steps, tmp_path, monkeypatch):
    def write(*command, may_fail):
        assert may_fail
        assert command[-2] == 'cuda'
        path = command[-1].removeprefix('--junitxml=')
        case = '<testcase classname="tests.a" name="{}">{}</testcase>'
        cases = [
            case.format(name, kind)
            for name, kind in (('b', ''), ('c', '<skipped/>'), ('d', '<failure/>'))
        ]
        Path(path).write_text(f'<testsuites>{"".join(cases)}</testsuites>')

    monkeypatch.setattr(gpu_steps, '_run', write)
    arguments = '--device', 'cpu', '--out', tmp_path, '--steps', 'tests'
    with pytest.raises(SystemExit, match='failed: tests'):
        run(gpu_day, monkeypatch, *arguments)
    found = json.loads((tmp_path / 'gpu_day.json').read_text())['steps']['tests']
    del found['seconds']
    assert found == dict(
        passed=['tests.a::b'], skipped=['tests.a::c'], failed=['tests.a::d']
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_without_a_gpu_it_says_how_to_rehearse(gpu_day, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match='needs a GPU and finds none; take --device'):
        run(gpu_day, monkeypatch, '--out', tmp_path)
