"""What a user reads, and what is in the log alone."""

import io
import logging
import subprocess
import sys
import warnings
from pathlib import Path

import page_commands
import pytest
import torch
from mmagic.registry import MODELS
from mmengine.config import Config

from mmagic_inik.command import CONFIGS
from mmagic_inik.engine import screen
from mmagic_inik.launch import run_tool
from mmagic_inik.quiet import leave_out_known_warnings

ROOT = Path(__file__).parents[1]
TRAIN = (
    'configs/iniknet_demo.py',
    '--cfg-options',
    'train_cfg.max_iters=4',
    'train_cfg.val_interval=4',
    'train_dataloader.batch_size=1',
    'train_dataloader.dataset.pipeline.1.gt_patch_size=32',
    'default_hooks.logger.interval=2',
)


@pytest.mark.long
def test_imports_are_quiet_and_ours_are_heard():
    program = (
        'import mmagic_inik.full_setup, warnings, mmagic.models\n'
        'warnings.warn("something of ours")'
    )
    said = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=True
    )
    assert said.stdout == ''
    (warning,) = said.stderr.strip().splitlines()
    assert warning.endswith('UserWarning: something of ours')


def test_what_is_left_out_is_named_by_module_and_message(monkeypatch):
    monkeypatch.setattr(sys, 'warnoptions', [])
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter('always')
        leave_out_known_warnings()
        for module, message in (
            ('timm.models.layers', 'Importing from timm.models.layers is deprecated'),
            ('timm.models.layers', 'these weights are of another model'),
            ('mmagic_inik.x', 'Importing from timm.models.layers is deprecated'),
        ):
            warnings.warn_explicit(message, FutureWarning, 'x.py', 1, module)
    assert len(heard) == 2


def test_who_asks_for_warnings_gets_them(monkeypatch):
    monkeypatch.setattr(sys, 'warnoptions', ['default'])
    with warnings.catch_warnings():
        before = list(warnings.filters)
        leave_out_known_warnings()
        assert warnings.filters == before


@pytest.fixture
def trained(tmp_path, monkeypatch, capfd):
    """Trains for four iterations; what was shown, and the log."""

    def run(terminal, *options):
        page_commands.lay_out(tmp_path)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv('LOCAL_RANK', '0')
        monkeypatch.setattr(sys, 'argv', ['train.py', *TRAIN, *options])
        if terminal:
            shown = io.StringIO()
            shown.isatty = lambda: True
            monkeypatch.setattr(sys, 'stdout', shown)
        run_tool('train.py')
        text = shown.getvalue() if terminal else capfd.readouterr().out
        (log,) = tmp_path.glob('work_dirs/iniknet_demo/*/*.log')
        return text, log

    return run


def test_a_training_says_where_its_log_is_and_shows_progress(trained):
    shown, log = trained(terminal=False)
    first, *lines = shown.splitlines()
    assert first.endswith(f'is {log}')
    assert 'Iter(train) [2/4]' in shown
    assert 'PSNR' in shown
    for left_out in ('System environment', 'Config:', 'Hooks will', 'FileClient'):
        assert left_out not in shown
        assert left_out in log.read_text()
    assert len(lines) < 12
    # Of ours, and worth knowing.
    assert 'the best checkpoint will have been chosen on the test photos' in shown


def test_a_terminal_gets_a_line_that_rewrites_itself(trained):
    shown, log = trained(True, 'screen=scores')
    assert 'Iter(train)' not in shown
    assert 'Iter(train) [4/4]' in log.read_text()
    last = [part for part in shown.replace('\n', '\r').split('\r') if 'train' in part]
    assert '4/4' in last[-1]
    assert 'loss 0.' in last[-1]
    assert last[-1].rstrip().endswith('left')
    assert '\nval' not in shown
    assert 'PSNR' in shown


def test_the_demo_shows_its_line_and_warnings_alone(trained):
    shown, log = trained(terminal=True)
    assert 'best checkpoint will have been chosen on the test photos' in shown
    assert 'WARNING' in shown
    assert '4/4' in shown
    for left_out in ('PSNR', 'INFO', 'is saved to'):
        assert left_out not in shown
        assert left_out in log.read_text()


@pytest.mark.parametrize('terminal', [True, False])
def test_another_screen_is_refused(trained, terminal):
    with pytest.raises(SystemExit, match="screen is 'none' in the config; 'scores' or"):
        trained(terminal, 'screen=none')


def test_what_is_printed_of_a_checkpoint_goes_to_the_log(trained, tmp_path):
    network = MODELS.build(Config.fromfile(CONFIGS / 'iniknet_demo.py').model)
    torch.save(network.state_dict(), tmp_path / 'start.pth')
    shown, log = trained(False, f'load_from={tmp_path}/start.pth')
    assert 'Loads checkpoint by' not in shown
    assert 'Loads checkpoint by' in log.read_text()


@pytest.mark.parametrize(
    ('origin', 'level', 'message', 'shown'),
    [
        ('runner.py', 'INFO', 'Config:\nmodel = 1', False),
        ('runner.py', 'WARNING', 'something is wrong', True),
        ('runner.py', 'ERROR', 'something is wrong', True),
        ('runner.py', 'INFO', 'resumed epoch: 0, iter: 2', True),
        ('logger.py', 'WARNING', 'The prefix is not set in metric class PSNR.', False),
        ('logger.py', 'INFO', 'PSNR 24.824', True),
        ('logger_hook.py', 'INFO', 'Iter(train) [2/4]  lr: 0.1', True),
        ('logger_hook.py', 'INFO', 'Exp name: x', False),
    ],
)
def test_records_for_the_screen(origin, level, message, shown):
    record = logging.LogRecord(
        'mmengine', getattr(logging, level), f'/x/{origin}', 1, message, None, None
    )
    assert screen.for_the_screen(record) is shown
