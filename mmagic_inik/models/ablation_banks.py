"""Banks of the paper's Table 3: what an INR shared by all sizes is compared with."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..registry import MODELS
from .atom_banks import CENTERS, INRAtomBank, checked_sizes
from .base_module import BaseModule

# Standard deviation of an INR's values at its start, before 9/M².
_START = 0.37


@MODELS.register_module()
class PerSizeINRAtomBank(BaseModule):
    """An INR per atom and kernel size ("Non-MS Dict" of Table 3).

    The paper's ablation of the multi-scale dictionary: the M×M version of an atom is
    drawn by an MLP of its own, so that nothing learned at one size reaches another.
    Every size above one has the parameters of a whole ``INRAtomBank``: by default
    7 x 44,810, the network then 2,245,707 in place of 1,976,847.

    Args:
        num_atoms (int): As in :class:`INRAtomBank`. Default: 10.
        kernel_sizes (Sequence[int]): As there. Default: (1, 3, …, 15).
        hidden_channels (int): As there. Default: 64.
        frequencies (str): As there, for every size alike. Default: ``'linspace'``.
        frequency_range (tuple[float, float]): As there. Default: (2, 12).
        center (str): As there. Default: ``'zero'``.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.

    Raises:
        ValueError: If a number, size or option is out of range.

    Example:
        >>> bank = PerSizeINRAtomBank(num_atoms=2, kernel_sizes=(1, 3, 5))
        >>> [tuple(atom.shape) for atom in bank()]
        [(2, 1, 1), (2, 3, 3), (2, 5, 5)]
    """

    def __init__(
        self,
        num_atoms: int = 10,
        kernel_sizes: tuple[int, ...] = (1, 3, 5, 7, 9, 11, 13, 15),
        hidden_channels: int = 64,
        frequencies: str = 'linspace',
        frequency_range: tuple[float, float] = (2.0, 12.0),
        center: str = 'zero',
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_atoms = num_atoms
        self.kernel_sizes = checked_sizes(kernel_sizes)
        self.center = center
        # The 1×1 atom is not drawn: it comes with the first size that is.
        first = 2 if self.kernel_sizes[0] == 1 else 1
        groups = [self.kernel_sizes[:first]]
        groups += [(size,) for size in self.kernel_sizes[first:]]
        self.banks = nn.ModuleList(
            INRAtomBank(
                num_atoms, group, hidden_channels, frequencies, frequency_range, center
            )
            for group in groups
        )

    def forward(self) -> list[Tensor]:
        """Draw all atoms.

        Returns:
            list[Tensor]: (N, M_r, M_r) for every kernel size, in the order of
            ``kernel_sizes`` and the parameters' type.
        """
        return [atom for bank in self.banks for atom in bank()]


@MODELS.register_module()
class MatrixAtomBank(BaseModule):
    """Learnable matrices, resized to every kernel size ("Non-INR Dict" of Table 3).

    The paper's ablation of the neural representation: base atom n is a matrix b_n of
    the largest size M_R, and v_n^r = 9/M_r² · bilinear(b_n, M_r), corners on corners,
    which samples b_n at the coordinates where an ``INRAtomBank`` samples its MLP. By
    default 2,250 parameters in place of 44,810, the network then 1,934,287 in place of
    1,976,847. The paper gives neither the factor nor how corners are aligned; both are
    those of the INR here, so that nothing but the representation differs.

    Args:
        num_atoms (int): Number N of base atoms. Default: 10.
        kernel_sizes (Sequence[int]): The R odd sizes M_r in rising order.
            Default: (1, 3, …, 15).
        center (str): The 1×1 atom. ``'zero'``: nothing; the matrices start as noise of
            the strength of an INR's atoms. ``'delta'``: one; the matrices start at
            zero. Default: ``'zero'``.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.

    Raises:
        ValueError: If a number, size or option is out of range.

    Example:
        >>> bank = MatrixAtomBank(num_atoms=2, kernel_sizes=(1, 3, 5))
        >>> [tuple(atom.shape) for atom in bank()]
        [(2, 1, 1), (2, 3, 3), (2, 5, 5)]
    """

    middle: Tensor

    def __init__(
        self,
        num_atoms: int = 10,
        kernel_sizes: tuple[int, ...] = (1, 3, 5, 7, 9, 11, 13, 15),
        center: str = 'zero',
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_atoms < 1:
            raise ValueError(f'num_atoms must be positive, got {num_atoms}')
        if center not in CENTERS:
            raise ValueError(f'center must be in {CENTERS}, got {center!r}')
        self.num_atoms = num_atoms
        self.kernel_sizes = checked_sizes(kernel_sizes)
        self.center = center
        # As of INRAtomBank: what nothing would use is not there.
        middle = torch.full((num_atoms, 1, 1), 1.0 if center == 'delta' else 0.0)
        self.register_buffer('middle', middle, persistent=False)
        largest = self.kernel_sizes[-1]
        if largest > 1:
            self.base = nn.Parameter(torch.zeros(num_atoms, largest, largest))
            if center == 'zero':
                nn.init.normal_(self.base, std=_START)

    def forward(self) -> list[Tensor]:
        """Resize all atoms.

        Returns:
            list[Tensor]: (N, M_r, M_r) for every kernel size, in the order of
            ``kernel_sizes`` and the parameters' type.
        """
        atoms = []
        for size in self.kernel_sizes:
            if size == 1:
                atoms.append(self.middle)
                continue
            (atom,) = F.interpolate(
                self.base[None], (size, size), mode='bilinear', align_corners=True
            )
            atoms.append(atom * (9 / size**2))
        return atoms
