"""Runs the real tools on made photos; most of it in this process, which is faster."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from mmagic.apis import init_model
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from PIL import Image
from skimage.data import astronaut
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mmagic_inik.benchmark import ablations
from mmagic_inik.benchmark.ablation_table import ablation_table
from mmagic_inik.benchmark.ablations import last_checkpoint
from mmagic_inik.benchmark.variants import schedule, variants
from mmagic_inik.datasets import read_photo
from mmagic_inik.engine import load_checkpoint_file
from mmagic_inik.launch import run_tool
from mmagic_inik.models.restorer import MultiScaleRestorer

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / 'tools' / 'run_ablations.py'
DEMO = str(ROOT / 'configs' / 'iniknet_demo.py')
CONV = 'model.generator.neck.type=ConvNeck'


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Four pairs of 64 × 80 pixels in a folder with a space."""
    root = tmp_path_factory.mktemp('data') / 'my photos'
    for index, name in enumerate('abcd'):
        sharp = Image.fromarray(astronaut()[90 * index :][:80, 180:244])
        for kind, image in (
            ('target', sharp),
            ('input', sharp.reduce(2).resize(sharp.size)),
        ):
            (root / kind).mkdir(parents=True, exist_ok=True)
            image.save(root / kind / f'{name}.png')
    return root


def in_this_process(command, log):
    """Stands in for a process of its own: its exit status; the reason in the log."""
    for manager in (MMLogger, MessageHub):
        manager._instance_dict.clear()
    os.environ['LOCAL_RANK'] = '0'
    sys.argv = command[1:]
    try:
        run_tool(Path(command[1]).name)
    except SystemExit as stop:
        log.write_text(str(stop.code), encoding='utf-8')
        return 1
    return 0


