r"""The gates of a ConvLSTM cell.

.. math::
    (i, f, o, g) = W z + b, \quad
    c' = \sigma(f) c + \sigma(i) \tanh(g), \quad h' = \sigma(o) \tanh(c')

with a 1x1 convolution W. The fast form goes through the image in pieces that stay in a
processor's cache, and keeps z and c alone for training, where the plain one keeps every
gate before and after its nonlinearity. It takes tanh(g) as 2σ(2g) − 1, which PyTorch
computes several times as fast on a CPU, so that one σ serves all gates.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .precision import arithmetic_of, autocast
from .references import using_references

# Pixels per piece: with 64 gates in float32, 2 MB.
_PIECE = 8192


def gated_update_reference(
    z: Tensor, weight: Tensor, bias: Tensor, c: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The equations, one after another.

    This is what :func:`gated_update`, which takes and returns the same, is tested
    against.
    """
    i, f, o, g = F.conv2d(z, weight, bias).chunk(4, 1)
    new = i.sigmoid() * g.tanh()
    c = new if c is None else f.sigmoid() * c + new
    return o.sigmoid() * c.tanh(), c


def gated_update(
    z: Tensor, weight: Tensor, bias: Tensor, c: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Hidden and cell state from the features of a cell.

    Args:
        z (Tensor): (B, K, H, W).
        weight (Tensor): (4C, K, 1, 1), gates in the order i, f, o, g.
        bias (Tensor): (4C,).
        c (Tensor, optional): Cell state, (B, C, H, W). Default: None, zero.

    Returns:
        tuple[Tensor, Tensor]: h' and c', (B, C, H, W), in autocast's type under
        autocast.

    Example:
        >>> import torch
        >>> from mmagic_inik.ops import gated_update
        >>> z, weight = torch.zeros(1, 2, 5, 7), torch.ones(4, 2, 1, 1)
        >>> h, c = gated_update(z, weight, torch.zeros(4))
        >>> h.shape, h.abs().max()
        (torch.Size([1, 1, 5, 7]), tensor(0.))
    """
    # One rule for every path, or a state in float32 would stay so on some alone.
    z, weight, bias, c = autocast(z, weight, bias, c)
    # A compiler fuses the plain form by itself.
    if using_references() or torch.compiler.is_compiling() or not z.is_cpu:
        return gated_update_reference(z, weight, bias, c)
    # It would undo what is widened where the processor is slow in the type.
    with torch.autocast('cpu', enabled=False):
        return _InPieces.apply(z, weight, bias, c)


class _InPieces(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, z: Tensor, weight: Tensor, bias: Tensor, c: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(z, weight, bias, c)
        ctx.set_materialize_grads(False)
        channels = len(bias) // 4
        kernel, offset = _rows_that_matter(weight, bias, c)
        h_new, c_new = z.new_empty(2, z[:, 0].numel(), channels)
        for z_, c_, h_, to_ in _pieces(_table(z), _table(c), h_new, c_new):
            i, f, o, t = _gates(z_, kernel, offset, channels)
            state = _new_state(i, f, t, c_)
            to_.copy_(state)
            h_.copy_(_minus_tanh_times(o, state.mul_(2).sigmoid_()).neg_())
        return _image(h_new, z), _image(c_new, z)

    @staticmethod
    @torch.autograd.function.once_differentiable
    @torch.autocast('cpu', enabled=False)
    # Whose signature autocast's decorator hides.
    def backward(  # type: ignore[override]
        ctx: Any, grad_h: Tensor | None, grad_c: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        z, weight, bias, c = ctx.saved_tensors
        channels = len(bias) // 4
        kernel, offset = _rows_that_matter(weight, bias, c)
        grad_kernel, grad_offset = (
            torch.zeros_like(t, dtype=_wide(t)) for t in (kernel, offset)
        )
        tables: list[Any] = [_table(t) for t in (z, c, grad_h, grad_c)]
        grad_z = torch.empty_like(tables[0])
        grad_before = None if c is None else torch.empty_like(tables[1])
        for z_, c_, gh, gc, to_z, to_c in _pieces(*tables, grad_z, grad_before):
            gates = _gates(z_, kernel, offset, channels)
            grads, before = _backward_of_gates(gates, c_, gh, gc)
            grads_narrow = grads.to(kernel.dtype)
            to_z.copy_(grads_narrow @ kernel)
            grad_kernel += grads_narrow.mT @ z_.to(kernel.dtype)
            grad_offset += grads.sum(0)
            if c_ is not None:
                to_c.copy_(before)
        grad_weight, grad_bias = (
            _of_all_rows(grad, channels).to(like.dtype).view_as(like)
            for grad, like in ((grad_kernel, weight), (grad_offset, bias))
        )
        before_all = None if grad_before is None else _image(grad_before, c)
        return _image(grad_z, z), grad_weight, grad_bias, before_all


def _gates(
    z: Tensor, kernel: Tensor, offset: Tensor, channels: int
) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """σ(i), σ(f), σ(o), σ(2g) of some pixels, in float32 at least; no f without c."""
    gates = torch.addmm(offset, z.to(kernel.dtype), kernel.mT)
    gates = gates.to(_wide(gates)).sigmoid_()
    i, *f, o, t = gates.split(channels, 1)
    return i, f[0] if f else None, o, t


def _minus_tanh_times(factor: Tensor, t: Tensor) -> Tensor:
    """−factor · tanh(x), of t = σ(2x)."""
    return torch.addcmul(factor, factor, t, value=-2)


def _new_state(i: Tensor, f: Tensor | None, t: Tensor, c: Tensor | None) -> Tensor:
    minus_new = _minus_tanh_times(i, t)
    return minus_new.neg_() if c is None or f is None else (f * c).sub_(minus_new)


def _backward_of_gates(
    gates: tuple[Tensor, Tensor | None, Tensor, Tensor],
    c: Tensor | None,
    grad_h: Tensor | None,
    grad_c: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    """Gradients of i, f, o and 2g before their nonlinearities, and of c."""
    i, f, o, t = gates
    tanh = _new_state(i, f, t, c).mul_(2).sigmoid_().mul_(2).sub_(1)
    grad_o = torch.zeros_like(o)
    grad = torch.zeros_like(o) if grad_c is None else grad_c.to(o.dtype)
    if grad_h is not None:
        grad_o = grad_h * tanh
        grad = torch.addcmul(grad, grad_h * o, 1 - tanh * tanh)
    grads = [grad * (2 * t - 1) * i * (1 - i)]
    if c is not None and f is not None:
        grads.append(grad * c * f * (1 - f))
    grads += [grad_o * o * (1 - o), 2 * grad * i * t * (1 - t)]
    return torch.cat(grads, 1), None if f is None else grad * f


def _rows_that_matter(weight: Tensor, bias: Tensor, c: Tensor | None) -> list[Tensor]:
    """Of W and b, in the type to multiply in: without a state nothing is forgotten.

    Those of g are doubled.
    """
    rows = (t.to(arithmetic_of(weight)) for t in (weight.flatten(1), bias))
    parts = (t.chunk(4) for t in rows)
    return [
        torch.cat([i, *([] if c is None else [f]), o, 2 * g]) for i, f, o, g in parts
    ]


def _of_all_rows(grad: Tensor, channels: int) -> Tensor:
    """Gradients of W or b from those of :func:`_rows_that_matter`."""
    i, *f, o, g = grad.split(channels)
    return torch.cat([i, f[0] if f else torch.zeros_like(i), o, 2 * g])


def _wide(t: Tensor) -> torch.dtype:
    return torch.promote_types(t.dtype, torch.float32)


def _table(image: Tensor | None) -> Any:
    """(B, C, H, W) → (pixels, C), no copy where channels lie last; None stays None."""
    return None if image is None else image.movedim(1, -1).reshape(-1, image.shape[1])


def _image(table: Tensor, like: Tensor) -> Tensor:
    """(pixels, C) → (B, C, H, W), channels last in memory."""
    batch, _, *size = like.shape
    return table.view(batch, *size, table.shape[1]).movedim(-1, 1)


def _pieces(first: Tensor, *others: Tensor | None) -> Iterator[list[Any]]:
    """Of all of them some rows at a time; None stays None."""
    for start in range(0, len(first), _PIECE):
        rows = slice(start, start + _PIECE)
        yield [None if t is None else t[rows] for t in (first, *others)]
