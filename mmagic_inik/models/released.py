"""Weights of the authors' implementation, carried over to ours.

A released checkpoint is a plain state dict. Three things differ from ours: names, one
MLP per atom where ours are stacked, and colour order: it was trained on BGR images.
Reversing the colour index where it occurs makes it the same network on RGB.
"""

import re

import torch
from torch import Tensor, nn

from ..errors import InputError

# Our names on the left, as patterns. In an ordered scale list finest first, theirs
# runs right to left from fine to coarse.
_NAMES = (
    (r'backbone\.downs\.(\d)', r'unet.feat_extract.\1.main.0'),
    (r'backbone\.merges\.1', r'unet.feat_extract.3.main.0'),
    (r'backbone\.merges\.0', r'unet.feat_extract.4.main.0'),
    (r'backbone\.ups\.1', r'unet.up1.main.0'),
    (r'backbone\.ups\.0', r'unet.up2.main.0'),
    (r'backbone\.encoders\.(\d)', r'unet.Encoder.\1.layers'),
    (r'backbone\.decoders\.1', r'unet.Decoder.0.layers'),
    (r'backbone\.decoders\.0', r'unet.Decoder.1.layers'),
    (r'size_neck', r'lstms_scale_select'),
    (r'shape_neck', r'lstms_basis_select'),
    (r'\.norm\.', r'.norm.norm.'),
    (r'fine_to_coarse', r'right2left.cell'),
    (r'coarse_to_fine', r'left2right.cell'),
    (r'cell\.blocks', r'cell.layers.layers'),
    (r'cell\.gates', r'cell.conv'),
    (r'\.conv1\.', r'.main.0.main.0.'),
    (r'\.conv2\.', r'.main.1.main.0.'),
    (r'head\.size_predictor', r'scale_select'),
    (r'head\.shape_predictor', r'basis_select'),
    (r'head\.mixing', r'sum.weight'),
    (r'head\.bias', r'sum.bias'),
)
# An atom's MLP; both sines share one frequency, which is stored twice.
_ATOM_NAMES = {
    'frequency': ('layers.1.w0', 'layers.3.w0'),
    'weight1': ('layers.0.weight',),
    'bias1': ('layers.0.bias',),
    'weight2': ('layers.2.weight',),
    'bias2': ('layers.2.bias',),
    'weight3': ('layers.4.weight',),
}
# Dimensions that count colours.
_COLOR_DIMS = {
    'backbone.downs.0.weight': (1,),
    'head.mixing': (0, 2),
    'head.bias': (0,),
}


def convert_released(
    released: dict[str, Tensor], network: nn.Module
) -> dict[str, Tensor]:
    """Turn a released state dict into one of ``network`` for RGB images.

    The result restores RGB images to exactly what the original restores of their BGR
    versions: ours(x) = flip(released(flip(x))), flip reversing the colours.

    Args:
        released (dict[str, Tensor]): Plain state dict with the authors' names.
        network (INIKNet): Network of the ``released`` form, which gives names and
            shapes; it is not changed.

    Returns:
        dict[str, Tensor]: Loads strictly into ``network``.

    Raises:
        InputError: Names every missing, unknown or misshapen key.
    """
    ours = network.state_dict()
    sources = {name: _released_names(name, ours[name]) for name in ours}
    wanted = {name for names in sources.values() for name in names}
    problems = [f'{name} is missing' for name in sorted(wanted - released.keys())]
    problems += [f'{name} is unknown' for name in sorted(released.keys() - wanted)]
    converted = {}
    for name, names in sources.items():
        if not released.keys() >= set(names):
            continue
        expected = _released_shape(name, ours[name])
        misshapen = [n for n in names if tuple(released[n].shape) != expected]
        problems += [
            f'{n} has shape {tuple(released[n].shape)}, not {expected}'
            for n in misshapen
        ]
        if misshapen:
            continue
        if name.endswith('.frequency'):
            problems += [
                f'{first} and {second} differ, but are one parameter'
                for first, second in zip(names[::2], names[1::2], strict=True)
                if not torch.equal(released[first], released[second])
            ]
            names = names[::2]
        stacked = torch.stack([released[n] for n in names])
        tensor = stacked.reshape(ours[name].shape).to(ours[name].dtype)
        converted[name] = tensor.flip(_COLOR_DIMS.get(name, ()))
    if problems:
        raise InputError('not a released INIKNet of this size: ' + '; '.join(problems))
    return converted


def _released_names(name: str, tensor: Tensor) -> list[str]:
    if name.startswith('head.atom_bank.'):
        parts = _ATOM_NAMES[name.rsplit('.', 1)[1]]
        return [
            f'inr_conv.kernelINR_list.{n}.{part}'
            for n in range(len(tensor))
            for part in parts
        ]
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    return [name]


def _released_shape(name: str, tensor: Tensor) -> tuple[int, ...]:
    if name.startswith('head.atom_bank.'):
        return tuple(tensor.shape[1:])
    if name == 'head.mixing':
        return (len(tensor), tensor[0].numel(), 1, 1)
    return tuple(tensor.shape)
