"""Runs the real tools, as a user would, on made photos."""

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import reference_iniknet
import torch
import torchvision
from mmagic.apis import init_model
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from mmagic_inik.datasets import read_photo
from mmagic_inik.launch import run_tool

ROOT = Path(__file__).parents[1]
DEMO = str(ROOT / 'configs' / 'iniknet_demo.py')
DPDD = str(ROOT / 'configs' / 'iniknet_dpdd.py')


@pytest.fixture
def data(tmp_path):
    """Four pairs of smooth noise, 80 × 64 pixels, in a folder with a space."""
    root = tmp_path / 'my photos'
    random = np.random.default_rng(0)
    for name in 'abcd':
        noise = random.random((20, 16, 3), dtype=np.float32)
        sharp = Image.fromarray(np.uint8(noise * 255)).resize((64, 80), Image.BICUBIC)
        for kind, image in (
            ('target', sharp),
            ('input', sharp.reduce(2).resize((64, 80))),
        ):
            (root / kind).mkdir(parents=True, exist_ok=True)
            image.save(root / kind / f'{name}.png')
    return root


@pytest.fixture
def alexnet(tmp_path):
    path = tmp_path / 'alexnet.pth'
    torch.manual_seed(0)
    torch.save(torchvision.models.alexnet(weights=None).state_dict(), path)
    return path


@pytest.fixture
def tool(monkeypatch, tmp_path, capfd):
    """Runs a tool in this process, which has imported MMagic already."""

    def run(script, *arguments):
        monkeypatch.setattr(sys, 'argv', [script, *map(str, arguments)])
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv('LOCAL_RANK', '0')
        code = None
        try:
            run_tool(script)
        except SystemExit as stop:
            code = stop.code
        return code, capfd.readouterr().out

    return run


def short(data, iters, **more):
    options = {
        'data_root': data,
        'train_cfg.max_iters': iters,
        'train_cfg.val_interval': iters,
        'train_dataloader.batch_size': 2,
        'default_hooks.checkpoint.interval': 2,
        'default_hooks.logger.interval': 1,
    }
    options.update(more)
    return ['--cfg-options', *(f'{key}={value}' for key, value in options.items())]


@pytest.mark.long
def test_train_resume_test(tool, data, tmp_path):
    work = tmp_path / 'work'
    code, _ = tool('train.py', DEMO, '--work-dir', work, *short(data, 4))
    assert code is None
    first = torch.load(work / 'iter_4.pth', weights_only=True)['state_dict']
    code, log = tool('train.py', DEMO, '--work-dir', work, '--resume', *short(data, 6))
    assert code is None
    assert 'resumed epoch: 0, iter: 4' in log
    assert 'Iter(train) [6/6]' in log
    last = torch.load(work / 'iter_6.pth', weights_only=True)
    assert last['meta']['iter'] == 6
    assert any(not torch.equal(first[k], last['state_dict'][k]) for k in first)
    assert list(work.glob('best_PSNR_iter_*.pth'))

    # The same numbers from tools/test.py and from a few lines with scikit-image.
    out = work / 'metrics.json'
    code, _ = tool(
        'test.py',
        DEMO,
        work / 'iter_6.pth',
        '--out',
        out,
        '--work-dir',
        work,
        '--cfg-options',
        f'data_root={data}',
    )
    assert code is None
    model = init_model(DEMO, str(work / 'iter_6.pth'), device='cpu')
    scores = []
    for path in sorted((data / 'input').iterdir()):
        y = torch.from_numpy(read_photo(path) / np.float32(255)).permute(2, 0, 1)[None]
        with torch.no_grad():
            restored = model(y)[0].clamp(0, 1).permute(1, 2, 0).numpy()
        sharp = read_photo(data / 'target' / path.name) / 255
        scores.append(peak_signal_noise_ratio(sharp, restored, data_range=1))
    assert json.loads(out.read_text())['PSNR'] == pytest.approx(
        np.mean(scores), abs=1e-4
    )


@pytest.mark.long
def test_paper_recipe_trains_with_lpips(tool, data, alexnet, tmp_path):
    code, log = tool(
        'train.py',
        DPDD,
        '--work-dir',
        tmp_path / 'work',
        *short(
            data,
            1,
            **{
                'train_dataloader.dataset.pipeline.1.gt_patch_size': 64,
                'train_dataloader.num_workers': 0,
                'train_dataloader.persistent_workers': False,
                'val_dataloader.num_workers': 0,
                'val_dataloader.persistent_workers': False,
                'model.loss.losses.lpips.weights': alexnet,
            },
        ),
    )
    assert code is None
    for name in ('loss_mse', 'loss_fd', 'loss_lpips', 'PSNR:', 'SSIM_7x7:'):
        assert name in log


