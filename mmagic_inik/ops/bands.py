"""Eq. 9 in bands of a few rows, on any device.

Channels lie last in memory all the way. A convolution computes s neighbours in a row,
a *group*, as one pixel with the N atoms of each as its channels, from the M + s - 1
pixels of a row that the group sees, its input channels: so a processor reaches the pace
of its largest convolutions, where one of one channel would spend several times as long
on bringing channels to their places.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .processor import computes_in, vector_lanes

# Pixels per band: with 30 products in float32, 4 MB, which stays in a cache.
_BAND = 32768
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
    half, dtype = _largest_half(atoms), _type_of_products(padded, omega)
    s = _neighbours(padded, omega, atoms)
    kernels = [_of_neighbours(v.to(dtype), s) for v in atoms]
    mixings = None if mixing is None else _mixings(mixing.to(dtype), s)
    for rows, seen in _bands(mu, half):
        y, mu_, omega_ = padded[:, :, seen].to(dtype), mu[:, :, rows], omega[:, :, rows]
        band = _filter_band(y, mu_, omega_, kernels, mixings, half, s)
        _fill(out[:, :, rows], band)
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
    half, dtype = _largest_half(atoms), _type_of_products(padded, omega)
    wide, s = _wide(padded), _neighbours(padded, omega, atoms)
    kernels = [_of_neighbours(v.to(dtype), s) for v in atoms]
    mixings = None if mixing is None else _mixings(mixing.to(dtype), s)
    d_padded: Any = torch.zeros_like(padded, dtype=wide) if needs_image else None
    d_mu, d_omega = torch.empty_like(mu), torch.empty_like(omega)
    # Sums over bands, which a narrow type would round after each.
    d_kernels = [torch.zeros_like(kernel, dtype=wide) for kernel in kernels]
    d_mixings = mixings and [torch.zeros_like(m, dtype=wide) for m in mixings]
    for rows, seen in _bands(mu, half):
        _add_band_gradients(
            grad[:, :, rows].to(dtype),
            padded[:, :, seen].to(dtype),
            mu[:, :, rows],
            omega[:, :, rows],
            kernels,
            mixings,
            half,
            s,
            None if d_padded is None else d_padded[:, :, seen],
            d_mu[:, :, rows],
            d_omega[:, :, rows],
            d_kernels,
            d_mixings,
        )
    d_padded = d_padded.to(padded.dtype) if needs_image else None
    d_atoms = [
        _of_one_pixel(d, s).to(v.dtype) for d, v in zip(d_kernels, atoms, strict=True)
    ]
    d_mixing: Any = None
    if mixing is not None and d_mixings is not None:
        d_mixing = torch.stack([_mixing_of(d, s) for d in d_mixings], 1)
        d_mixing = d_mixing.to(mixing.dtype)
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
    """Eq. 9 for some rows: (B, groups, C, s), one kernel size after another.

    ``y`` is padded by ``half`` on all sides. Products are in its type, and summed over
    sizes in float32 at least.
    """
    weights = _by_group(omega, s).to(y.dtype).unsqueeze(1)
    out: Any = None
    for r, kernel in enumerate(kernels):
        products = _filter_all(_seen(y, kernel, half, s), kernel, y).mul_(weights)
        if mixings is None:
            summed = products.unflatten(-1, (s, -1)).sum(-1).transpose(1, 2)
        else:
            # The colours, which lie one behind another, are rows of an image.
            mixed = F.conv2d(products.movedim(-1, 1), mixings[r])
            summed = mixed.flatten(2).mT.unflatten(-1, (-1, s))
        mu_r = _by_group(mu[:, r : r + 1], s).to(_wide(y)).unsqueeze(2)
        out = mu_r * summed if out is None else torch.addcmul(out, mu_r, summed)
    return out


def _add_band_gradients(
    grad: Tensor,
    y: Tensor,
    mu: Tensor,
    omega: Tensor,
    kernels: list[Tensor],
    mixings: list[Tensor] | None,
    half: int,
    s: int,
    d_y: Tensor | None,
    d_mu: Tensor,
    d_omega: Tensor,
    d_kernels: list[Tensor],
    d_mixings: list[Tensor] | None,
) -> None:
    """Adds a band's part to ``d_y`` and the kernels'; fills ``d_mu`` and ``d_omega``.

    Arithmetic is in the type of ``y``.
    """
    weights = _by_group(omega, s).to(y.dtype)  # (B, groups, s N)
    # (B, groups, C_out s)
    grads = grad.unflatten(-1, (-1, s)).movedim(1, -2).flatten(3).flatten(1, 2)
    total = torch.zeros_like(weights).unflatten(-1, (s, -1))
    for r, kernel in enumerate(kernels):
        seen = _seen(y, kernel, half, s)
        filtered = _filter_all(seen, kernel, y)  # (B, C, groups, s N)
        # Of all products of this size, without their weights.
        if mixings is None:
            of_one = grads.unflatten(-1, (-1, s)).transpose(1, 2).unsqueeze(-1)
            d_products = of_one.expand(*of_one.shape[:-1], omega.shape[1]).flatten(3)
        else:
            by_colour = mixings[r].squeeze(-1).movedim(-1, 0)  # (C, s C_out, s N)
            d_products = grads.unsqueeze(1) @ by_colour
        scale = (d_products * filtered).sum(1)  # (B, groups, s N)
        of_size = (scale * weights).unflatten(-1, (s, -1)).sum(-1)
        _fill(d_mu[:, r : r + 1], of_size.unsqueeze(2))
        mu_r = _by_group(mu[:, r : r + 1], s).to(y.dtype).unsqueeze(-1)
        total.addcmul_(mu_r, scale.unflatten(-1, (s, -1)))
        weight = (mu_r * weights.unflatten(-1, (s, -1))).flatten(2).unsqueeze(1)
        if d_mixings is not None:
            found = torch.einsum('bgk,bcgl->klc', grads, filtered.mul_(weight))
            d_mixings[r] += found.unsqueeze(-1)
        d_filtered = (d_products * weight).flatten(0, 1)
        d_filtered = d_filtered.unflatten(1, (grad.shape[2], -1)).movedim(-1, 1)
        wanted = d_y is not None
        d_seen, d_kernel, _ = torch.ops.aten.convolution_backward(
            *(d_filtered, seen, kernel, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1),
            output_mask=[wanted, True, False],
        )
        d_kernels[r] += d_kernel
        if d_y is not None:
            spare = half - kernel.shape[2] // 2
            _add_unseen(d_seen, _cropped(d_y, spare), s)
    _fill(d_omega, total.mT)


def _type_of_products(padded: Tensor, omega: Tensor) -> torch.dtype:
    """That of ``omega``, if it is narrower and this processor is fast in it."""
    wide = _wide(padded)
    is_narrow = wide == torch.float32 and _wide(omega) != omega.dtype
    is_fast = padded.is_cpu and is_narrow and computes_in(omega.dtype)
    return omega.dtype if is_fast else wide


def _neighbours(y: Tensor, omega: Tensor, atoms: list[Tensor]) -> int:
    """How many pixels of a row make a group.

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
    """(N, M, M) → (s N, M + s - 1, M, 1): for each pixel of a group."""
    shifted = [F.pad(v, (i, s - 1 - i)) for i in range(s)]
    return torch.cat(shifted).mT.unsqueeze(-1).contiguous()


