"""Eq. 9 in bands of a few rows, on any device, in float32 at least."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .processor import vector_lanes

# Pixels per band: with 30 products in float32, 2 MB, which stays in a cache.
_BAND = 16384
# What part of a convolution's time must be left for another form of it to be taken.
_WORTH_IT = 0.9


def filter_bands(
    padded: Tensor,
    mu: Tensor,
    omega: Tensor,
    atoms: list[Tensor],
    mixing: Tensor | None,
) -> Tensor:
    """As ``inverse_filter`` without bias, without gradients.

    ``padded`` is y with what the largest kernel sees beyond it.
    """
    channels = padded.shape[1] if mixing is None else len(mixing)
    out = padded.new_empty(len(padded), channels, *mu.shape[2:])
    padded = padded.to(_wide(padded))
    half, dtype = _largest_half(atoms), padded.dtype
    s = _neighbours(padded, omega, atoms)
    kernels = [_of_neighbours(v.to(dtype), s) for v in atoms]
    mixings = None if mixing is None else _mixings(mixing.to(dtype), s)
    for rows, seen in _bands(mu, half):
        parts = padded[:, :, seen], mu[:, :, rows], omega[:, :, rows]
        band = _filter_band(*parts, kernels, mixings, half, s)
        # (B, s, C, rows, W / s) → (B, C, rows, W).
        out[:, :, rows].unflatten(-1, (-1, s)).copy_(band.movedim(1, -1))
    return out


def filter_bands_backward(
    grad: Tensor,
    padded: Tensor,
    mu: Tensor,
    omega: Tensor,
    atoms: list[Tensor],
    mixing: Tensor | None,
    needs_image: bool,
) -> tuple[Tensor | None, Tensor, Tensor, list[Tensor], Tensor | None]:
    """Gradients of the padded image (if needed), mu, omega, atoms and mixing."""
    dtype = padded.dtype
    padded = padded.to(_wide(padded))
    d_padded: Any = torch.zeros_like(padded) if needs_image else None
    d_mu, d_omega = torch.empty_like(mu), torch.empty_like(omega)
    # Sums over bands, which a narrow type would round after each.
    d_atoms = [torch.zeros_like(v, dtype=padded.dtype) for v in atoms]
    d_mixing: Any = (
        None if mixing is None else torch.zeros_like(mixing, dtype=padded.dtype)
    )
    for rows, seen in _bands(mu, _largest_half(atoms)):
        parts = padded[:, :, seen], mu[:, :, rows], omega[:, :, rows]
        _add_band_gradients(
            *(grad[:, :, rows].to(padded.dtype), *parts, atoms, mixing),
            None if d_padded is None else d_padded[:, :, seen],
            *(d_mu[:, :, rows], d_omega[:, :, rows], d_atoms, d_mixing),
        )
    d_padded = d_padded.to(dtype) if needs_image else None
    d_atoms = [d.to(v.dtype) for d, v in zip(d_atoms, atoms, strict=True)]
    d_mixing = None if mixing is None else d_mixing.to(mixing.dtype)
    return d_padded, d_mu, d_omega, d_atoms, d_mixing


def _filter_band(
    y: Tensor,
    mu: Tensor,
    omega: Tensor,
    kernels: list[Tensor],
    mixings: list[Tensor] | None,
    half: int,
    s: int,
) -> Tensor:
    """Eq. 9 for some rows, one kernel size after another.

    ``y`` is padded by ``half`` on all sides. Arithmetic is in its type. Of s neighbours
    in a row, each has channels of its own (:func:`_neighbours`).
    """
    mu, omega = (
        w.to(y.dtype).unflatten(-1, (-1, s)).movedim(-1, 1).contiguous()
        for w in (mu, omega)
    )
    out: Any = None
    for r, kernel in enumerate(kernels):
        filtered = _filter_all(y, kernel, half, s)  # (B, C, s N, rows, W / s)
        products = filtered.unflatten(2, (s, -1)).mul_(omega.unsqueeze(1))
        if mixings is None:
            summed = products.sum(3).transpose(1, 2)
        else:
            mixed = F.conv2d(products.flatten(1, 3), mixings[r])
            summed = mixed.unflatten(1, (s, -1))
        mu_r = mu[:, :, r : r + 1]
        out = mu_r * summed if out is None else torch.addcmul(out, mu_r, summed)
    return out


def _neighbours(y: Tensor, omega: Tensor, atoms: list[Tensor]) -> int:
    """How many pixels of a row a convolution computes as channels of one.

    A processor computes channels in vectors, which the N of one pixel do not fill: with
    s neighbours they are N s, by kernels that are s - 1 taps wider. Sums are the
    same to rounding.
    """
    if not y.is_cpu:
        return 1
    lanes = vector_lanes()
    _, num_atoms, _, width = omega.shape

    def cost(s: int) -> float:
        taps = sum(v.shape[-1] * (v.shape[-1] + s - 1) for v in atoms)
        return taps * -(-num_atoms * s // lanes) / s

    best = min((s for s in (1, 2, 4, 8) if width % s == 0), key=cost)
    # To bring them into that order takes time, too.
    return best if cost(best) < _WORTH_IT * cost(1) else 1


def _of_neighbours(v: Tensor, s: int) -> Tensor:
    """(N, M, M) → (s N, 1, M, M + s - 1): for each of s neighbours."""
    shifted = [F.pad(v, (i, s - 1 - i)) for i in range(s)]
    return torch.cat(shifted).unsqueeze(1)


def _mixings(mixing: Tensor, s: int) -> list[Tensor]:
    """By size, (s C_out, C s N, 1, 1): each of s neighbours by itself."""
    same = torch.eye(s, dtype=mixing.dtype, device=mixing.device)
    of_all = torch.einsum('orcn,pq->rpocqn', mixing, same)
    return list(of_all.flatten(3).flatten(1, 2)[..., None, None])


def _add_band_gradients(
    grad: Tensor,
    y: Tensor,
    mu: Tensor,
    omega: Tensor,
    atoms: list[Tensor],
    mixing: Tensor | None,
    d_y: Tensor | None,
    d_mu: Tensor,
    d_omega: Tensor,
    d_atoms: list[Tensor],
    d_mixing: Any,
) -> None:
    """Adds a band's part to ``d_y``, ``d_atoms`` and ``d_mixing``; fills the others."""
    mu, omega = (w.to(y.dtype).contiguous() for w in (mu, omega))
    total = torch.zeros_like(omega)
    for r, v in enumerate(atoms):
        kernel = v.to(y.dtype).unsqueeze(1)
        filtered = _filter_all(y, kernel, _largest_half(atoms))  # (B, C, N, rows, W)
        # Of all products of this size, without their weights: (B, C, N, rows, W).
        d_products = grad.unsqueeze(2)
        if mixing is not None:
            kernel = mixing[:, r].to(y.dtype).flatten(1).mT[..., None, None]
            d_products = F.conv2d(grad, kernel).unflatten(1, filtered.shape[1:3])
        scale = (d_products * filtered).sum(1)  # (B, N, rows, W)
        d_mu[:, r] = (scale * omega).sum(1)
        weight = mu[:, r : r + 1] * omega
        total.addcmul_(mu[:, r : r + 1], scale)
        if mixing is not None:
            weighted = (filtered * weight.unsqueeze(1)).flatten(1, 2)
            found = torch.einsum('bkhw,bjhw->kj', grad, weighted)
            d_mixing[:, r] += found.view_as(d_mixing[:, r])
        _add_filter_gradients(d_products * weight.unsqueeze(1), y, v, d_y, d_atoms[r])
    d_omega.copy_(total)


