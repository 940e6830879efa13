"""Weights made by a formula, as those of the peers' golden values.

The values in tests/data/peers come from the original networks with these weights; the
names there are those of published checkpoints. Images are every fifth row and column,
large stacks of maps every fourth.
"""

import re
from pathlib import Path

import numpy as np
import torch

DATA = Path(__file__).parent / 'data' / 'peers'


def golden(name):
    return dict(np.load(DATA / f'{name}.npz'))


def image():
    """What every golden file was made of, (1, 3, 96, 128)."""
    k = np.arange(3 * 96 * 128)
    values = (0.5 + 0.5 * np.sin(0.013 * k)).astype(np.float32)
    return torch.from_numpy(values.reshape(1, 3, 96, 128))


def listed(file, prefix=''):
    """Names and shapes of a file's state dict, in order."""
    names, shapes = file[f'{prefix}state_names'], file[f'{prefix}state_shapes']
    return [
        (str(name), tuple(map(int, re.findall(r'\d+', str(shape)))))
        for name, shape in zip(names, shapes, strict=True)
    ]


def weights(names_and_shapes, gain, special=lambda name, v: None):
    """The chirp of the specifications; ``special`` may give a tensor other values."""
    state = {}
    for i, (name, shape) in enumerate(names_and_shapes):
        if name.endswith('num_batches_tracked'):
            state[name] = torch.tensor(0)
            continue
        j = np.arange(np.prod(shape, dtype=int))
        v = 0.5 * np.sin(0.37 * i + 0.011 * (j * j % 1000003))
        values = special(name, v)
        if values is None:
            fan = len(j) / shape[0]
            values = gain * v / np.sqrt(fan) if len(shape) > 1 else 0.05 * v
        array = np.asarray(values).astype(np.float32).reshape(shape)
        state[name] = torch.from_numpy(array)
    return state


def of_norms(name, v):
    """Values of a batch or instance norm's one-dimensional tensors."""
    if name.endswith('running_var'):
        return 1 + 0.1 * abs(v)
    is_norm = re.search(r'(bn|APU.conv.main.1|SCM\d.main.4)\.weight$', name)
    return 1 + 0.1 * v if is_norm else None


def close(ours, theirs, relative=1.0):
    """Whether ours, thinned as the file, are within 1e-4."""
    ours = ours.detach().numpy()
    if ours.shape[-1] != theirs.shape[-1]:
        ours = ours[..., ::5, ::5]
    if ours.shape[1] != theirs.shape[1]:
        ours = ours[:, ::4]
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * relative, rtol=0)
    return True
