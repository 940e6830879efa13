"""Training in bfloat16 on any device."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmagic.registry import OPTIM_WRAPPERS
from mmengine.optim import OptimWrapper
from mmengine.runner.amp import autocast
from torch import nn


@OPTIM_WRAPPERS.register_module()
class Bfloat16OptimWrapper(OptimWrapper):
    """Runs the forward pass under autocast in bfloat16, on CPUs, too.

    mmengine's ``AmpOptimWrapper``, which ``--amp`` asks for, wants a GPU and scales
    losses against the underflow of float16; bfloat16 has the range of float32 and needs
    none. Weights, their gradients and the optimizer stay in float32.

    Args:
        **kwargs: As of mmengine's ``OptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """The context of a training step's forward pass.

        Args:
            model (nn.Module): What is trained.
        """
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield
