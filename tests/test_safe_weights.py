"""Weights as .safetensors: the same numbers, wherever a checkpoint is taken."""

import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open

from mmagic_inik.checkpoints import load_checkpoint_file, load_weights
from mmagic_inik.errors import InputError
from mmagic_inik.export import export
from mmagic_inik.models import Restorer
from mmagic_inik.models.build import build_part
from mmagic_inik.restoration import load_restorer, shipped
from mmagic_inik.safe_weights import safetensors_of

SAFE = shipped.WEIGHTS.with_suffix('.safetensors')


def test_shipped_ones_are_those_of_the_pth():
    ours = shipped.load_shipped(SAFE).state_dict()
    torch.testing.assert_close(ours, load_restorer().state_dict(), rtol=0, atol=0)
    card = shipped.read_card(shipped.WEIGHTS)
    loaded = load_checkpoint_file(str(SAFE))
    assert loaded.path == str(SAFE)
    assert loaded['meta'] == dict(iter=card['iterations'])
    assert loaded['card']['generator'] == card['generator']


def test_shipped_ones_are_checked_against_the_card(tmp_path):
    for suffix in ('.safetensors', '.json'):
        content = shipped.WEIGHTS.with_suffix(suffix).read_bytes()
        (tmp_path / 'mine').with_suffix(suffix).write_bytes(content)
    copy = tmp_path / 'mine.safetensors'
    shipped.load_shipped(copy)
    copy.write_bytes(copy.read_bytes()[:-2] + b'..')
    with pytest.raises(InputError, match='not the file that its card mine.json'):
        shipped.load_shipped(copy)


def test_converted_checkpoint_loads_into_its_network(tmp_path):
    path = tmp_path / 'there and back.safetensors'
    export('shipped', path)
    with safe_open(path, 'np') as file:
        name = 'generator.head.mixing'
        expected = load_restorer().generator.head.mixing.detach().numpy()
        np.testing.assert_array_equal(file.get_tensor(name), expected)
        assert file.metadata()['format'] == 'pt'
    card = shipped.read_card(shipped.WEIGHTS)
    restorer = Restorer(build_part(card['generator']))
    loaded = load_weights(restorer, str(path))
    assert loaded['card']['remarks'] == card['remarks']
    torch.testing.assert_close(
        restorer.state_dict(), load_restorer().state_dict(), rtol=0, atol=0
    )


def test_what_is_damaged_or_too_large_is_refused(tmp_path):
    path = tmp_path / 'damaged.safetensors'
    path.write_bytes(SAFE.read_bytes()[:1000])
    with pytest.raises(InputError, match='damaged.safetensors is refused: it is dam'):
        load_checkpoint_file(str(path))
    with pytest.raises(InputError, match='gone.safetensors does not exist'):
        load_checkpoint_file(str(tmp_path / 'gone.safetensors'))
    with pytest.raises(InputError, match='weight a is more than float16 can hold'):
        safetensors_of(dict(a=torch.tensor([1e5])), {}, 'float16')
    counts = dict(n=torch.tensor(3))
    path.write_bytes(safetensors_of(counts, {}, 'float16'))
    assert load_checkpoint_file(str(path))['state_dict'] == counts


def test_without_the_package_a_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, 'safetensors', None)
    monkeypatch.delitem(sys.modules, 'safetensors.torch', raising=False)
    with pytest.raises(InputError, match='the package safetensors is needed to read'):
        load_checkpoint_file(str(SAFE))
