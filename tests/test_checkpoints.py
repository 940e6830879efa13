import builtins
import datetime
import os
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader, _load_checkpoint

from mmagic_inik.engine import StrictCheckpointHook, load_checkpoint_file
from mmagic_inik.errors import InputError


def history():
    buffer = HistoryBuffer()
    buffer.update(np.float64(1.5))
    buffer.update(2)
    return buffer


@pytest.mark.parametrize('core', [b'core', b'_core'], ids=['NumPy 1', 'NumPy 2'])
def test_checkpoints_travel_between_numpy_versions(tmp_path, core):
    path = tmp_path / 'iter_1.pth'
    content = {'lr': np.float64(0.5), 'history': np.arange(3)}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    written = path.read_bytes()
    assert b'numpy.core.multiarray' in written
    path.write_bytes(written.replace(b'numpy.core.', b'numpy.' + core + b'.'))
    loaded = load_checkpoint_file(str(path))
    assert loaded['lr'] == 0.5
    assert loaded['history'].tolist() == [0, 1, 2]


class Code:
    """Pickles as a call that leaves a trace."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_loads_what_mmengine_writes(tmp_path):
    path = tmp_path / 'iter_1.pth'
    content = {
        'state_dict': {'w': torch.ones(2)},
        'message_hub': {'log_scalars': {'train/loss': history()}},
        'meta': {'iter': 1, 'seed': np.int64(3), 'lr': np.float32(0.5)},
    }
    torch.save(content, path)
    for load in (
        load_checkpoint_file,
        _load_checkpoint,
        CheckpointLoader.load_checkpoint,
    ):
        loaded = load(str(path))
        buffer = loaded['message_hub']['log_scalars']['train/loss']
        assert buffer.mean() == 1.75
        assert buffer.statistics('max') == 2
        assert loaded['meta'] == content['meta']


def payloads(trace):
    def chain(*names):
        """One getattr after the other, starting at a class that is let through."""
        target = HistoryBuffer
        for name in names[:-1]:
            target = Code(getattr, target, name)
        return Code(getattr, target, names[-1])

    return {
        'system': Code(os.system, f'touch {trace}'),
        'eval': Code(builtins.eval, f"open({str(trace)!r}, 'w')"),
        'getattr': chain('__init__', '__globals__'),
    }


@pytest.mark.parametrize('name', ['system', 'eval', 'getattr'])
@pytest.mark.parametrize('save', [torch.save, None], ids=['zip', 'plain pickle'])
def test_code_is_refused_and_not_executed(tmp_path, name, save):
    path, trace = tmp_path / 'bad.pth', tmp_path / 'trace'
    content = {'state_dict': {'w': payloads(trace)[name]}}
    if save:
        save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(InputError, match=f'checkpoint {path} is refused: it holds '):
        load_checkpoint_file(str(path))
    assert not trace.exists()


def test_code_would_run_without_the_guard(tmp_path):
    """The payloads above are live, so that the test above means something."""
    path, trace = tmp_path / 'bad.pth', tmp_path / 'trace'
    torch.save(payloads(trace)['system'], path)
    torch.load(path, weights_only=False)
    assert trace.exists()


@pytest.mark.parametrize('cut', [0, 10, 200, 20000])
def test_cut_off_files_are_named(tmp_path, cut):
    path = tmp_path / 'cut.pth'
    torch.save({'w': torch.ones(10000)}, path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=f'{path} is refused: it is damaged'):
        load_checkpoint_file(str(path))


@pytest.mark.parametrize('text', ['# A README\n', 'not a checkpoint', '{}'])
def test_text_is_no_checkpoint(tmp_path, text):
    path = tmp_path / 'notes.pth'
    path.write_text(text)
    with pytest.raises(InputError, match=f'{path} is refused: it is damaged or no'):
        load_checkpoint_file(str(path))


def test_other_files_are_named(tmp_path):
    path = tmp_path / 'list.pth'
    with pytest.raises(InputError, match=f'{path} does not exist'):
        load_checkpoint_file(str(path))
    torch.save([1], path)
    with pytest.raises(InputError, match=f'{path} holds a list, not a dict'):
        load_checkpoint_file(str(path))


def dtypes():
    codes = [code for code in np.typecodes['All'] if code not in 'OVSUMm']
    values = {np.dtype(code).name: np.ones(2, code) for code in codes}
    return values | {
        'text': np.array(['a', 'bc']),
        'bytes': np.array([b'a', b'bc']),
        'time': np.array(['2023-10-02'], 'datetime64[D]'),
        'big-endian': np.ones(2, '>f4'),
        'empty': np.empty((0, 3), np.float32),
    }


@pytest.mark.parametrize('name', dtypes())
@pytest.mark.parametrize('new_format', [True, False], ids=['zip', 'old'])
def test_numbers_of_numpy_are_data(tmp_path, name, new_format):
    path, array = tmp_path / 'iter_1.pth', dtypes()[name]
    content = dict(array=array, scalar=array[0] if array.size else np.float32(1))
    torch.save(content, path, _use_new_zipfile_serialization=new_format)
    loaded = load_checkpoint_file(str(path))
    native = array.astype(array.dtype.newbyteorder('='))
    np.testing.assert_array_equal(loaded['array'], native, strict=True)
    assert loaded['scalar'] == content['scalar']
    assert type(loaded['scalar']) is type(content['scalar'])


@pytest.mark.parametrize(
    ('value', 'held'),
    [
        (np.array([{}, 1], dtype=object), r'numpy\S*ObjectDType'),
        (np.zeros(2, [('a', 'f4')]), r'numpy\S*VoidDType'),
        (datetime.date(2023, 10, 2), 'datetime.date'),
        (Path('x'), 'pathlib.PosixPath'),
        (torch.nn.Linear(1, 1), 'torch.nn.modules.linear.Linear'),
    ],
    ids=['objects', 'records', 'date', 'path', 'network'],
)
def test_what_is_no_data_is_named(tmp_path, value, held):
    path = tmp_path / 'iter_1.pth'
    torch.save(dict(epoch=value), path)
    with pytest.raises(InputError, match=f'{path} is refused: it holds {held}, and'):
        load_checkpoint_file(str(path))


@pytest.fixture
def good(tmp_path):
    path = tmp_path / 'good.pth'
    torch.save({'w': torch.ones(2)}, path)
    return path


def test_environment_that_forbids_loading_is_named(good, monkeypatch):
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    assert 'w' in load_checkpoint_file(str(good))
    monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '1')
    with pytest.raises(InputError, match='unset TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'):
        load_checkpoint_file(str(good))


@pytest.mark.parametrize('place', ['cuda:99', 'mps', 'elsewhere'])
def test_device_that_is_not_here_is_named(good, place):
    match = f"good.pth cannot be loaded with map_location='{place}' on this .*'cpu'"
    with pytest.raises(InputError, match=match):
        load_checkpoint_file(str(good), place)


@pytest.mark.parametrize(
    ('error', 'said'),
    [
        (PermissionError(13, 'Permission denied'), r'cannot be read \(Permission den'),
        (OSError(5, 'Input/output error'), r'cannot be read \(Input/output error\)'),
        (MemoryError(), 'does not fit the memory .MemoryError.; free some'),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"),
            "does not fit the memory .DefaultCPUAllocator: can't allocate",
        ),
        (torch.OutOfMemoryError('CUDA out of memory. Tried 9'), 'not fit the memory'),
        (RuntimeError('PytorchStreamReader failed'), 'damaged .* .RuntimeError: Pytor'),
    ],
)
def test_causes_beside_damage_are_said(good, monkeypatch, error, said):
    def load(*args, **kwargs):
        raise error

    monkeypatch.setattr(torch, 'load', load)
    with pytest.raises(InputError, match=f'{good} .*{said}'):
        load_checkpoint_file(str(good))


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read every file')
def test_files_that_may_not_be_read_are_named(good):
    good.chmod(0)
    with pytest.raises(InputError, match=f'{good} cannot be read .Permission denied'):
        load_checkpoint_file(str(good))


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(InputError, match=f'{tmp_path} is a folder; name a file'):
        load_checkpoint_file(str(tmp_path))


def test_loading_checkpoints_of_others_stays_mmengines(tmp_path):
    """Importing the package changes nothing of it."""
    load = CheckpointLoader.load_checkpoint
    torch.save([1, 2], tmp_path / 'list.pth')
    assert load(str(tmp_path / 'list.pth')) == [1, 2]
    torch.save(torch.nn.BatchNorm2d(1).state_dict(), tmp_path / 'bare.pth')
    bare = load(str(tmp_path / 'bare.pth'))
    assert bare._metadata['']['version'] == 2
    with pytest.raises(FileNotFoundError):
        load(str(tmp_path / 'absent.pth'))


def test_versions_of_layers_are_kept(tmp_path):
    path = tmp_path / 'bare.pth'
    torch.save(torch.nn.BatchNorm2d(1).state_dict(), path)
    assert load_checkpoint_file(str(path))._metadata['']['version'] == 2


def load_into(model, checkpoint):
    StrictCheckpointHook().after_load_checkpoint(
        SimpleNamespace(model=model), checkpoint
    )


def test_weights_of_another_network_are_named(tmp_path):
    path = tmp_path / 'other.pth'
    torch.save({'weight': torch.ones(3, 2), 'scale': torch.ones(1)}, path)
    with pytest.raises(InputError) as caught:
        load_into(torch.nn.Linear(4, 3), load_checkpoint_file(str(path)))
    message = str(caught.value)
    assert f'checkpoint {path} is of another network' in message
    assert 'bias is missing' in message
    assert 'scale is unknown' in message
    assert 'weight has shape (3, 2), not (3, 4)' in message


def test_long_lists_are_cut():
    with pytest.raises(InputError, match='and 96 more'):
        load_into(torch.nn.Linear(1, 1), {str(n): torch.ones(1) for n in range(100)})


@pytest.mark.parametrize(
    ('weights', 'said'),
    [
        ({'weight': 'text', 'bias': torch.ones(1)}, 'weight is a str, not a tensor'),
        ({'weight': torch.ones(1, 1), 'bias': [1.0]}, 'bias is a list, not a tensor'),
        (
            {'weight': torch.ones(1, 1), 'bias': torch.ones(1, dtype=torch.int64)},
            'bias is of torch.int64, not torch.float32',
        ),
        ({3: torch.ones(1)}, 'has weights under 3, which is no name'),
        ({'state_dict': None}, 'has a state_dict that is a NoneType'),
        ({'state_dict': [torch.ones(1)]}, 'has a state_dict that is a list'),
    ],
)
def test_what_is_no_state_dict_is_named(weights, said):
    with pytest.raises(InputError, match=said):
        load_into(torch.nn.Linear(1, 1), weights)


@pytest.mark.parametrize('meta', [None, 'text', {}, []])
def test_a_checkpoint_without_meta_is_weights_and_no_more(meta):
    model = torch.nn.Linear(1, 1)
    checkpoint = dict(state_dict=model.state_dict(), meta=meta)
    load_into(model, checkpoint)
    with pytest.raises(InputError, match='no state of a training '):
        StrictCheckpointHook().after_load_checkpoint(
            SimpleNamespace(model=model, _resume=True), checkpoint
        )


def test_bare_weights_are_put_where_hooks_of_mmengine_look():
    model = torch.nn.Linear(1, 1)
    checkpoint = model.state_dict()
    load_into(model, checkpoint)
    assert checkpoint.keys() == {'state_dict'}
    assert checkpoint['state_dict'].keys() == {'weight', 'bias'}


def test_fitting_weights_pass_and_stored_code_is_dropped():
    model = torch.nn.Linear(4, 3)
    weights = {f'module.{k}': v for k, v in model.state_dict().items()}
    checkpoint = {'state_dict': weights, 'meta': {'config': 'import os', 'iter': 3}}
    load_into(model, checkpoint)
    # mmengine would run this text as Python when it resumes.
    assert checkpoint['meta'] == {'iter': 3}
