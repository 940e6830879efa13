"""Training on several machines: what a cable joins, and what Slurm starts."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmagic_inik import processes
from mmagic_inik.engine import load_checkpoint_file
from mmagic_inik.errors import InputError
from mmagic_inik.launch import run_tool

ROOT = Path(__file__).parents[1]
DEMO = ROOT / 'configs' / 'iniknet_demo.py'
# In place of Slurm: as many processes as asked for, all on this machine.
SRUN = """#!/bin/bash
printf '%s\\n' "$@" > "$0.given"
for word in "$@"; do
  case $word in --ntasks=*) tasks=${word#--ntasks=};; esac
done
while [ "$1" != python ]; do shift; done
export SLURM_NTASKS=$tasks SLURM_NODELIST=node[1-2]
for ((rank = 0; rank < tasks; rank++)); do
  SLURM_PROCID=$rank SLURM_LOCALID=$rank "$@" &
  started+=($!)
done
for process in "${started[@]}"; do wait "$process" || exit; done
"""
SCONTROL = """#!/bin/bash
[ "$*" = 'show hostname node[1-2]' ] && printf '127.0.0.1\\n127.0.0.2\\n'
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A folder in which are ``srun`` and ``scontrol``, and the variables for them."""
    folder = tmp_path / 'slurm'
    folder.mkdir()
    for name, content in (('srun', SRUN), ('scontrol', SCONTROL)):
        (folder / name).write_text(content)
        (folder / name).chmod(0o755)
    path = f'{folder}:{Path(sys.executable).parent}:{os.environ["PATH"]}'
    monkeypatch.setenv('PATH', path)
    for name in ('MASTER_ADDR', 'MASTER_PORT', 'GPUS', 'GPUS_PER_NODE', 'SRUN_ARGS'):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_slurm_is_asked_for_what_was_said(slurm, tool):
    (slurm / 'srun').write_text(SRUN.split('for word')[0])
    script = ROOT / 'tools' / f'slurm_{tool}.sh'
    given = [script, 'gpus', 'my job', 'a b.py', 'c d', '--cfg-options', 'x=1 2']
    options = ['--work-dir', 'c d'] if tool == 'train' else ['c d']
    command = ['python', '-u', f'{ROOT}/tools/{tool}.py', 'a b.py', *options]
    command += ['--cfg-options', 'x=1 2', '--launcher', 'slurm']
    asked = ['-p', 'gpus', '--job-name=my job', '--gres=gpu:8', '--ntasks=8']
    asked += ['--ntasks-per-node=8', '--cpus-per-task=5', '--kill-on-bad-exit=1']
    subprocess.run(given, check=True)
    assert (slurm / 'srun.given').read_text().splitlines() == asked + command
    more = dict(GPUS='6', GPUS_PER_NODE='2', CPUS_PER_TASK='3')
    more['SRUN_ARGS'] = '--exclude=node7 --quiet'
    subprocess.run(given, check=True, env=os.environ | more)
    asked[3:] = ['--gres=gpu:2', '--ntasks=6', '--ntasks-per-node=2']
    asked += ['--cpus-per-task=3', '--kill-on-bad-exit=1', '--exclude=node7', '--quiet']
    assert (slurm / 'srun.given').read_text().splitlines() == asked + command
    more = dict(GPUS='6', GPUS_PER_NODE='0', TASKS_PER_NODE='3')
    subprocess.run(given, check=True, env=os.environ | more)
    asked = (slurm / 'srun.given').read_text().splitlines()
    assert asked[3:5] == ['--ntasks=6', '--ntasks-per-node=3']


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_slurm_scripts_explain_themselves(tool):
    script = ROOT / 'tools' / f'slurm_{tool}.sh'
    for given in ([], ['p'], ['p', 'j'], ['p', 'j', 'c.py']):
        ended = subprocess.run([script, *given], capture_output=True, text=True)
        assert ended.returncode
        assert f'usage: tools/slurm_{tool}.sh PARTITION JOB_NAME' in ended.stderr


@pytest.fixture(scope='module')
def machines():
    """Two, joined by a cable: for each, what to put before a command to run it there.

    Of a machine they have all that training on several depends on: addresses and a
    network of their own.
    """
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f'no {", ".join(missing)}: install util-linux and iproute2')
    holders = []
    try:
        first = _hold(holders, 'unshare', '--map-root-user', '--net')
        second = _hold(holders, *first, 'unshare', '--net')
        cable = ['ip', 'link', 'add', 'cable', 'type', 'veth', 'peer', 'name', 'cable']
        _do(*first, *cable, 'netns', holders[1].pid)
        for number, machine in enumerate((first, second), start=1):
            address = f'10.0.0.{number}/24'
            _do(*machine, 'ip', 'address', 'add', address, 'dev', 'cable')
            for device in ('cable', 'lo'):
                _do(*machine, 'ip', 'link', 'set', device, 'up')
        yield first, second
    finally:
        for holder in reversed(holders):
            holder.kill()
            holder.wait()


_TOOLS = ('unshare', 'nsenter', 'ip')


def _do(*command):
    ended = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if ended.returncode:
        pytest.skip(f'no network of its own may be made here: {ended.stderr.strip()}')


def _hold(holders, *command):
    """Keep a network alive, and say how to enter it."""
    holder = subprocess.Popen(
        [*command, 'sleep', 'infinity'], stderr=subprocess.PIPE, text=True
    )
    holders.append(holder)
    while Path(f'/proc/{holder.pid}/comm').read_text() != 'sleep\n':
        if holder.poll() is not None:
            pytest.skip(f'no network of its own here: {holder.stderr.read().strip()}')
        time.sleep(0.01)
    enter = ['nsenter', f'--target={holder.pid}', '--user', '--net']
    return [*enter, '--preserve-credentials']


@pytest.fixture
def photos(tmp_path):
    """Four pairs of noise."""
    random = np.random.default_rng(0)
    for name in 'abcd':
        noise = Image.fromarray(random.integers(0, 256, (64, 64, 3), np.uint8))
        for kind, image in (('target', noise), ('input', noise.reduce(2))):
            path = tmp_path / 'photos' / kind / f'{name}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            image.resize((64, 64)).save(path)
    return tmp_path / 'photos'


def options(photos, iters):
    given = {
        'data_root': photos,
        'train_cfg.max_iters': iters,
        'train_cfg.val_interval': 1000000,
        'train_dataloader.batch_size': 1,
        'train_dataloader.dataset.pipeline.1.gt_patch_size': 32,
        'default_hooks.checkpoint.interval': 2,
        'default_hooks.checkpoint.max_keep_ckpts': -1,
    }
    return ['--cfg-options', *(f'{name}={value}' for name, value in given.items())]


def weights(work):
    return load_checkpoint_file(work / 'iter_2.pth')['state_dict']


@pytest.mark.long
def test_two_machines_train_as_one_and_part_with_a_sentence(
    machines, slurm, photos, tmp_path, monkeypatch, capfd
):
    environment = dict(OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    environment |= dict(NNODES='2', MASTER_ADDR='10.0.0.1', GLOO_SOCKET_IFNAME='cable')
    work, logs, nodes = tmp_path / 'two', [], []
    for rank, machine in enumerate(machines):
        logs.append(tmp_path / f'node{rank}.log')
        command = [*machine, ROOT / 'tools' / 'dist_train.sh', DEMO, '1']
        command += ['--work-dir', work, *options(photos, 100_000)]
        nodes.append(
            subprocess.Popen(
                list(map(str, command)),
                env=os.environ | environment | dict(NODE_RANK=str(rank)),
                stdout=logs[-1].open('w'),
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        )
    try:
        end = time.monotonic() + 480
        while not (work / 'last_checkpoint').exists():
            assert time.monotonic() < end
            running = [node.poll() is None for node in nodes]
            assert all(running), [log.read_text()[-2000:] for log in logs]
            time.sleep(0.05)
        # A machine that ends takes all its processes with it.
        os.killpg(nodes[1].pid, signal.SIGKILL)
        assert nodes[0].wait(180) != 0
    finally:
        for node in nodes:
            if node.poll() is None:
                os.killpg(node.pid, signal.SIGKILL)
            node.wait()
    last = (work / 'last_checkpoint').read_text()
    said = re.search('^train: .*$', logs[0].read_text(), re.MULTILINE)[0]
    assert said.startswith(
        'train: process 0 of 2 lost the others, one of which, or its'
    )
    assert said.endswith(f'all of them again with --resume, which goes on from {last}')

    # One machine with two processes, which Slurm starts.
    alone = tmp_path / 'one'
    environment = dict(OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    environment |= dict(GPUS='2', GPUS_PER_NODE='0', TASKS_PER_NODE='2')
    command = [ROOT / 'tools' / 'slurm_train.sh', 'cpus', 'two', DEMO, alone]
    subprocess.run(
        list(map(str, [*command, *options(photos, 2)])),
        env=os.environ | environment,
        check=True,
    )
    together, expected = weights(work), weights(alone)
    assert together.keys() == expected.keys()
    for name, weight in together.items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=0, msg=name)

    # What the machine that is left has is whole.
    iteration = int(re.search(r'iter_(\d+)\.pth$', last)[1])
    monkeypatch.chdir(tmp_path)
    line = ['train.py', DEMO, '--work-dir', work, '--resume']
    line += options(photos, iteration + 1)
    monkeypatch.setattr(sys, 'argv', list(map(str, line)))
    run_tool('train.py')
    assert f'resumed epoch: 0, iter: {iteration}' in capfd.readouterr().out


def test_the_time_until_a_silent_process_is_given_up_is_the_configs(
    monkeypatch, photos, tmp_path
):
    class JoinedError(Exception):
        """Instead of waiting for the others."""

    def join(backend, **given):
        raise JoinedError(backend, given)

    monkeypatch.setattr(torch.distributed, 'init_process_group', join)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    line = ['train.py', str(DEMO), '--launcher', 'pytorch', '--work-dir', str(tmp_path)]
    for more, expected in (
        ([], {}),
        (['env_cfg.dist_cfg.timeout=7'], dict(timeout=timedelta(seconds=7))),
    ):
        monkeypatch.setattr(sys, 'argv', [*line, *options(photos, 2), *more])
        with pytest.raises(JoinedError) as joined:
            run_tool('train.py')
        assert joined.value.args == ('gloo', expected)


@pytest.mark.parametrize('rank', ['0', '1'])
@pytest.mark.parametrize('written', [True, False])
def test_the_sentence_says_how_to_go_on(tmp_path, monkeypatch, rank, written):
    monkeypatch.setenv('RANK', rank)
    monkeypatch.setenv('WORLD_SIZE', '3')
    config = Config(dict(work_dir=str(tmp_path)))
    if written:
        (tmp_path / 'last_checkpoint').write_text('w/iter_7.pth')
    ways = {
        ('0', True): 'with --resume, which goes on from w/iter_7.pth',
        ('1', True): 'with --resume, which goes on from w/iter_7.pth',
        ('0', False): f'(no checkpoint was written to {tmp_path} yet)',
        ('1', False): 'with --resume, if process 0 wrote a checkpoint; here is none in '
        f'{tmp_path}',
    }
    for error in (
        RuntimeError('[/src/gloo/transport/tcp/pair.cc:42] Timed out waiting 7ms'),
        torch.distributed.DistNetworkError('Timed out waiting 7ms'),
    ):
        with (
            pytest.raises(InputError) as told,
            processes.say_if_others_are_lost(config, resumable=True),
        ):
            raise error
        assert str(told.value) == (
            f'process {rank} of 3 lost the others, one of which, or its machine, has '
            'ended (Timed out waiting 7ms); start all of them again '
            + ways[rank, written]
        )
        with (
            pytest.raises(InputError, match='; start all of them again$'),
            processes.say_if_others_are_lost(config, resumable=False),
        ):
            raise error


def test_other_errors_stay_what_they_are():
    with (
        pytest.raises(RuntimeError, match='^shape'),
        processes.say_if_others_are_lost(Config(), resumable=True),
    ):
        raise RuntimeError('shape')


def test_ranks_of_slurm(slurm, monkeypatch):
    for name, value in (('PROCID', '3'), ('NTASKS', '4'), ('NODELIST', 'node[1-2]')):
        with pytest.raises(InputError, match=f'^--launcher slurm without SLURM_{name}'):
            processes.take_rank_from_slurm()
        monkeypatch.setenv(f'SLURM_{name}', value)
    processes.take_rank_from_slurm()
    wanted = dict(RANK='3', WORLD_SIZE='4', LOCAL_RANK='3', MASTER_ADDR='127.0.0.1')
    assert wanted | dict(MASTER_PORT='29500') == {
        name: os.environ[name] for name in (*wanted, 'MASTER_PORT')
    }
    monkeypatch.setenv('SLURM_LOCALID', '1')
    monkeypatch.setenv('MASTER_ADDR', 'node9')
    (slurm / 'scontrol').unlink()
    processes.take_rank_from_slurm()
    assert (os.environ['LOCAL_RANK'], os.environ['MASTER_ADDR']) == ('1', 'node9')
    monkeypatch.delenv('MASTER_ADDR')
    with pytest.raises(InputError, match='scontrol .*; set MASTER_ADDR to the address'):
        processes.take_rank_from_slurm()
