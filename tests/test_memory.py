"""How much memory there is, also on systems that do not tell."""

import ctypes
import platform
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from torch import nn

from mmagic_inik.models import Restorer
from mmagic_inik.restoration import memory, restore, tile_size

CPU = torch.device('cpu')


class Copies(nn.Module):
    """30 copies of 3 float32, once alone and once stacked."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))

    def forward(self, image):
        return torch.stack([image * self.factor for _ in range(30)]).mean(0)


@pytest.fixture
def restorer():
    return Restorer(Copies()).eval()


@pytest.fixture(autouse=True)
def anew():
    """Each test is told what is said once."""
    memory._say_once.cache_clear()


def test_memory_of_a_network_is_measured(restorer):
    with torch.no_grad():
        measured = memory.bytes_per_pixel(restorer, CPU, 'float32')
    assert 700 < measured < 1500


def test_freed_memory_is_used_again():
    program = """
import resource
import torch
from mmagic_inik.restoration import memory
{keep}
def touch(size):
    torch.empty(size, dtype=torch.uint8).fill_(1)
touch(100_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
touch(90_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    faults = []
    for keep in ('', 'memory.keep_freed_memory()'):
        command = [sys.executable, '-c', program.format(keep=keep)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        faults.append(int(done.stdout))
    if platform.libc_ver()[0] != 'glibc':
        assert max(faults) < 2 * min(faults)
    else:
        assert faults[1] < faults[0] / 10


def test_without_glibc_freed_memory_goes_its_way(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(memory.ctypes, 'CDLL', missing)
    memory.keep_freed_memory()


def without(pattern):
    """``Path``'s methods on a system without some files."""
    read, write = Path.read_text, Path.write_text

    def missing(method):
        def call(path, *args, **kwargs):
            if path.match(pattern):
                raise FileNotFoundError(2, 'No such file or directory', str(path))
            return method(path, *args, **kwargs)

        return call

    return {'read_text': missing(read), 'write_text': missing(write)}


def no_files(monkeypatch, pattern):
    for name, method in without(pattern).items():
        monkeypatch.setattr(Path, name, method)


def no_malloc_trim(monkeypatch):
    monkeypatch.setattr(ctypes, 'CDLL', lambda name: object())


def no_c_library(monkeypatch):
    def refuse(name):
        raise TypeError("argument of type 'NoneType'")  # Windows

    monkeypatch.setattr(ctypes, 'CDLL', refuse)


def no_peak(monkeypatch):
    monkeypatch.setattr(memory, 'resident', lambda field: None[1])


def peak_of_nothing(monkeypatch):
    monkeypatch.setattr(memory, 'memory_of', lambda kind: (lambda: None, lambda: 0))


MISSING = {
    'malloc_trim': no_malloc_trim,
    'a C library': no_c_library,
    'clear_refs': lambda patch: no_files(patch, '/proc/self/clear_refs'),
    '/proc/self/status': lambda patch: no_files(patch, '/proc/self/status'),
    'a line in it': no_peak,
    'sense in it': peak_of_nothing,
}


@pytest.mark.parametrize('take_away', MISSING.values(), ids=MISSING)
def test_large_photo_where_it_cannot_be_measured(monkeypatch, restorer, take_away):
    take_away(monkeypatch)
    image = np.random.default_rng(0).integers(0, 256, (300, 280, 3), np.uint8)
    with pytest.warns(UserWarning, match='not tell how much memory a network takes'):
        restored = restore(image, restorer, dtype='float32')
    np.testing.assert_array_equal(restored, image)
    assert tile_size._measured[restorer] == {(CPU, 'float32'): memory.UNKNOWN_PER_PIXEL}
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # it is said once
        restore(image, restorer, dtype='float32')
        memory.bytes_per_pixel(restorer, CPU, 'bfloat16')


def test_large_photo_where_free_memory_is_not_told(monkeypatch, restorer):
    def refuse():
        raise FileNotFoundError(2, 'No such file or directory', '/proc/meminfo')

    monkeypatch.setattr(psutil, 'virtual_memory', refuse)
    monkeypatch.setattr(memory, '_PROCESS', Path('/nowhere'))
    with pytest.warns(
        UserWarning, match='how much memory is free: reckoning with 4 GB'
    ):
        assert memory.free_memory(CPU) == 4e9
    image = np.random.default_rng(0).integers(0, 256, (300, 280, 3), np.uint8)
    np.testing.assert_array_equal(restore(image, restorer), image)


@pytest.mark.parametrize('version', [1, 2])
def test_memory_of_a_container(tmp_path, monkeypatch, version):
    v2 = version == 2
    process, groups = tmp_path / 'proc', tmp_path / 'groups'
    group = groups / ('' if v2 else 'memory') / 'box' / 'inner'
    group.mkdir(parents=True)
    process.mkdir()
    line = '0::/box/inner' if v2 else '9:cpu,memory:/box/inner'
    (process / 'cgroup').write_text(f'12:pids:/\n{line}\n')
    names = ('max', 'current') if v2 else ('limit_in_bytes', 'usage_in_bytes')
    limit, used = (f'memory.{name}' for name in names)
    # The outer one has the limit; the inner has none, or one that is larger.
    for place, most in ((group, 'max' if v2 else str(2**62)), (group.parent, '3000')):
        (place / limit).write_text(f'{most}\n')
        (place / used).write_text('2500\n')
        key = 'inactive_file' if v2 else 'total_inactive_file'
        (place / 'memory.stat').write_text(f'anon 1\n{key} 500\n')
    monkeypatch.setattr(memory, '_PROCESS', process)
    monkeypatch.setattr(memory, '_CGROUPS', groups)
    assert memory.free_memory(CPU) == 1000
    (group.parent / 'memory.stat').unlink()
    assert memory.free_memory(CPU) == 500
    # What makes no sense is no limit.
    (group.parent / limit).write_text('a lot\n')
    free = memory.free_memory(CPU)
    assert free == pytest.approx(psutil.virtual_memory().available, rel=0.2)