@pytest.mark.long
def test_converted_checkpoint_is_tested(tool, data, alexnet, tmp_path):
    config = dict(base_ch=32, num_res_unet=2, num_res_lstm=2, basis_num=10)
    config |= dict(max_kernel_size=15, w_min=2, w_max=12)
    generator = torch.Generator().manual_seed(0)
    source, converted = tmp_path / 'released.pth', tmp_path / 'converted.pth'
    torch.save(reference_iniknet.random_weights(config, generator), source)
    script = ROOT / 'tools' / 'convert_released.py'
    command = [sys.executable, script, source, converted]
    subprocess.run(command, check=True, capture_output=True)
    main = runpy.run_path(str(script))['main']
    with pytest.raises(SystemExit, match=f'{converted} exists; give --force'):
        main([str(source), str(converted)])
    code, log = tool(
        'test.py',
        DPDD,
        converted,
        '--cfg-options',
        f'data_root={data}',
        f'test_evaluator.0.lpips_weights.alex={alexnet}',
        'test_dataloader.num_workers=0',
        'test_dataloader.persistent_workers=False',
    )
    assert code is None
    assert 'Iter(test) [4/4]' in log
    for name in ('PSNR', 'SSIM_7x7', 'SSIM_11x11', 'MAE', 'LPIPS_alex'):
        assert f' {name}: ' in log
    assert ' (4 images; RGB, whole images, target as stored, predictions ' in log


def test_bad_photos_are_reported_at_once_before_training(tool, data, tmp_path):
    cut = data / 'input' / 'a.png'
    cut.write_bytes(cut.read_bytes()[:-100])
    (data / 'target' / 'b.png').write_text('not a picture')
    Image.new('RGB', (64, 64)).save(data / 'input' / 'c.png')
    shutil.copy(data / 'input' / 'd.png', data / 'input' / 'lonely.png')
    code, _ = tool('train.py', DEMO, '--work-dir', tmp_path / 'work', *short(data, 4))
    assert code.startswith(f'train: {data} has files that cannot be used: ')
    for part in (
        f'{cut} cannot be read as a photograph',
        f'{data}/target/b.png cannot be read as a photograph',
        f'{data}/input/c.png is 64x64 pixels but its target {data}/target/c.png 64x80',
        f'{data}/input/lonely.png has no target',
    ):
        assert part in code
    assert not list((tmp_path / 'work').glob('*.pth'))


def test_damage_inside_a_photo_is_named_by_a_worker(tool, data, tmp_path):
    for path in (data / 'input').iterdir():
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    code, _ = tool(
        'train.py',
        DEMO,
        '--work-dir',
        tmp_path / 'work',
        *short(data, 4, **{'train_dataloader.num_workers': 1}),
    )
    assert code.startswith(f'train: {data}/input/')
    assert 'cannot be read as a photograph' in code
    assert '\n' not in code


@pytest.mark.parametrize('make', [True, False], ids=['empty', 'missing'])
def test_no_data_is_one_clear_error(tool, tmp_path, make):
    root = tmp_path / 'nothing'
    if make:
        root.mkdir()
    code, _ = tool('train.py', DPDD, '--cfg-options', f'data_root={root}')
    assert f'data set {root}' in code
    assert 'train_c/source + train_c/target' in code
    assert 'input + target' in code


def test_absent_lpips_weights_are_one_clear_error(tool, data, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'hub'))

    def offline(*_, **__):
        raise OSError('no network')

    monkeypatch.setattr(torch.hub, 'download_url_to_file', offline)
    checkpoint = tmp_path / 'new.pth'
    torch.save(init_model(DPDD, device='cpu').state_dict(), checkpoint)
    code, _ = tool('test.py', DPDD, checkpoint, '--cfg-options', f'data_root={data}')
    assert code.startswith('test: LPIPS needs https://')
    assert f'is not at {tmp_path}/hub/hub/checkpoints/alexnet' in code


