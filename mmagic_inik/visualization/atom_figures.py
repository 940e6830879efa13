"""Figures of the atoms from which inverse kernels are composed."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from .figures import as_array
from .kernels import fourier_magnitude


def atom_sheet(atoms: Sequence[Tensor | np.ndarray]) -> Figure:
    """All atoms at all sizes above one, each size on a colour scale of its own.

    Args:
        atoms (Sequence[Tensor | np.ndarray]): R arrays (N, M_r, M_r).

    Returns:
        Figure: One row per size, one column per atom; axes in pixels from the centre.
    """
    atoms = _above_one(atoms)
    count = len(atoms[0])
    figure = Figure(
        figsize=(1.6 * count + 1.4, 1.6 * len(atoms) + 0.6), layout='constrained'
    )
    axes = figure.subplots(len(atoms), count, squeeze=False)
    _fill(axes, atoms, in_space=True)
    figure.suptitle('Base atoms v at every size (axes in pixels)')
    return figure


def atom_comparison(atoms: Sequence[Tensor | np.ndarray], in_space: bool) -> Figure:
    """The network's atoms beside bilinear resizes of its largest (Figure 5).

    Args:
        atoms (Sequence[Tensor | np.ndarray]): R arrays (N, M_r, M_r) in rising order.
        in_space (bool): Whether values are drawn, over pixels from the centre, else
            magnitudes of the Fourier transform, over cycles per pixel.

    Returns:
        Figure: Left the network's, right the resized; one row per size, with one
        colour scale, one column per atom.
    """
    atoms = _above_one(atoms)
    count = len(atoms[0])
    figure = Figure(
        figsize=(2.3 * count + 2.4, 1.15 * len(atoms) + 1.1), layout='constrained'
    )
    ratios = [1] * count + [0.5] + [1] * count
    axes = figure.subplots(
        len(atoms), 2 * count + 1, squeeze=False, width_ratios=ratios
    )
    # A column between the halves stays empty.
    for axis in axes[:, count]:
        axis.set_axis_off()
    both = [
        np.concatenate(pair) for pair in zip(atoms, resized_atoms(atoms), strict=True)
    ]
    _fill(np.delete(axes, count, 1), both, in_space, count)
    unit = 'axes in pixels' if in_space else 'axes in cycles per pixel'
    what = 'Base atoms' if in_space else 'Fourier magnitude of base atoms'
    figure.suptitle(
        f'{what}, {unit}. Left: the network’s own at every size; '
        f'right: its {atoms[-1].shape[-1]} × {atoms[-1].shape[-1]} resized bilinearly'
    )
    return figure


def resized_atoms(atoms: Sequence[Tensor | np.ndarray]) -> list[np.ndarray]:
    """The largest atoms, resized to every size bilinearly.

    Corners stay corners, as the network's coordinates have it; times M²/M_r², as its
    atoms fall with their area.

    Args:
        atoms (Sequence[Tensor | np.ndarray]): R arrays (N, M_r, M_r), the largest last.

    Returns:
        list[np.ndarray]: Shapes of ``atoms``.
    """
    largest = torch.as_tensor(as_array(atoms[-1]))[:, None]
    sizes = [atom.shape[-1] for atom in atoms]
    return [
        F.interpolate(largest, (size, size), mode='bilinear', align_corners=True)[
            :, 0
        ].numpy()
        * (sizes[-1] / size) ** 2
        for size in sizes
    ]


def _fill(
    axes: np.ndarray, atoms: list[np.ndarray], in_space: bool, names: int | None = None
) -> None:
    """Draw rows of atoms, numbered from one again after ``names``."""
    for n, axis in enumerate(axes[0]):
        number = n % (names or len(axes[0])) + 1
        axis.set_title(f'n = {number}', fontsize='medium')
    for row, of_size in zip(axes, atoms, strict=True):
        size = of_size.shape[-1]
        values = of_size if in_space else fourier_magnitude(of_size)
        limit = float(np.abs(values).max())
        half, reach = (size / 2, size // 2) if in_space else (0.5, 0.5)
        scale = (
            dict(cmap='PuOr', vmin=-limit, vmax=limit)
            if in_space
            else dict(cmap='cividis', vmin=0, vmax=limit)
        )
        for axis, atom in zip(row, values, strict=True):
            shown = axis.imshow(atom, extent=(-half, half, half, -half), **scale)
            axis.set_xticks([-reach, 0, reach])
            axis.set_yticks([-reach, 0, reach] if axis is row[0] else [])
            axis.tick_params(labelsize='x-small')
        row[0].set_ylabel(f'{size} × {size}')
        bar = axis.figure.colorbar(shown, ax=row, shrink=0.9, pad=0.01)
        bar.ax.tick_params(labelsize='x-small')


def _above_one(atoms: Sequence[Tensor | np.ndarray]) -> list[np.ndarray]:
    return [as_array(atom) for atom in atoms if atom.shape[-1] > 1]
