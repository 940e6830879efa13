"""Eq. 9 on a GPU.

The neighbourhoods of some pixels, (pixels, taps), times the dictionary of some atoms,
(taps, columns), is a product for the matrix units; its result is weighted by mu and
omega and summed, and never leaves the chip. Gradients compute the product again.
"""

from collections.abc import Iterator

import torch
import triton
from torch import Tensor

from . import triton_kernels as kernels
from .triton_tiles import Tile, with_best_tile

# Programs that share the pixels of a batch to sum up gradients of the dictionary.
_SHARES = 64
# A matrix product wants so many columns at least.
_LEAST_COLUMNS = 16


def filter_triton(
    padded: Tensor,
    mu: Tensor,
    omega: Tensor,
    atoms: list[Tensor],
    mixing: Tensor | None,
) -> Tensor:
    """As ``inverse_filter`` without bias; weights may be of another type than y.

    ``padded`` is y with what the largest kernel sees beyond it.
    """
    call = _Call(padded, mu, omega, atoms, mixing)

    def run(tile: Tile) -> Tensor:
        layout = call.layout(tile)
        out = padded.new_empty(len(mu), call.outputs, *mu.shape[2:])
        dictionary, mixed = call.pack(layout)
        kernels.forward[call.grid(tile)](
            *(call.padded, call.mu, call.omega, dictionary, mixed, out, *call.sizes),
            **call.constants(tile, layout),
            OUTPUT_BLOCK=triton.next_power_of_2(call.outputs),
        )
        return out

    return with_best_tile('forward', mu, call.dtype, call.kind, run)


def filter_triton_backward(
    grad: Tensor,
    padded: Tensor,
    mu: Tensor,
    omega: Tensor,
    atoms: list[Tensor],
    mixing: Tensor | None,
) -> tuple[Tensor, Tensor, list[Tensor], Tensor | None]:
    """Gradients of mu, omega, atoms and mixing, each in memory of its own."""
    call = _Call(padded, mu, omega, atoms, mixing)
    grad = grad.contiguous()
    d_mu, d_omega, d_mixing = with_best_tile(
        *('backward_weights', mu, call.dtype, call.kind),
        lambda tile: _weight_gradients(call, grad, tile),
    )
    d_atoms = with_best_tile(
        *('backward_dictionary', mu, call.dtype, call.kind),
        lambda tile: _atom_gradients(call, grad, tile),
    )
    # A gradient lies in memory as what it belongs to.
    d_mu = d_mu if call.mu is mu else _copied(d_mu, mu)
    d_omega = d_omega if call.omega is omega else _copied(d_omega, omega)
    return d_mu, d_omega, d_atoms, d_mixing


def _weight_gradients(
    call: '_Call', grad: Tensor, tile: Tile
) -> tuple[Tensor, Tensor, Tensor | None]:
    layout, grid = call.layout(tile), call.grid(tile)
    dictionary, mixed = call.pack(layout)
    d_mu, d_omega = torch.empty_like(call.mu), torch.empty_like(call.omega)
    shape = () if call.mixing is None else mixed.shape
    parts = grad.new_empty(*grid, *shape, dtype=torch.float32)
    kernels.backward_weights[grid](
        *(call.padded, call.mu, call.omega, dictionary, mixed, grad),
        *(d_mu, d_omega, parts, *call.sizes),
        **call.constants(tile, layout),
    )
    if call.mixing is None:
        return d_mu, d_omega, None
    window = layout.mixing_window(parts.sum((0, 1)), call.mixing)
    return d_mu, d_omega, _copied(window, call.mixing)


def _atom_gradients(call: '_Call', grad: Tensor, tile: Tile) -> list[Tensor]:
    layout = call.layout(tile)
    _, mixed = call.pack(layout)
    batch = len(call.padded)
    shares = min(call.grid(tile)[0], triton.cdiv(_SHARES, batch))
    shape = layout.columns, layout.total
    parts = grad.new_empty(shares, batch, *shape, dtype=torch.float32)
    kernels.backward_dictionary[shares, batch, layout.total // tile.taps](
        *(call.padded, call.mu, call.omega, mixed, grad, parts, *call.sizes),
        **call.constants(tile, layout),
    )
    windows = layout.windows(parts.sum((0, 1)), call.atoms)
    return [_copied(d_v, v) for d_v, v in zip(windows, call.atoms, strict=True)]


