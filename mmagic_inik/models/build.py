"""Parts are given as configs or as modules."""

from mmagic.registry import MODELS
from torch import nn


def build_part(part: dict | nn.Module) -> nn.Module:
    """Build a config; pass a built module on.

    Building a config imports all of ``mmagic.models``; modules also serve where only
    torch, mmengine and mmcv-lite are installed.
    """
    return MODELS.build(part) if isinstance(part, dict) else part
