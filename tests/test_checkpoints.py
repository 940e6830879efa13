import builtins
import os
import pickle
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


@pytest.mark.parametrize('cut', [0, 10, 200])
def test_cut_off_files_are_named(tmp_path, cut):
    path = tmp_path / 'cut.pth'
    torch.save({'w': torch.ones(100)}, path)
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


def test_fitting_weights_pass_and_stored_code_is_dropped():
    model = torch.nn.Linear(4, 3)
    weights = {f'module.{k}': v for k, v in model.state_dict().items()}
    checkpoint = {'state_dict': weights, 'meta': {'config': 'import os', 'iter': 3}}
    load_into(model, checkpoint)
    # mmengine would run this text as Python when it resumes.
    assert checkpoint['meta'] == {'iter': 3}