@pytest.fixture
def tool(monkeypatch):
    """The tool's module; the tools that it runs are run in this process."""
    monkeypatch.setattr(sys, 'argv', sys.argv)
    spec = importlib.util.spec_from_file_location('run_ablations', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(ablations, 'execute', in_this_process)
    return module


def arguments(data, out, *given, iters=4, options=(), more=()):
    named = [part for one in given or (('tiny', DEMO),) for part in ('--variant', *one)]
    options = [
        f'data_root={data}',
        'train_dataloader.batch_size=2',
        'default_hooks.checkpoint.interval=2',
        *options,
    ]
    all_of_it = [*named, '--out', out, '--iters', iters, *more]
    return [*map(str, all_of_it), '--cfg-options', *options]


def results(out):
    return {r['name']: r for r in json.loads((out / 'results.json').read_text())}


@pytest.fixture
def crops(monkeypatch):
    """What the networks are trained on, in order of the calls."""
    seen, original = [], MultiScaleRestorer.forward_train

    def record(self, inputs, data_samples, **kwargs):
        seen.append((inputs.clone(), data_samples.gt_img.clone()))
        return original(self, inputs, data_samples, **kwargs)

    monkeypatch.setattr(MultiScaleRestorer, 'forward_train', record)
    return seen


@pytest.mark.long
def test_variants_are_trained_alike_and_scored_like_scikit_image(
    tool, data, tmp_path, crops, capfd
):
    torch.manual_seed(0)
    weights = tmp_path / 'alexnet.pth'
    torch.save(torchvision.models.alexnet(weights=None).state_dict(), weights)
    out = tmp_path / 'out'
    two = ('INIKNet', DEMO), ('no | LSTM', DEMO, CONV)
    tool.main(arguments(data, out, *two, more=['--lpips-weights', weights]))
    # Four iterations each, on the same crops.
    assert len(crops) == 8
    for a, b in zip(crops[:4], crops[4:], strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert not torch.equal(crops[0][0], crops[1][0])

    found, text = results(out), (out / 'table.md').read_text(encoding='utf-8')
    assert text in capfd.readouterr().out
    for name, folder, options in (
        ('INIKNet', 'INIKNet', {}),
        ('no | LSTM', 'no_LSTM', {'model.generator.neck.type': 'ConvNeck'}),
    ):
        config, ours = Config.fromfile(DEMO), found[name]
        config.merge_from_dict(options)
        model = init_model(config, str(out / folder / 'iter_4.pth'), device='cpu')
        assert ours['parameters'] == sum(
            p.numel() for p in model.generator.parameters()
        )
        scores = []
        for path in sorted((data / 'input').iterdir()):
            y = torch.from_numpy(read_photo(path) / np.float32(255))
            with torch.no_grad():
                restored = model(y.permute(2, 0, 1)[None])[0].clamp(0, 1)
            pair = (
                read_photo(data / 'target' / path.name) / 255,
                restored.permute(1, 2, 0).double().numpy(),
            )
            scores.append(
                (
                    peak_signal_noise_ratio(*pair, data_range=1),
                    structural_similarity(*pair, channel_axis=2, data_range=1),
                )
            )
        psnr, ssim = np.mean(scores, axis=0)
        assert ours['scores']['PSNR'] == pytest.approx(psnr, abs=1e-4)
        assert ours['scores']['SSIM_7x7'] == pytest.approx(ssim, abs=1e-5)
        assert ours['scores']['LPIPS_alex'] > 0
        assert 0 < ours['seconds_per_iteration'] < 30
        cells = [
            name.replace('|', r'\|'),
            f'{ours["parameters"]:,}',
            f'{psnr:.3f}',
            f'{ssim:.4f}',
        ]
        assert f'| {" | ".join(cells)} | ' in text
    facts = found['INIKNet']['conditions']
    assert facts['iterations'] == 4
    assert facts['train'] == f'4 images of {data}'
    assert facts['test'].startswith('4 images; RGB, whole images, ')
    assert facts['versions']['torch'] == torch.__version__.split('+')[0]
    assert f'- no | LSTM: iniknet_demo.py {CONV}\n' in text
    assert '- All: iterations 4; seed 0; ' in text


@pytest.mark.long
def test_finished_is_not_repeated_and_unfinished_goes_on(tool, data, tmp_path, crops):
    out = tmp_path / 'out'
    tool.main(arguments(data, out))
    assert len(crops) == 4
    before = results(out)
    # Another variant later: the first is only read.
    tool.main(arguments(data, out, ('tiny', DEMO), ('conv', DEMO, CONV)))
    assert len(crops) == 8
    assert results(out)['tiny'] == before['tiny']

    # As a kill after iteration 3 would leave it.
    folder = out / 'tiny'
    (folder / 'result.json').unlink()
    (folder / 'iter_4.pth').unlink()
    (folder / 'last_checkpoint').write_text(str(folder / 'iter_2.pth'))
    tool.main(arguments(data, out))
    assert len(crops) == 10
    assert results(out)['tiny']['scores'] == pytest.approx(
        before['tiny']['scores'], abs=0.5
    )

    # As one while the last checkpoint is written would.
    whole = (folder / 'iter_4.pth').read_bytes()
    (folder / 'result.json').unlink()
    (folder / 'iter_4.pth').write_bytes(whole[: len(whole) // 2])
    (folder / 'last_checkpoint').write_text(str(folder / 'iter_2.pth'))
    tool.main(arguments(data, out))
    assert len(crops) == 12
    assert load_checkpoint_file(folder / 'iter_4.pth')['meta']['iter'] == 4

    # As one while that is written down would.
    (folder / 'result.json').unlink()
    (folder / 'last_checkpoint').write_text('')
    tool.main(arguments(data, out))
    assert len(crops) == 16

    # As one after the training would.
    (folder / 'result.json').unlink()
    tool.main(arguments(data, out))
    assert len(crops) == 16
    assert results(out).keys() == {'tiny'}


@pytest.mark.long
def test_other_settings_are_not_mixed(tool, data, tmp_path):
    out = tmp_path / 'out'
    tool.main(arguments(data, out))
    for changed in (dict(iters=5), dict(options=['randomness.seed=1'])):
        with pytest.raises(SystemExit) as stop:
            tool.main(arguments(data, out, **changed))
        assert stop.value.code == (
            f'run_ablations: {out}/tiny was trained with other settings; give another '
            '--out, or remove it'
        )


def test_default_variants_can_be_built_and_differ(tmp_path):
    found = {v.name: v for v in variants(None, tmp_path)}
    assert len({v.folder for v in found.values()}) == len(found) == 8
    base = found['INIKNet'].config.model.generator
    changed = [v.config.model.generator for v in found.values()]
    assert all(generator != base for generator in changed[1:])
    counts = {name: v.parameters for name, v in found.items()}
    # Atoms of the tiny network: 4 MLPs of 4481; matrices of 9²; one or four sizes.
    assert counts['Non-MS Dict'] - counts['INIKNet'] == 3 * 4 * 4481
    assert counts['Non-INR Dict'] - counts['INIKNet'] == 4 * (81 - 4481)
    assert counts['Unidirectional'] - counts['INIKNet'] == 3 * 8 * 9
    assert counts['1 scale'] == counts['INIKNet']
    assert counts['INIKNet'] - counts['Delta, plain sum'] == 3 * 5 * 3 * 4 + 3


def test_options_are_read_as_training_reads_them(tmp_path):
    folder = tmp_path / 'my photos, 2024'
    folder.mkdir()
    own = [f'data_root={folder}', 'layout.input_key=(.+)']
    given = [('a', str(ROOT / 'configs/iniknet_folders.py'), *own)]
    (alone,) = variants(given, tmp_path)
    given[0] = given[0][:2]
    (common,) = variants(given, tmp_path, options=own)
    for config in (alone.config, common.config):
        dataset = config.train_dataloader.dataset
        assert dataset.data_root == str(folder)
        assert dataset.layout.input_key == '(.+)'


def test_schedule_shrinks_in_proportion():
    demo = Config.fromfile(DEMO)
    assert schedule(demo, None) == []
    assert sorted(schedule(demo, 60)) == [
        'param_scheduler.0.end=6',
        'param_scheduler.1.begin=6',
        'param_scheduler.1.end=60',
        'train_cfg.max_iters=60',
    ]
    # A warm-up of one iteration never ends.
    assert 'param_scheduler.0.end=2' in schedule(demo, 6)
    paper = Config.fromfile(str(ROOT / 'configs/iniknet_dpdd.py'))
    assert sorted(schedule(paper, 8000)) == [
        'param_scheduler.step_size=2000',
        'train_cfg.max_iters=8000',
    ]


@pytest.mark.parametrize(
    ('given', 'more', 'sentence'),
    [
        ([('a',)], dict(), '--variant takes NAME CONFIG [KEY=VALUE ...], got'),
        ([('a', 'no.py')], dict(), '--variant a: config no.py does not exist'),
        (
            [('a', DEMO), ('a', DEMO)],
            dict(),
            '--variant has the name a twice; rename one',
        ),
        ([('a', DEMO, 'x')], dict(), '--variant a: options are KEY=VALUE, got x'),
        (
            [('a', DEMO, 'model.generator.head.atom_bank.num_atoms=0')],
            dict(),
            '--variant a: its network cannot be built: ',
        ),
        (
            [('a', DEMO), ('b', DEMO, 'train_cfg.max_iters=5')],
            dict(),
            "the variants would train for unequal times, {'a': 4, 'b': 5}; give "
            '--iters',
        ),
        ([('a', DEMO)], dict(iters=0), '--iters must be positive, got 0'),
        (
            [('a', DEMO)],
            dict(iters=3),
            '--iters 3 is too few for param_scheduler.1; give more',
        ),
        (
            [('a', DEMO)],
            dict(more=['--lpips-weights', 'no.pth']),
            '--lpips-weights no.pth does not exist',
        ),
        (
            [('a', str(ROOT / 'configs/iniknet_all_sets.py'))],
            dict(),
            '--variant a: ',
        ),
    ],
)
def test_mistakes_are_one_sentence(tool, data, tmp_path, given, more, sentence):
    with pytest.raises(SystemExit) as stop:
        tool.main(arguments(data, tmp_path / 'out', *given, **more))
    assert stop.value.code.startswith(f'run_ablations: {sentence}')
    assert '\n' not in stop.value.code
    assert not (tmp_path / 'out').exists()


def test_a_tools_own_sentence_is_passed_on(tool, tmp_path):
    with pytest.raises(SystemExit) as stop:
        tool.main(arguments(tmp_path / 'nowhere', tmp_path / 'out'))
    assert stop.value.code.startswith(
        f'run_ablations: tiny: train: data set {tmp_path}/nowhere '
    )
    assert stop.value.code.endswith(f' (more in {tmp_path}/out/tiny/train.log)')


def test_only_a_checkpoint_that_is_there_is_gone_on_from(tmp_path):
    assert last_checkpoint(tmp_path) is None
    pointer = tmp_path / 'last_checkpoint'
    # The folder may have been moved since.
    pointer.write_text('/elsewhere/iter_4.pth')
    assert last_checkpoint(tmp_path) is None
    assert not pointer.exists()
    pointer.write_text('/elsewhere/iter_4.pth')
    (tmp_path / 'iter_4.pth').touch()
    assert last_checkpoint(tmp_path) == 'iter_4.pth'


def test_a_line_of_conditions_for_those_that_share_them():
    shared = dict(seed=0, versions=dict(torch='2'))
    rows = [
        dict(
            name=name,
            config='c.py',
            options=['a=1'],
            parameters=1234,
            scores=dict(PSNR=20.5),
            seconds_per_iteration=0.25,
            conditions=conditions,
        )
        for name, conditions in (('x|y', shared), ('z', dict(shared, seed=1)))
    ]
    text = ablation_table(rows, ['PSNR'])
    assert text.startswith(
        '| variant | parameters | PSNR | s / iteration |\n| --- | --- | --- | --- |\n'
        '| x\\|y | 1,234 | 20.500 | 0.250 |\n'
    )
    assert '- x|y: c.py a=1\n' in text
    assert '- x|y: seed 0; torch 2\n- z: seed 1; torch 2\n' in text
    assert '- All: seed 0; torch 2\n' in ablation_table(rows[:1], ['PSNR'])


def living(group):
    """Processes of a group that are more than a zombie."""
    found = []
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            state, _, process_group = stat.read_text().rsplit(')')[1].split()[:3]
        except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
            continue
        if int(process_group) == group and state != 'Z':
            found.append(stat)
    return found


@pytest.mark.long
@pytest.mark.skipif(sys.platform != 'linux', reason='kills by a Linux signal')
def test_a_killed_command_leaves_no_training_and_goes_on(tool, data, tmp_path):
    out, given = tmp_path / 'out', arguments(data, tmp_path / 'out', iters=12)
    first = subprocess.Popen(
        [sys.executable, str(SCRIPT), *given],
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        start_new_session=True,
    )
    deadline = time.monotonic() + 200
    pointer = out / 'tiny' / 'last_checkpoint'
    while not (pointer.exists() and 'iter_' in pointer.read_text()):
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    # The command and what it runs, unless that has ended in the meantime.
    assert living(first.pid)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    while living(first.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    done = int(pointer.read_text().split('iter_')[1][:-4])
    assert 2 <= done < 12

    tool.main(given)
    assert results(out)['tiny']['conditions']['iterations'] == 12
    logs = sorted((out / 'tiny').glob('2*/2*.log'))
    assert f'resumed epoch: 0, iter: {done}' in logs[-1].read_text()
