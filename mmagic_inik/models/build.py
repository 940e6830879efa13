"""Parts are given as configs or as modules."""

from typing import Any

from torch import nn

from ..registry import MODELS


def build_part(part: dict | nn.Module) -> Any:
    """Build a config; pass a built module on.

    Args:
        part (dict | nn.Module): ``type`` names one of our parts, or of MMagic's, which
            imports all of ``mmagic.models``.

    Returns:
        nn.Module: The part, of the class that its config names.

    Raises:
        MissingPackageError: If it is one of MMagic's, which is not installed.
    """
    return MODELS.build(part) if isinstance(part, dict) else part
