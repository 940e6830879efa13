import pytest
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope, init_default_scope

import mmagic_inik  # noqa: F401


@pytest.fixture(autouse=True)
def mmagic_scope():
    """MMagic's scope, as its tools set it, and no run's leftovers."""
    for manager in (DefaultScope, MMLogger, MessageHub):
        manager._instance_dict.clear()
    init_default_scope('mmagic')