class Layout:
    """How atoms of all sizes lie in the dictionary, see ``triton_kernels``.

    Args:
        sides (list[int]): M_r.
        num_atoms (int): N.
        tile (Tile): What a program does at a time.

    Attributes:
        constants (dict): By the names in the kernels.
        columns (int): Of a group.
        total (int): Taps of all groups.
    """

    def __init__(self, sides: list[int], num_atoms: int, tile: Tile) -> None:
        self.atoms = triton.next_power_of_2(num_atoms)
        least = triton.cdiv(_LEAST_COLUMNS, self.atoms)
        most = max(least, triton.next_power_of_2(len(sides)))
        self.group = min(max(least, tile.columns // self.atoms), most)
        self.columns = self.group * self.atoms
        self.groups = triton.cdiv(len(sides), self.group)
        self.missing = self.groups * self.group - len(sides)
        self.side = max(sides)
        self.sides, self.firsts, self.total = [], [], 0
        for g in range(self.groups):
            start = g * self.group - self.missing
            side = max(sides[max(0, start) : start + self.group])
            taps = side * triton.next_power_of_2(side)
            self.sides.append(side)
            self.firsts.append(self.total)
            self.total += triton.cdiv(taps, tile.taps) * tile.taps
        self.constants = dict(
            SIDES=tuple(self.sides),
            FIRSTS=tuple(self.firsts),
            TOTAL=self.total,
            SIDE=self.side,
            GROUP=self.group,
            MISSING=self.missing,
            ATOMS=self.atoms,
        )

    def windows(self, dictionary: Tensor, atoms: list[Tensor]) -> Iterator[Tensor]:
        """Where each of the atoms lies in a dictionary: views (N, M_r, M_r)."""
        for r, v in enumerate(atoms, self.missing):
            g, member = divmod(r, self.group)
            side, first = self.sides[g], self.firsts[g]
            pitch = triton.next_power_of_2(side)
            start, spare = member * self.atoms, (side - v.shape[-1]) // 2
            rows = dictionary[start : start + len(v), first : first + side * pitch]
            lines = rows.unflatten(1, (side, pitch))
            inside = slice(spare, spare + v.shape[-1])
            yield lines[:, inside, inside]

    def mixing_window(self, mixed: Tensor, mixing: Tensor) -> Tensor:
        """Where (C_out, R, C, N) lies in (C_out, C, groups, columns): a view."""
        whole = mixed.unflatten(3, (self.group, self.atoms)).flatten(2, 3)
        return whole[:, :, self.missing :, : mixing.shape[3]].transpose(1, 2)


def kernel_constants(
    layout: Layout, tile: Tile, images: int, outputs: int, mixed: bool, precision: str
) -> tuple[dict, dict]:
    """What a kernel is compiled for.

    Args:
        layout (Layout): Of the dictionary.
        tile (Tile): What a program does at a time.
        images (int): Colours of the image.
        outputs (int): Colours of the result.
        mixed (bool): Whether products are mixed or summed.
        precision (str): Of products in float32.

    Returns:
        tuple[dict, dict]: Constants by their names in the kernels; options of Triton's
        compiler.
    """
    constants = dict(
        **layout.constants,
        IMAGES=images,
        OUTPUTS=outputs,
        MIXED=mixed,
        PIXELS=tile.pixels,
        TAPS=tile.taps,
        PRECISION=precision,
    )
    return constants, dict(num_warps=tile.warps, num_stages=tile.stages)


class _Call:
    """What all kernels are given, in the forms that they want.

    Attributes:
        padded (Tensor): The padded image, in the type of the products.
        mu (Tensor): With channels first or last in memory, as omega.
        sizes (tuple): H, W, R, N and strides.
        kind (tuple): What decides how long a tile takes, beside type and device.
    """

    def __init__(
        self,
        padded: Tensor,
        mu: Tensor,
        omega: Tensor,
        atoms: list[Tensor],
        mixing: Tensor | None,
    ) -> None:
        self.atoms, self.mixing = atoms, mixing
        self.sides = [v.shape[-1] for v in atoms]
        self.num_atoms = omega.shape[1]
        self.outputs = padded.shape[1] if mixing is None else len(mixing)
        self.dtype = omega.dtype
        height, width = mu.shape[2:]
        self.pixels = height * width
        self.padded = padded.to(self.dtype).contiguous()
        (self.mu, mu_strides), (self.omega, omega_strides) = _dense(mu), _dense(omega)
        strides = (*mu_strides, *omega_strides)
        self.sizes = (height, width, mu.shape[1], omega.shape[1], *strides)
        self.precision = _precision(self.dtype)
        colours = padded.shape[1], self.outputs, mixing is not None
        self.kind = (*self.sides, self.num_atoms, *colours, self.precision)

    def layout(self, tile: Tile) -> Layout:
        """Of the dictionary, for a tile."""
        return Layout(self.sides, self.num_atoms, tile)

    def grid(self, tile: Tile) -> tuple[int, int]:
        """Blocks of pixels, images."""
        return triton.cdiv(self.pixels, tile.pixels), len(self.padded)

    def constants(self, tile: Tile, layout: Layout) -> dict:
        """By the names in the kernels, and what the compiler is told."""
        constants, options = kernel_constants(
            *(layout, tile, self.padded.shape[1], self.outputs),
            *(self.mixing is not None, self.precision),
        )
        return constants | options

    def pack(self, layout: Layout) -> tuple[Tensor, Tensor]:
        """Dictionary, and mixing in float32; a stand-in where nothing is mixed."""
        dictionary = self.padded.new_zeros(layout.columns, layout.total)
        for v, window in zip(
            self.atoms, layout.windows(dictionary, self.atoms), strict=True
        ):
            window.copy_(v)
        if self.mixing is None:
            return dictionary, dictionary
        shape = self.outputs, self.padded.shape[1], layout.groups, layout.columns
        mixed = self.padded.new_zeros(shape, dtype=torch.float32)
        layout.mixing_window(mixed, self.mixing).copy_(self.mixing)
        return dictionary, mixed


def _copied(values: Tensor, like: Tensor) -> Tensor:
    """In memory of its own: outputs of an operation must not share any."""
    return torch.empty_like(like).copy_(values)


def _precision(dtype: torch.dtype) -> str:
    """Of products in the matrix units; three of TF32 are as exact as one of float32."""
    if dtype != torch.float32:
        return 'ieee'
    exact = torch.get_float32_matmul_precision() == 'highest'
    return 'tf32x3' if exact else 'tf32'


def _dense(weights: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """With channels first or last in memory; steps to the next channel and pixel."""
    _, channels, height, width = weights.shape
    if weights.is_contiguous(memory_format=torch.channels_last):
        return weights, (1, channels)
    return weights.contiguous(), (height * width, 1)
