r"""What the predicted weights mean: expected kernel sizes and inverse kernels.

Symbols as in :mod:`mmagic_inik.ops.inverse_filter`. The network filters the pixel at
(x, y) with one kernel, composed of all atoms of all sizes:

.. math::
    k = \sum_{r=1}^{R} \sum_{n=1}^{N} \mu_r \, \omega_n \, v_n^r

With the released mixing there is one for each output colour o and input colour c, whose
terms are weighted by ``mixing[o, r, c, n]``; a residual adds a delta where o = c.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from ..models.inverse_filter_head import InverseFilterHead


class Prediction(NamedTuple):
    """What a head predicts for one photograph, on the CPU, in float32.

    Attributes:
        mu (Tensor): Size weights, (R, H, W).
        omega (Tensor): Shape weights, (N, H, W).
        atoms (list[Tensor]): R tensors (N, M_r, M_r), of coarser sizes enlarged.
        mixing (Tensor | None): (C_out, R, C, N), or None for a plain sum.
        residual (bool): Whether y is added.
    """

    mu: Tensor
    omega: Tensor
    atoms: list[Tensor]
    mixing: Tensor | None
    residual: bool

    @property
    def kernel_sizes(self) -> list[int]:
        """The sizes M_r in pixels."""
        return [atom.shape[-1] for atom in self.atoms]

    def expected_size(self) -> Tensor:
        """Map of Σ_r μ_r M_r, (H, W) in pixels: large where large kernels act."""
        sizes = self.mu.new_tensor(self.kernel_sizes)
        return torch.einsum('rhw,r->hw', self.mu, sizes)

    def kernel_at(self, x: int, y: int) -> Tensor:
        """The composed kernel of a pixel; see :func:`compose_kernel`."""
        return compose_kernel(self.mu[:, y, x], self.omega[:, y, x], *self[2:])


class HeadWatch:
    """Keeps what a head predicts while its network restores a photograph.

    Of several calls that with the largest image counts, the finest scale; of a batch
    the first image.

    Args:
        head (InverseFilterHead): Called with (image, size feature, shape feature), has
            ``predict_weights`` and ``atom_bank``: see ``InverseFilterHead``.
    """

    def __init__(self, head: 'InverseFilterHead') -> None:
        self._pixels = 0
        self._prediction: Prediction | None = None
        self._handle = head.register_forward_pre_hook(self._note)

    @torch.no_grad()
    def _note(self, head: 'InverseFilterHead', inputs: tuple) -> None:
        image, *features = inputs[:3]
        if image[0].numel() <= self._pixels:
            return
        self._pixels = image[0].numel()
        size_feature, shape_feature = (feature[:1] for feature in features)
        mu, omega = head.predict_weights(size_feature, shape_feature, image[:1])
        mixing = getattr(head, 'mixing', None)
        atoms = [_plain(atom) for atom in head.atom_bank()]
        coarser = getattr(head, 'coarser', ())
        atoms += [enlarged_atoms(atoms[-1], factor) for factor in coarser]
        self._prediction = Prediction(
            _plain(mu[0]),
            _plain(omega[0]),
            atoms,
            None if mixing is None else _plain(mixing),
            getattr(head, 'residual', False),
        )

    def stop(self, height: int, width: int) -> Prediction:
        """End watching.

        Args:
            height (int): Of the photograph, which may have been extended at the bottom.
            width (int): Likewise, at the right.

        Returns:
            Prediction: Of the photograph's own pixels.

        Raises:
            RuntimeError: If the head was not called.
        """
        self._handle.remove()
        if self._prediction is None:
            raise RuntimeError('the network did not call its head')
        mu, omega = (w[:, :height, :width] for w in self._prediction[:2])
        return self._prediction._replace(mu=mu, omega=omega)


def has_weight_maps(network: nn.Module) -> bool:
    """Whether a network predicts size and shape weights with a head like INIKNet's.

    Args:
        network (nn.Module): A restoring network, MMagic's ``generator``.

    Returns:
        bool: Whether :class:`HeadWatch` can watch ``network.head``.
    """
    head = getattr(network, 'head', None)
    return hasattr(head, 'predict_weights') and hasattr(head, 'atom_bank')


def compose_kernel(
    mu: Tensor,
    omega: Tensor,
    atoms: Sequence[Tensor],
    mixing: Tensor | None = None,
    residual: bool = False,
) -> Tensor:
    """The kernel that one pixel is filtered with.

    Correlating it with the neighbourhood (zero outside of the photograph), and adding
    the mixing's bias, gives the head's output at that pixel.

    Args:
        mu (Tensor): Size weights of the pixel, (R,).
        omega (Tensor): Shape weights of the pixel, (N,).
        atoms (Sequence[Tensor]): R tensors (N, M_r, M_r).
        mixing (Tensor, optional): (C_out, R, C, N). Default: None, a plain sum.
        residual (bool): Whether y is added. Default: False.

    Returns:
        Tensor: (C_out, C, M, M) with the largest M; of a plain sum (1, 1, M, M), for
        every colour.

    Example:
        >>> import torch
        >>> delta, box = torch.ones(1, 1, 1), torch.ones(1, 3, 3)
        >>> mu, omega = torch.tensor([0.75, 0.25]), torch.tensor([2.0])
        >>> compose_kernel(mu, omega, [delta, box])[0, 0]
        tensor([[0.5000, 0.5000, 0.5000],
                [0.5000, 2.0000, 0.5000],
                [0.5000, 0.5000, 0.5000]])
    """
    if mixing is None:
        mixing = mu.new_ones(1, len(mu), 1, len(omega))
    largest = max(atom.shape[-1] for atom in atoms)
    kernel = mu.new_zeros(mixing.shape[0], mixing.shape[2], largest, largest)
    for mu_r, mixing_r, atom in zip(mu, mixing.unbind(1), atoms, strict=True):
        margin = (largest - atom.shape[-1]) // 2
        terms = torch.einsum('ocn,n,nij->ocij', mixing_r, mu_r * omega, atom)
        kernel += F.pad(terms, [margin] * 4)
    if residual:
        kernel[..., largest // 2, largest // 2] += torch.eye(
            *kernel.shape[:2], dtype=kernel.dtype, device=kernel.device
        )
    return kernel


def enlarged_atoms(atoms: Tensor, factor: int) -> Tensor:
    """What atoms that filter a reduced image do to the image itself.

    Where weights are even, a pixel is filtered by the mean of its block's neighbours,
    interpolated; how, depends on its place in the block. This is the mean of them.

    Args:
        atoms (Tensor): (N, M, M).
        factor (int): By which the image is reduced, s.

    Returns:
        Tensor: (N, M', M') with M' of
        :func:`~mmagic_inik.models.inverse_filter_head.enlarged_side`.
    """
    # In one direction: a pixel is interpolated from the blocks around, each the mean of
    # s pixels.
    reach = 3 * factor // 2 - 1
    share = torch.zeros(2 * reach + 1, dtype=atoms.dtype)
    for place in range(factor):
        for block in (-1, 0, 1):
            middle = block * factor + (factor - 1) / 2
            weight = 1 - abs(place - middle) / factor
            if weight > 0:
                first = block * factor - place + reach
                share[first : first + factor] += weight / factor**2
    spread = torch.outer(share, share)[None, None]
    return F.conv_transpose2d(atoms[:, None], spread, stride=factor)[:, 0]


def grey_kernel(kernel: Tensor) -> Tensor:
    """What a composed kernel does to grey light: mean of the output colours.

    Args:
        kernel (Tensor): (C_out, C, M, M).

    Returns:
        Tensor: (M, M).
    """
    return kernel.sum(1).mean(0)


def extreme_places(sizes: Tensor, margin: int) -> list[tuple[int, int]]:
    """Where the expected kernel size is largest, and where it is smallest.

    Args:
        sizes (Tensor): Map of the expected size, (H, W).
        margin (int): Distance from the border in pixels, kept where the map is large
            enough.

    Returns:
        list[tuple[int, int]]: Columns and rows (x, y), the largest first.
    """
    top, left = (margin if side > 2 * margin else 0 for side in sizes.shape)
    inner = sizes[top : sizes.shape[0] - top, left : sizes.shape[1] - left]
    flat = (inner.argmax().item(), inner.argmin().item())
    rows_columns = (np.unravel_index(int(place), inner.shape) for place in flat)
    return [(int(x) + left, int(y) + top) for y, x in rows_columns]


def fourier_magnitude(kernels: Tensor | np.ndarray, side: int = 65) -> np.ndarray:
    """Magnitude of kernels' Fourier transforms.

    Args:
        kernels (Tensor | np.ndarray): (..., M, M).
        side (int): Number of frequencies in either direction, odd, from −1/2 to 1/2
            cycles per pixel; zero in the middle. Default: 65.

    Returns:
        np.ndarray: (..., side, side), gain at each frequency.
    """
    spectrum = np.abs(np.fft.fft2(np.asarray(kernels), (side, side)))
    return np.fft.fftshift(spectrum, (-2, -1))


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().float().cpu()
