"""What a training goes on from elsewhere, small enough for a repository."""

from copy import copy

import torch
from torch import Tensor


def small_state(checkpoint: dict) -> dict:
    """Keep of a checkpoint what going on from it needs.

    The weights stay in float32. Their averages, which start anew from them within some
    hundred iterations, are in float16, Adam's mean squares in bfloat16, whose range is
    that of float32; Adam's mean gradients, the memory of ten iterations, begin at zero.
    Eight bytes a parameter are left of sixteen, and ``--resume`` with
    ``load_from=STATE`` takes them as it takes the checkpoint.

    Args:
        checkpoint (dict): Of a training with ``EMAHook`` and Adam, as mmengine saves
            it: averages in ``state_dict``, weights in ``ema_state_dict``.

    Returns:
        dict: The same keys.

    Raises:
        KeyError: If the checkpoint is without averages or optimizer.

    Example:
        >>> import torch
        >>> moments = dict(step=7, exp_avg=torch.ones(9), exp_avg_sq=torch.ones(9))
        >>> small = small_state(
        ...     dict(
        ...         state_dict=dict(w=torch.ones(9)),
        ...         ema_state_dict={'module.w': torch.ones(9)},
        ...         optimizer=dict(state={0: moments}, param_groups=[]),
        ...     )
        ... )
        >>> small['state_dict']['w'].dtype, small['optimizer']['state'][0]['step']
        (torch.float16, 7)
    """
    small = dict(checkpoint)
    small['state_dict'] = {k: _half(t) for k, t in checkpoint['state_dict'].items()}
    small['ema_state_dict'] = dict(checkpoint['ema_state_dict'])
    optimizer = copy(checkpoint['optimizer'])
    optimizer['state'] = {
        number: {key: _small_moment(key, value) for key, value in moments.items()}
        for number, moments in optimizer['state'].items()
    }
    small['optimizer'] = optimizer
    return small


def _half(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def _small_moment(key: str, value: Tensor | int) -> Tensor | int:
    if not isinstance(value, Tensor):
        return value
    if key == 'exp_avg':
        # One element is stored. Of another type than the weights', so that the
        # optimizer makes a tensor of its own of it.
        return torch.zeros(1, dtype=torch.bfloat16).expand(value.shape)
    return value.bfloat16() if key == 'exp_avg_sq' else value
