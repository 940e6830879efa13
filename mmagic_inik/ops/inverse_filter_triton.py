"""Eq. 9 on a GPU.

The neighbourhoods of some pixels, (pixels, taps), times the dictionary of all atoms,
(taps, columns), is a product for the matrix units; its result is weighted by mu and
omega and summed, and never leaves the chip. Gradients compute the product again.
"""

import torch
import torch.nn.functional as F
import triton
from torch import Tensor

from . import triton_kernels as kernels

# Pixels of a program, and taps that it multiplies at a time.
_PIXELS, _TAPS = 64, 32
# Programs that share the pixels of an image to sum up gradients of the dictionary.
_SHARES = 64


def filter_triton(
    y: Tensor, mu: Tensor, omega: Tensor, atoms: list[Tensor], mixing: Tensor | None
) -> Tensor:
    """As ``inverse_filter`` without bias; weights may be of another type than ``y``."""
    plan = _Plan(y, mu, omega, atoms, mixing)
    out = y.new_empty(len(y), plan.constants['OUTPUTS'], *y.shape[2:])
    block = triton.next_power_of_2(plan.constants['OUTPUTS'])
    kernels.forward[plan.grid](
        *(*plan.inputs, out, *plan.sizes), **plan.constants, OUTPUT_BLOCK=block
    )
    return out


def filter_triton_backward(
    grad: Tensor,
    y: Tensor,
    mu: Tensor,
    omega: Tensor,
    atoms: list[Tensor],
    mixing: Tensor | None,
) -> tuple[Tensor, Tensor, list[Tensor], Tensor | None]:
    """Gradients of mu, omega, atoms and mixing."""
    plan = _Plan(y, mu, omega, atoms, mixing)
    inputs, grad = plan.inputs, grad.contiguous()
    d_mu, d_omega = torch.empty_like(inputs[1]), torch.empty_like(inputs[2])
    *_, dictionary, mixed = inputs
    d_mixing = y.new_empty(
        *plan.grid, *(mixed.shape if mixing is not None else ()), dtype=torch.float32
    )
    kernels.backward_weights[plan.grid](
        *(*inputs, grad, d_mu, d_omega, d_mixing, *plan.sizes), **plan.constants
    )
    shares = min(_SHARES, plan.grid[0])
    d_dictionary = y.new_empty(shares, len(y), *dictionary.shape, dtype=torch.float32)
    kernels.backward_dictionary[shares, len(y), len(dictionary) // _TAPS](
        *(*inputs, grad, d_dictionary, *plan.sizes), **plan.constants
    )
    d_atoms = plan.split_dictionary(d_dictionary.sum((0, 1)), atoms)
    if mixing is not None:
        mixing = plan.split_mixing(d_mixing.sum((0, 1)), mixing)
    return d_mu, d_omega, d_atoms, mixing


class _Plan:
    """What all kernels are given, in the forms that they want.

    Attributes:
        inputs (tuple): y padded, mu, omega, dictionary and mixing.
        sizes (tuple): H, W, R, N and strides.
        constants (dict): By the names in the kernels.
        grid (tuple): Blocks of pixels, images.
    """

    def __init__(
        self,
        y: Tensor,
        mu: Tensor,
        omega: Tensor,
        atoms: list[Tensor],
        mixing: Tensor | None,
    ) -> None:
        height, width = y.shape[2:]
        self.side = max(v.shape[-1] for v in atoms)
        # A matrix product wants sixteen columns at least.
        self.num_sizes = triton.next_power_of_2(mu.shape[1])
        least = max(1, 16 // self.num_sizes)
        self.num_atoms = max(least, triton.next_power_of_2(omega.shape[1]))
        dictionary = self._join_dictionary(atoms).to(omega.dtype)
        # Where nothing is mixed, the kernels do not look at it.
        mixed = dictionary if mixing is None else self._join_mixing(mixing)
        padded = F.pad(y, [self.side // 2] * 4).contiguous()
        (mu, mu_strides), (omega, omega_strides) = _dense(mu), _dense(omega)
        self.inputs = padded, mu, omega, dictionary, mixed
        strides = (*mu_strides, *omega_strides)
        self.sizes = (height, width, mu.shape[1], omega.shape[1], *strides)
        self.grid = triton.cdiv(height * width, _PIXELS), len(y)
        allow_tf32 = torch.get_float32_matmul_precision() != 'highest'
        self.constants = dict(
            IMAGES=y.shape[1],
            OUTPUTS=y.shape[1] if mixing is None else len(mixing),
            MIXED=mixing is not None,
            SIDE=self.side,
            SIZES=self.num_sizes,
            ATOMS=self.num_atoms,
            PIXELS=_PIXELS,
            TAPS=_TAPS,
            PRECISION='tf32' if allow_tf32 else 'ieee',
        )

    def _join_dictionary(self, atoms: list[Tensor]) -> Tensor:
        """All atoms in the middle of the largest size, (taps, columns), filled up."""
        columns = []
        for v in atoms:
            spare = (self.side - v.shape[-1]) // 2
            more = self.num_atoms - len(v)
            columns.append(F.pad(v, [spare] * 4 + [0, more]).flatten(1))
        taps, missing = self.side**2, self.num_sizes - len(atoms)
        fill = (0, -taps % _TAPS, 0, missing * self.num_atoms)
        return F.pad(torch.cat(columns), fill).mT.contiguous()

    def split_dictionary(self, dictionary: Tensor, like: list[Tensor]) -> list[Tensor]:
        """The inverse of the above."""
        whole = dictionary[: self.side**2].mT.unflatten(1, (self.side, self.side))
        found = []
        for r, v in enumerate(like):
            start, spare = r * self.num_atoms, (self.side - v.shape[-1]) // 2
            window = slice(spare, self.side - spare)
            found.append(whole[start : start + len(v), window, window].to(v.dtype))
        return found

    def _join_mixing(self, mixing: Tensor) -> Tensor:
        """(C_out, R, C, N) → (C_out, C, columns), float32, filled up."""
        _, sizes, _, atoms = mixing.shape
        fill = (0, self.num_atoms - atoms, 0, self.num_sizes - sizes)
        return F.pad(mixing.float().transpose(1, 2), fill).flatten(2).contiguous()

    def split_mixing(self, mixing: Tensor, like: Tensor) -> Tensor:
        """The inverse of the above."""
        _, sizes, _, atoms = like.shape
        whole = mixing.unflatten(2, (self.num_sizes, self.num_atoms))
        return whole[:, :, :sizes, :atoms].transpose(1, 2).to(like.dtype)


def _dense(weights: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """With channels first or last in memory; steps to the next channel and pixel."""
    _, channels, height, width = weights.shape
    if weights.is_contiguous(memory_format=torch.channels_last):
        return weights, (1, channels)
    return weights.contiguous(), (height * width, 1)