def _of_one_pixel(d_kernel: Tensor, s: int) -> Tensor:
    """Gradient of :func:`_of_neighbours`."""
    side = d_kernel.shape[2]
    shifted = d_kernel.squeeze(-1).unflatten(0, (s, -1))
    return torch.stack([d[:, i : i + side] for i, d in enumerate(shifted)]).sum(0).mT


def _mixings(mixing: Tensor, s: int) -> list[Tensor]:
    """By size, (C_out s, s N, C, 1): each pixel of a group by itself."""
    same = torch.eye(s, dtype=mixing.dtype, device=mixing.device)
    of_all = torch.einsum('orcn,pq->roqpnc', mixing, same)
    return list(of_all.flatten(3, 4).flatten(1, 2).unsqueeze(-1).contiguous())


def _mixing_of(d_kernel: Tensor, s: int) -> Tensor:
    """Gradient of :func:`_mixings` for one size: (C_out, C, N)."""
    by_pixels = d_kernel.squeeze(-1).unflatten(0, (-1, s)).unflatten(2, (s, -1))
    return torch.einsum('oqqnc->ocn', by_pixels)


def _by_group(planes: Tensor, s: int) -> Tensor:
    """(B, K, rows, W) → (B, groups, s K)."""
    batch, channels, rows, width = planes.shape
    by_pixel = planes.movedim(1, -1)
    return by_pixel.reshape(batch, rows * width // s, s * channels)


def _fill(planes: Tensor, by_group: Tensor) -> None:
    """Copies (B, groups, K, s) to (B, K, rows, W)."""
    _, _, rows, width = planes.shape
    s = by_group.shape[-1]
    of_rows = by_group.unflatten(1, (rows, width // s)).movedim(3, 1)
    planes.unflatten(-1, (-1, s)).copy_(of_rows)


def _seen(y: Tensor, kernel: Tensor, half: int, s: int) -> Tensor:
    """What the groups see: (B C, M + s - 1, rows + M - 1, W / s).

    ``y`` is padded by ``half``; kernels as of :func:`_of_neighbours`.
    """
    planes = _cropped(y, half - kernel.shape[2] // 2).flatten(0, 1)
    return planes.unfold(-1, kernel.shape[1], s).contiguous().movedim(-1, 1)


def _add_unseen(d_seen: Tensor, d_y: Tensor, s: int) -> None:
    """Adds the gradient of :func:`_seen` to that of the cropped image."""
    groups = d_seen.shape[-1]
    for i, d in enumerate(d_seen.unflatten(0, d_y.shape[:2]).unbind(2)):
        d_y[..., i : i + s * groups : s] += d


def _filter_all(seen: Tensor, kernel: Tensor, y: Tensor) -> Tensor:
    """All atoms * y_c at all pixels of all groups: (B, C, groups, s N)."""
    filtered = F.conv2d(seen, kernel)
    batch, channels = y.shape[:2]
    by_group = filtered.movedim(1, -1).flatten(1, 2)
    return by_group.contiguous().unflatten(0, (batch, channels))


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
