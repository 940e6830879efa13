"""Many photos, some of which fail."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mmagic_inik.errors import InputError
from mmagic_inik.models import Restorer
from mmagic_inik.restoration import batch, encoding, make_plan, restore_all


class Picky(nn.Module):
    """Takes no image below some size, as windows of attention do."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, image):
        if min(image.shape[-2:]) < 8:
            raise RuntimeError('Padding size should be less than\nthe input dimension')
        return self.weight * image


@pytest.fixture
def restorer():
    return Restorer(Picky(), 1, min_size=1).eval()


@pytest.fixture
def photos(tmp_path):
    """Three, of which the second is too small for the network."""
    for name, size in (('1.png', 20), ('2.png', 3), ('3.png', 20)):
        Image.new('RGB', (size, size)).save(tmp_path / name)
    return [tmp_path / f'{n}.png' for n in (1, 2, 3)]


def run(photos, restorer, out, force=False):
    return restore_all(
        make_plan(photos, out, force).jobs, restorer, 'auto', 64, 'float32'
    )


def test_an_error_on_one_photo_leaves_the_others(tmp_path, photos, restorer, capsys):
    assert run(photos, restorer, tmp_path / 'out') == 2
    assert sorted(os.listdir(tmp_path / 'out')) == ['1.png', '3.png']
    said = capsys.readouterr().err
    assert f'{photos[1]} cannot be restored (Padding size should be less than);' in said
    assert 'Traceback' not in said


@pytest.mark.parametrize(
    'error', [ValueError(), KeyError('k'), OSError(5, 'Input/output error')], ids=str
)
def test_whatever_is_raised(tmp_path, photos, restorer, capsys, error, monkeypatch):
    opened = batch.open_photo

    def refuse(path):
        if path == photos[1]:
            raise error
        return opened(path)

    monkeypatch.setattr(batch, 'open_photo', refuse)
    assert run(photos, restorer, tmp_path / 'out') == 2
    assert f'{photos[1]} cannot be restored (' in capsys.readouterr().err


def test_a_device_that_is_gone_ends_it(tmp_path, photos, restorer, monkeypatch):
    # Every call of a GPU fails after an illegal access.
    gone = RuntimeError('CUDA error: an illegal memory access was encountered')

    def refuse(*args, **kwargs):
        raise gone

    monkeypatch.setattr(restorer.generator, 'forward', refuse)
    monkeypatch.setattr(torch, 'ones', refuse)
    with pytest.raises(
        InputError, match='cpu works no more; the photos written so far'
    ):
        run(photos, restorer, tmp_path / 'out')


def test_interruption_is_no_error_of_a_photo(tmp_path, photos, restorer, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(restorer.generator, 'forward', interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(photos, restorer, tmp_path / 'out')


def test_time_and_permissions_stay(tmp_path, photos, restorer):
    os.utime(photos[0], ns=(10**18, 1_111_111_111_222_333_444))
    photos[0].chmod(0o440)
    photos[2].chmod(0o664)
    assert run(photos, restorer, tmp_path / 'out') == 2
    first, last = ((tmp_path / 'out' / f'{n}.png').stat() for n in (1, 3))
    assert first.st_mtime_ns == 1_111_111_111_222_333_444
    assert first.st_mode & 0o777 == 0o440
    assert last.st_mode & 0o777 == 0o664
    # A result that may not be written to is replaced like any other.
    assert run(photos, restorer, tmp_path / 'out', force=True) == 2


def test_a_file_system_that_keeps_no_permissions(
    tmp_path, photos, restorer, capsys, monkeypatch
):
    def refuse(source, target):
        raise PermissionError(1, 'Operation not permitted')

    monkeypatch.setattr(encoding.shutil, 'copystat', refuse)
    assert run(photos[:1], restorer, tmp_path / 'out') == 1
    assert 'its time and permissions cannot be kept there.' in capsys.readouterr().err
    with Image.open(tmp_path / 'out' / '1.png') as image:
        np.testing.assert_array_equal(np.asarray(image), np.zeros((20, 20, 3)))
    assert not list(Path(tmp_path / 'out').glob('.*'))
