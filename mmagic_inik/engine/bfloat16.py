"""Training in bfloat16 on any device."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmagic.registry import OPTIM_WRAPPERS
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.runner.amp import autocast
from torch import nn

from ..ops.processor import say_if_slow


@OPTIM_WRAPPERS.register_module()
class Bfloat16OptimWrapper(OptimWrapper):
    """Runs the forward pass under autocast in bfloat16, on CPUs, too.

    mmengine's ``AmpOptimWrapper``, which ``--amp`` asks for, wants a GPU and scales
    losses against the underflow of float16; bfloat16 has the range of float32 and needs
    none. Weights, their gradients and the optimizer stay in float32. A processor that
    is no faster in bfloat16 is told of once; ``model.train_cfg.dtype=auto`` takes what
    is faster.

    Args:
        **kwargs: As of mmengine's ``OptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """The context of a training step's forward pass.

        Args:
            model (nn.Module): What is trained.
        """
        device = next(model.parameters()).device
        say_if_slow('bfloat16', device, _warn)
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield


def _warn(sentence: str) -> None:
    print_log(sentence, logger='current', level=logging.WARNING)