def test_bad_checkpoints_are_refused(tool, data, tmp_path):
    trace, bad = tmp_path / 'trace', tmp_path / 'bad.pth'

    class Code:
        def __reduce__(self):
            return os.system, (f'touch {trace}',)

    torch.save({'state_dict': Code()}, bad)
    before = bad.read_bytes()
    options = ['--cfg-options', f'data_root={data}']
    code, _ = tool('test.py', DEMO, bad, *options)
    assert code.startswith(f'test: checkpoint {bad} is refused: it holds ')
    assert not trace.exists()
    assert bad.read_bytes() == before

    other = tmp_path / 'other.pth'
    torch.save(init_model(DPDD, device='cpu').state_dict(), other)
    code, _ = tool('test.py', DEMO, other, *options)
    assert code.startswith(f'test: checkpoint {other} is of another network: ')


def start_distributed(script, config, *arguments):
    environment = {
        **os.environ,
        'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
        'PYTHONPATH': str(ROOT / 'tests'),
        'PORT': str(29600 + os.getpid() % 1000),
        'CUDA_VISIBLE_DEVICES': '',
        'OMP_NUM_THREADS': '1',
    }
    return subprocess.Popen(
        [str(ROOT / 'tools' / script), str(config), *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process):
    output, _ = process.communicate(timeout=200)
    # The whole of it: what ended a process stands before what torchrun says of it.
    assert process.returncode == 0, output
    return output


def _text(path):
    return path.read_text() if path.exists() else ''


@pytest.mark.long
def test_two_processes_survive_a_kill_and_agree(data, tmp_path):
    config, work = tmp_path / 'config.py', tmp_path / 'work'
    config.write_text(
        f'_base_ = {DEMO!r}\n'
        "custom_imports = dict(imports=['mmagic_inik', 'rank_report_hook'],"
        ' allow_failed_imports=False)\n'
        "custom_hooks = [dict(type='StrictCheckpointHook'),"
        " dict(type='RankReportHook')]\n"
    )
    arguments = [config, 2, '--work-dir', work]
    process = start_distributed('dist_train.sh', *arguments, *short(data, 100_000))
    deadline = time.monotonic() + 120
    # Written when the checkpoint is on disk, which has its name before that.
    pointer, done = work / 'last_checkpoint', 0
    while done < 4 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
        named = re.search(r'iter_(\d+)\.pth$', _text(pointer))
        done = int(named[1]) if named else 0
    assert process.poll() is None, process.stdout.read()[-3000:]
    # The ranks must go with the launcher, or the wait below would never end.
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=20)
    done = int(re.search(r'iter_(\d+)\.pth$', _text(pointer))[1])
    assert not (work / 'rank0.txt').exists()

    end = done + 10
    process = start_distributed(
        'dist_train.sh', *arguments, '--resume', *short(data, end)
    )
    log = finish(process)
    assert f'Iter(train) [{end}/{end}]' in log
    reports = [(work / f'rank{rank}.txt').read_text().split() for rank in (0, 1)]
    assert reports[0][0] == reports[1][0], 'weights differ between ranks'
    assert reports[0][1] != reports[1][1], 'both ranks saw the same batch'
    for rank in (0, 1):
        assert (work / f'rank{rank}.end').read_text() == 'left group'

    out = work / 'metrics.json'
    finish(
        start_distributed(
            'dist_test.sh',
            config,
            work / f'iter_{end}.pth',
            2,
            '--out',
            out,
            '--work-dir',
            work,
            '--cfg-options',
            f'data_root={data}',
        )
    )
    assert json.loads(out.read_text()).keys() == {'PSNR', 'SSIM_7x7'}


@pytest.mark.parametrize(
    ('script', 'given'),
    [('dist_train.sh', ['c.py', '8']), ('dist_test.sh', ['c.py', 'k.pth', '8'])],
)
def test_launchers_pass_on_machines_and_options(tmp_path, script, given):
    torchrun = tmp_path / 'torchrun'
    torchrun.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    torchrun.chmod(0o755)
    machines = dict(NNODES='3', NODE_RANK='2', MASTER_ADDR='10.0.0.1', PORT='1234')
    result = subprocess.run(
        [ROOT / 'tools' / script, *given, '--cfg-options', 'a=b c'],
        env={**os.environ, **machines, 'PATH': f'{tmp_path}:{os.environ["PATH"]}'},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = result.stdout.splitlines()
    assert lines[:5] == [
        '--nnodes=3',
        '--node_rank=2',
        '--master_addr=10.0.0.1',
        '--master_port=1234',
        '--nproc_per_node=8',
    ]
    assert lines[6:] == [*given[:-1], '--launcher', 'pytorch', '--cfg-options', 'a=b c']


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh'])
def test_launchers_explain_themselves(script):
    result = subprocess.run(
        [ROOT / 'tools' / script], capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert f'usage: tools/{script} CONFIG' in result.stderr