def _filter_all(y: Tensor, kernel: Tensor, half: int, s: int = 1) -> Tensor:
    """All kernels * y_c, at every s-th pixel of a row: (B, C, K, rows, W / s).

    ``y`` is padded by ``half``; kernels as of :func:`_of_neighbours`.
    """
    planes = _cropped(y, half - kernel.shape[-2] // 2).flatten(0, 1).unsqueeze(1)
    return F.conv2d(planes, kernel, stride=(1, s)).unflatten(0, y.shape[:2])


def _add_filter_gradients(
    grad: Tensor, y: Tensor, v: Tensor, d_y: Tensor | None, d_v: Tensor
) -> None:
    """Backward of :func:`_filter_all`."""
    spare = (y.shape[-1] - grad.shape[-1] - v.shape[-1] + 1) // 2
    planes = _cropped(y, spare).flatten(0, 1)
    d_v += _kernel_gradient(grad.flatten(0, 1), planes, v.shape[-1])
    if d_y is not None:
        kernel = v.to(y.dtype).unsqueeze(1)
        d_planes = F.conv_transpose2d(grad.flatten(0, 1), kernel)
        part = _cropped(d_y, spare)
        part += d_planes.view_as(part)


def _kernel_gradient(grad: Tensor, planes: Tensor, side: int) -> Tensor:
    """Gradient (N, M, M) of the kernels of ``planes`` (P, H, W), of one channel each.

    The M neighbours of a pixel in its row are taken for channels, and M × 1 kernels for
    the M × M ones: a processor computes many channels several times as fast as one.
    """
    neighbours = planes.unfold(2, side, 1).contiguous().movedim(-1, 1)
    grad = grad.contiguous(memory_format=torch.channels_last)
    like = grad.new_empty(grad.shape[1], side, side, 1)
    _, found, _ = torch.ops.aten.convolution_backward(
        *(grad, neighbours, like, None),
        *([1, 1], [0, 0], [1, 1], False, [0, 0], 1),
        output_mask=[False, True, False],
    )
    return found.squeeze(-1).mT


def _cropped(y: Tensor, spare: int) -> Tensor:
    height, width = y.shape[2:]
    return y[..., spare : height - spare, spare : width - spare]


def _wide(t: Tensor) -> torch.dtype:
    return torch.promote_types(t.dtype, torch.float32)


def _largest_half(atoms: list[Tensor]) -> int:
    return max(v.shape[-1] for v in atoms) // 2


def _bands(weights: Tensor, half: int) -> Iterator[tuple[slice, slice]]:
    """Rows of every band, and of the padded image that they see."""
    batch, _, height, width = weights.shape
    count = max(1, _BAND // max(1, batch * width))
    for start in range(0, height, count):
        end = min(start + count, height)
        yield slice(start, end), slice(start, end + 2 * half)
