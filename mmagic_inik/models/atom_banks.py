"""Banks of base atoms, from which the inverse kernels are composed."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..registry import MODELS
from .base_module import BaseModule

FREQUENCIES = ('linspace', 'uniform')
CENTERS = ('zero', 'delta')


@MODELS.register_module()
class INRAtomBank(BaseModule):
    """Base atoms drawn by small implicit neural representations (INRs).

    Atom n is an MLP of polar coordinates: linear 3→H, sin(w_n ·), linear H→H,
    sin(w_n ·), linear H→1 without bias, with one learnable frequency w_n. The same N
    MLPs are evaluated on the grid of every kernel size; an M×M atom is multiplied by
    9/M². All atoms of all sizes are evaluated in one batch. Without a size above one
    there is nothing to draw, and no MLP.

    Coordinates of an M×M atom: u, v = 2k/(M−1) − 1 for k = 0 … M−1, u along rows;
    ρ = √(u²+v²)/√2 and θ = angle(u + i·v), zero at the centre; MLP input
    (ρ, (cos θ + 1)/2, (sin θ + 1)/2).

    Args:
        num_atoms (int): Number N of base atoms. Default: 10.
        kernel_sizes (Sequence[int]): The R odd sizes M_r in rising order.
            Default: (1, 3, …, 15).
        hidden_channels (int): Width H of the MLPs. Default: 64.
        frequencies (str): Start of w_n: ``'linspace'`` spaces them evenly over
            ``frequency_range`` (released implementation), ``'uniform'`` draws them at
            random from it (paper). Default: ``'linspace'``.
        frequency_range (tuple[float, float]): Lowest and highest w_n to start from.
            Default: (2, 12), the released values; the paper writes (2, 16).
        center (str): The 1×1 atom. ``'zero'``: nothing (released implementation, where
            the image passes by a residual connection). ``'delta'``: one (paper); the
            last layer then starts at zero, so that the image passes unchanged.
            Default: ``'zero'``.
        zero_sum (bool): Whether the mean of every drawn atom is subtracted from it, so
            that no weights whatever can change the brightness of an even area.
            Default: False.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.

    Raises:
        ValueError: If a number, size or option is out of range.

    Example:
        >>> bank = INRAtomBank(num_atoms=2, kernel_sizes=(1, 3, 5))
        >>> [tuple(atom.shape) for atom in bank()]
        [(2, 1, 1), (2, 3, 3), (2, 5, 5)]
    """

    middle: Tensor
    offsets: Tensor
    halves: Tensor

    def __init__(
        self,
        num_atoms: int = 10,
        kernel_sizes: tuple[int, ...] = (1, 3, 5, 7, 9, 11, 13, 15),
        hidden_channels: int = 64,
        frequencies: str = 'linspace',
        frequency_range: tuple[float, float] = (2.0, 12.0),
        center: str = 'zero',
        zero_sum: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if min(num_atoms, hidden_channels) < 1:
            raise ValueError(
                'num_atoms and hidden_channels must be positive, got '
                f'{num_atoms} and {hidden_channels}'
            )
        kernel_sizes = checked_sizes(kernel_sizes)
        if frequencies not in FREQUENCIES:
            raise ValueError(
                f'frequencies must be in {FREQUENCIES}, got {frequencies!r}'
            )
        if center not in CENTERS:
            raise ValueError(f'center must be in {CENTERS}, got {center!r}')
        self.num_atoms = num_atoms
        self.kernel_sizes = kernel_sizes
        self.center = center
        self.zero_sum = zero_sum

        # One value per atom, of the parameters' type and device after a cast.
        middle = torch.full((num_atoms, 1, 1), 1.0 if center == 'delta' else 0.0)
        self.register_buffer('middle', middle, persistent=False)
        self._drawn_sizes = [size for size in kernel_sizes if size > 1]
        if self._drawn_sizes:
            # Else nothing would use them, which distributed training refuses.
            self._make_mlps(hidden_channels, frequencies, frequency_range)

        # Whole numbers, so that a module cast to half precision keeps exact
        # coordinates and the centre stays exactly zero. (T, 2) and (T, 1), all sizes.
        grids = [_grid(size) for size in self._drawn_sizes]
        offsets = torch.cat([torch.empty(0, 2, dtype=torch.long), *grids])
        halves = [grid.new_full((len(grid), 1), int(grid.max())) for grid in grids]
        none = torch.empty(0, 1, dtype=torch.long)
        self.register_buffer('offsets', offsets, persistent=False)
        self.register_buffer('halves', torch.cat([none, *halves]), persistent=False)

    def _make_mlps(
        self,
        hidden_channels: int,
        frequencies: str,
        frequency_range: tuple[float, float],
    ) -> None:
        lowest, highest = frequency_range
        if frequencies == 'linspace':
            start = torch.linspace(lowest, highest, self.num_atoms)
        else:
            start = torch.empty(self.num_atoms).uniform_(lowest, highest)
        self.frequency = nn.Parameter(start)
        n, h = self.num_atoms, hidden_channels
        self.weight1 = nn.Parameter(torch.empty(n, h, 3))
        self.bias1 = nn.Parameter(torch.empty(n, h))
        self.weight2 = nn.Parameter(torch.empty(n, h, h))
        self.bias2 = nn.Parameter(torch.empty(n, h))
        self.weight3 = nn.Parameter(torch.empty(n, 1, h))
        for weight, bias in (
            (self.weight1, self.bias1),
            (self.weight2, self.bias2),
            (self.weight3, None),
        ):
            # nn.Linear's own start, per atom.
            bound = weight.shape[-1] ** -0.5
            nn.init.uniform_(weight, -bound, bound)
            if bias is not None:
                nn.init.uniform_(bias, -bound, bound)
        if self.center == 'delta':
            nn.init.zeros_(self.weight3)

    def forward(self) -> list[Tensor]:
        """Draw all atoms.

        Computed in float32 at least, whatever the parameters' type or an enclosing
        autocast: sin(w·) of a half-precision number would be noise.

        Returns:
            list[Tensor]: (N, M_r, M_r) for every kernel size, in the order of
            ``kernel_sizes`` and the parameters' type.
        """
        middle = [self.middle] if self.kernel_sizes[0] == 1 else []
        return middle + self._draw() if self._drawn_sizes else middle

    def _draw(self) -> list[Tensor]:
        """All atoms above one pixel."""
        dtype = torch.promote_types(self.weight1.dtype, torch.float32)
        with torch.autocast(self.weight1.device.type, enabled=False):
            halves = self.halves.to(dtype)
            w = self.frequency.to(dtype).view(-1, 1, 1)
            x = self._coordinates(dtype).expand(self.num_atoms, -1, -1)
            for weight, bias in (
                (self.weight1, self.bias1),
                (self.weight2, self.bias2),
            ):
                start = bias.to(dtype).unsqueeze(1)
                x = torch.sin(w * torch.baddbmm(start, x, weight.to(dtype).mT))
            x = x @ self.weight3.to(dtype).mT  # (N, T, 1)
            drawn = (x * (9 / (2 * halves + 1) ** 2)).squeeze(-1)
        counts = [size * size for size in self._drawn_sizes]
        atoms = []
        for atom, size in zip(drawn.split(counts, 1), self._drawn_sizes, strict=True):
            if self.zero_sum:
                atom = atom - atom.mean(1, keepdim=True)
            atoms.append(atom.to(self.weight1.dtype).unflatten(1, (size, size)))
        return atoms

    def _coordinates(self, dtype: torch.dtype) -> Tensor:
        """MLP input (T, 3) of all grid points of all sizes above one."""
        uv = self.offsets.to(dtype) / self.halves
        radius = uv.square().sum(1, keepdim=True).sqrt()
        at_center = radius == 0
        cos_sin = uv / radius.masked_fill(at_center, 1)
        # θ = 0 at the centre.
        cos = cos_sin[:, :1].masked_fill(at_center, 1)
        return torch.cat([radius / 2**0.5, (cos + 1) / 2, (cos_sin[:, 1:] + 1) / 2], 1)


def checked_sizes(kernel_sizes: Sequence[int]) -> tuple[int, ...]:
    """The sizes of a bank, if they can be such.

    Args:
        kernel_sizes (Sequence[int]): M_r.

    Returns:
        tuple[int, ...]: The same.

    Raises:
        ValueError: If they are not odd, positive and rising.
    """
    sizes = tuple(kernel_sizes)
    if (
        not sizes
        or list(sizes) != sorted(set(sizes))
        or any(size < 1 or size % 2 == 0 for size in sizes)
    ):
        raise ValueError(f'kernel_sizes must be odd, positive and rising, got {sizes}')
    return sizes


def _grid(size: int) -> Tensor:
    """Offsets (size², 2) from the centre in pixels, rows slowest."""
    half = size // 2
    axis = torch.arange(-half, half + 1)
    return torch.cartesian_prod(axis, axis)
