"""The network's parts, registered in MMagic's MODELS.

``MultiScaleRestorer`` is imported by the package itself, since it needs all of MMagic.
"""

from .atom_banks import INRAtomBank
from .duplex_conv_lstm import ConvLSTMCell, DuplexConvLSTM
from .iniknet import INIKNet
from .inverse_filter_head import InverseFilterHead
from .unet import UNet

__all__ = [
    'ConvLSTMCell',
    'DuplexConvLSTM',
    'INIKNet',
    'INRAtomBank',
    'InverseFilterHead',
    'UNet',
]
