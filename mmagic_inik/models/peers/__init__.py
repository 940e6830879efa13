"""The other systems of the paper's Table 1 and two successors, one a file.

Each is a registered generator, (B, 3, H, W) RGB in [0, 1] → the same, of any size.
"""

from .convir import ConvIR
from .drbnet import DRBNet
from .mdp import MDP
from .mprnet import MPRNet
from .nrknet import NRKNet
from .reblurring import ReblurNet

__all__ = ['MDP', 'ConvIR', 'DRBNet', 'MPRNet', 'NRKNet', 'ReblurNet']
