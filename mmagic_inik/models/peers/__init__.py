"""The other systems of the paper's Table 1 and two successors, one a file.

Each is a registered generator, (B, 3, H, W) RGB in [0, 1] → the same, of any size.
"""

from .aifnet import AIFNet
from .convir import ConvIR
from .dpdnet import DPDNet
from .drbnet import DRBNet
from .gkmnet import GKMNet
from .ifan import IFAN
from .kpac import KPAC
from .mdp import MDP
from .mprnet import MPRNet
from .nrknet import NRKNet
from .reblurring import ReblurNet

__all__ = [
    'IFAN',
    'KPAC',
    'MDP',
    'AIFNet',
    'ConvIR',
    'DPDNet',
    'DRBNet',
    'GKMNet',
    'MPRNet',
    'NRKNet',
    'ReblurNet',
]
