"""The network's parts, which MMagic's MODELS gets as well; torch is all they need.

``MultiScaleRestorer`` is not among them, since it needs all of MMagic.
"""

from . import peers
from .ablation_banks import MatrixAtomBank, PerSizeINRAtomBank
from .atom_banks import INRAtomBank
from .conv_neck import ConvNeck
from .duplex_conv_lstm import ConvLSTMCell, DuplexConvLSTM
from .iniknet import INIKNet
from .inverse_filter_head import InverseFilterHead
from .prediction import Restorer
from .tapped_backbone import TappedBackbone
from .unet import UNet
from .unidirectional import UnidirectionalConvLSTM, UnidirectionalINIKNet

__all__ = [
    'ConvLSTMCell',
    'ConvNeck',
    'DuplexConvLSTM',
    'INIKNet',
    'INRAtomBank',
    'InverseFilterHead',
    'MatrixAtomBank',
    'PerSizeINRAtomBank',
    'Restorer',
    'TappedBackbone',
    'UNet',
    'UnidirectionalConvLSTM',
    'UnidirectionalINIKNet',
    'peers',
]
