import os
from importlib import import_module
from unittest import mock

import pytest
import torch

if not torch.cuda.is_available():
    # Triton reads this when it is imported, and runs kernels on CPU tensors then.
    os.environ['TRITON_INTERPRET'] = '1'

from mmengine.config import DictAction
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.runner import CheckpointLoader

import mmagic_inik  # noqa: F401
from mmagic_inik import data_variables

# Tests run on two processes; threads of tiny convolutions would wait for one another.
torch.set_num_threads(1)


def pytest_collection_modifyitems(config, items):
    """Leave out what takes minutes, but list it, unless it is asked for."""
    if 'slow' not in config.option.markexpr:
        left_out = pytest.mark.skip(reason='takes minutes; pytest -m slow runs it')
        for item in items:
            if 'slow' in item.keywords:
                item.add_marker(left_out)


@pytest.fixture(autouse=True)
def mmagic_scope():
    """MMagic's scope, as its tools set it, and no run's leftovers."""
    for manager in (DefaultScope, MMLogger, MessageHub):
        manager._instance_dict.clear()
    init_default_scope('mmagic')
    # The tools set variables for their process, which here is the tests'.
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(autouse=True)
def mmengine_as_it_was(monkeypatch):
    """What the tools change of mmengine for their process ends with the test."""
    # Setting what is there lets monkeypatch put it back.
    monkeypatch.setattr(CheckpointLoader, '_schemes', CheckpointLoader._schemes.copy())
    monkeypatch.setattr(DictAction, '__call__', DictAction.__call__)
    with mock.patch.dict(data_variables._scope):
        yield


@pytest.fixture(autouse=True)
def fast_forms_at_any_size(monkeypatch):
    """Convolutions take their fast form for the small images of tests, too."""
    # In `ops` the function of that name hides the module.
    module = import_module('mmagic_inik.ops.reflect_conv')
    monkeypatch.setattr(module, '_LEAST_PIXELS', 0)
