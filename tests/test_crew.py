"""Several processes that restore photos together."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
from PIL import Image
from skimage import data
from torch.distributed import HashStore
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import (
    ChildFailedError,
    ProcessFailure,
)

from mmagic_inik.errors import InputError
from mmagic_inik.restoration import (
    crew,
    launcher,
    load_restorer,
    make_plan,
    memory,
    restore_all,
)
from mmagic_inik.restoration.crew import Crew, CrewBar
from mmagic_inik.restoration.jobs import Job, Plan

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / 'tools'))
import restore  # noqa: E402


def test_every_photo_is_taken_once_and_failures_come_to_the_leader(capsys):
    # More than are set at a time; a name that is no UTF-8.
    count, odd = 2500, os.fsdecode(b'\xff.jpg')
    jobs = [Job(Path(f'{n} {odd}'), Path('out', odd), n + 1) for n in range(count)]
    store, size, taken = HashStore(), 4, {}
    crews = [Crew(store, rank, size) for rank in range(size)]
    ends = {}

    def work(one):
        taken[one.rank] = []
        bar = CrewBar(one)
        for job in one.jobs():
            taken[one.rank].append(job)
            bar.finish(job)
            if job.pixels % 1000 == 0:
                bar.fail(f'no {job.pixels}')
        ends[one.rank] = one.end(len(taken[one.rank]), bar)

    threads = [threading.Thread(target=work, args=[one]) for one in crews]
    # They wait for the plan.
    for thread in threads[1:]:
        thread.start()
    crews[0].hand_out(Plan(jobs, [InputError('refused')]))
    threads[0].start()
    for thread in threads:
        thread.join(60)
    assert sorted(sum(taken.values(), []), key=jobs.index) == jobs
    assert [ends[rank] for rank in range(1, size)] == [None] * 3
    restored, failures = ends[0]
    assert restored == count
    assert sorted(failures) == ['no 1000', 'no 2000', 'refused']
    said = capsys.readouterr().err
    assert '100/100' in said
    # Failures of all are said at once, too.
    assert said.count('no 1000.') == 1


def start(folder, out, *options):
    environment = {
        **os.environ,
        'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
        'PYTHONPATH': str(ROOT),
        'PORT': str(27600 + os.getpid() % 1000),
    }
    command = [ROOT / 'tools' / 'dist_restore.sh', folder, '2', '--out', out]
    return subprocess.Popen(
        [*map(str, command), '--device', 'cpu', *options],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.long
def test_a_killed_run_goes_on_and_lists_what_failed(tmp_path):
    folder, out = tmp_path / 'photos', tmp_path / 'out'
    (folder / 'sub').mkdir(parents=True)
    for n in range(10):
        # Of which every restoration remarks something.
        photo = Image.fromarray(data.chelsea()[n : n + 96, :128]).convert('CMYK')
        photo.save(folder / ('sub' if n % 2 else '') / f'{n}.jpg')
    (folder / 'bad.jpg').write_text('no photo')
    jobs = make_plan([folder], tmp_path / 'alone', False).jobs
    # Small photos have a form of convolutions in tests alone (conftest.py) that rounds
    # otherwise than the tool's in bfloat16.
    assert restore_all(jobs, load_restorer(), 'auto', 64, 'float32') == 10

    process = start(folder, out, '--dtype', 'float32')
    end = time.monotonic() + 300
    while len(list(out.rglob('*.jpg'))) < 2:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.02)
    ranks = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    # They go with their launcher.
    _, alive = psutil.wait_procs(ranks, 60)
    assert not alive
    process.stderr.close()
    before = {path: path.stat().st_ino for path in out.rglob('*.jpg')}
    assert 2 <= len(before) < 10

    process = start(folder, out, '--dtype', 'float32')
    said = process.communicate(timeout=400)[1]
    assert process.returncode == 1, said
    names = {job.target.relative_to(tmp_path / 'alone') for job in jobs}
    assert {path.relative_to(out) for path in out.rglob('*') if path.is_file()} == names
    for name in names:
        written = (out / name).read_bytes()
        assert written == (tmp_path / 'alone' / name).read_bytes()
        # Each that was missing once, and no other.
        expected = 0 if out / name in before else 1
        assert said.count(f'{folder / name}: its CMYK colours') == expected
    assert all(path.stat().st_ino == node for path, node in before.items())
    assert f'{10 - len(before)} of {10 - len(before)} photos restored, ' in said
    assert '100/100' in said
    # The last lines, behind which torchrun adds none.
    assert re.fullmatch(
        rf'{folder}/bad.jpg cannot be read as a photograph .*\.\n'
        'restore: not restored: 1, for the reasons above',
        '\n'.join(said.strip().splitlines()[-2:]),
    )


@pytest.fixture
def launch(monkeypatch):
    def launch(error):
        def run(args):
            raise error

        monkeypatch.setattr(launcher, 'run', run)
        monkeypatch.setattr(sys, 'argv', ['launcher', 'tool.py'])
        with pytest.raises(SystemExit) as stop:
            launcher.main()
        return stop.value.code

    return launch


@pytest.mark.parametrize(
    ('code', 'said'),
    [
        (-signal.SIGKILL, 'restore: process 1 was ended by SIGKILL, perhaps for lack '),
        (2, 2),  # the process has said why
    ],
)
def test_the_end_of_a_process_is_told(launch, code, said):
    failure = ProcessFailure(1, 4242, code, 'none.json')
    told = launch(ChildFailedError('tool.py', {1: failure}))
    assert told == said or told.startswith(said)


def test_an_interruption_is_told(launch):
    told = launch(SignalException('interrupted', signal.SIGINT))
    assert told.startswith('restore: ended by SIGINT; the photos written so far are')


def test_a_port_that_is_taken_is_told(launch):
    told = launch(torch.distributed.DistNetworkError('port 29500: EADDRINUSE\nat …'))
    assert told.startswith('restore: the processes cannot meet (port 29500: EADDRINUSE')
    assert 'set PORT to a free one' in told


@pytest.mark.parametrize('given', [[], ['folder']])
def test_launcher_explains_itself(given):
    result = subprocess.run(
        [ROOT / 'tools' / 'dist_restore.sh', *given], capture_output=True, text=True
    )
    assert result.returncode
    assert 'usage: tools/dist_restore.sh FOLDER N' in result.stderr


def test_launcher_passes_on_machines_and_options(tmp_path):
    python = tmp_path / 'python'
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    machines = dict(NNODES='3', NODE_RANK='2', MASTER_ADDR='10.0.0.1', PORT='1234')
    result = subprocess.run(
        [ROOT / 'tools' / 'dist_restore.sh', 'my photos', '8', '--out', 'a b'],
        env={**os.environ, **machines, 'PATH': f'{tmp_path}:{os.environ["PATH"]}'},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = result.stdout.splitlines()
    assert lines[:7] == [
        *('-m', 'mmagic_inik.restoration.launcher', '--nnodes=3', '--node_rank=2'),
        *('--master_addr=10.0.0.1', '--master_port=1234', '--nproc_per_node=8'),
    ]
    assert lines[8:] == ['my photos', '--resume', '--out', 'a b']


def test_alone_a_run_goes_on_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in 'ab':
        Image.fromarray(data.chelsea()[:32, :48]).save(f'{name}.png')
    restore.main(['a.png'])
    before = Path('restored/a.png').stat().st_ino
    # Of a process that is gone, of one that is not, and what no result is called.
    (tmp_path / 'restored' / '.b.png.4194305.part').touch()
    others = {f'.b.png.{os.getppid()}.part', '.c.png.4194305.part'}
    for name in others:
        (tmp_path / 'restored' / name).touch()
    capsys.readouterr()
    restore.main(['a.png', 'b.png', '--resume'])
    assert '1 of 1 photos restored, 1 before: restored.' in capsys.readouterr().err
    assert {path.name for path in Path('restored').iterdir()} == {
        *('a.png', 'b.png'),
        *others,
    }
    assert Path('restored/a.png').stat().st_ino == before
    restore.main(['a.png', 'b.png', '--resume'])
    assert '0 of 0 photos restored, 2 before: restored.' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        restore.main(['a.png', '--resume', '--force'])
    # A photo is no result of its own.
    with pytest.raises(SystemExit, match='not restored: 1'):
        restore.main(['a.png', '--resume', '--out', '.'])


def test_processes_share_memory_and_gpus(monkeypatch):
    device = torch.device('cpu')
    free = SimpleNamespace(available=8e9)
    monkeypatch.setattr(memory.psutil, 'virtual_memory', lambda: free)
    monkeypatch.setattr(memory, '_cgroup_rooms', lambda: iter([6e9]))
    assert memory.free_memory(device) == 6e9
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '4')
    monkeypatch.setenv('LOCAL_RANK', '3')
    assert memory.free_memory(device) == 1.5e9
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    assert crew.own_device('cuda') == 'cuda:1'
    assert crew.own_device('cuda:0') == 'cuda:0'
    assert crew.own_device('cpu') == 'cpu'
    monkeypatch.setattr(torch.cuda, 'mem_get_info', lambda device: (8e9, 9e9))
    monkeypatch.setattr(torch.cuda, 'memory_reserved', lambda device: 3)
    monkeypatch.setattr(torch.cuda, 'memory_allocated', lambda device: 1)
    # Four processes on two GPUs.
    assert memory.free_memory(torch.device('cuda:1')) == 4e9 + 2
