"""3x3 convolution with reflect padding, ReLU and a residual.

A convolution padded by zeros differs from one padded by reflection in the outermost
ring of pixels alone. So the image is convolved without a padded copy, and what
reflection adds to the ring is computed from single rows and columns. For training,
nothing is kept but input and, with a ReLU, output. On a CPU that is slow in the type of
its input, all of it runs in float32.
"""

import warnings
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import processor
from .precision import arithmetic_of, autocast, compute
from .references import using_references

# Below so many pixels a padded copy costs less than the ring's convolutions; and a ring
# needs an inside to reflect.
_LEAST_PIXELS, _LEAST_SIDE = 512, 3
# Types in which oneDNN's sum in place has failed.
_failed: set[torch.dtype] = set()


def reflect_conv_reference(
    x: Tensor,
    weight: Tensor,
    stride: int = 1,
    relu: bool = False,
    residual: Tensor | None = None,
) -> Tensor:
    """Pad, convolve, rectify, add: each in a pass of its own.

    This is what :func:`reflect_conv`, which takes and returns the same, is tested
    against.
    """
    y = F.conv2d(_padded(x), weight, stride=stride)
    y = y if residual is None else residual + y
    return F.relu(y) if relu else y


def reflect_conv(
    x: Tensor,
    weight: Tensor,
    stride: int = 1,
    relu: bool = False,
    residual: Tensor | None = None,
    overwrite: bool = False,
) -> Tensor:
    """relu(residual + conv(x)), padded by reflection.

    An image with a side of one pixel is replicated instead.

    Args:
        x (Tensor): (B, C, H, W).
        weight (Tensor): (C_out, C, 3, 3).
        stride (int): 1 or 2. Default: 1.
        relu (bool): Whether the result is rectified. Default: False.
        residual (Tensor, optional): Of the result's shape.
        overwrite (bool): Whether the result may take the place of ``residual``, which
            saves memory and time where no gradients are needed. Default: False.

    Returns:
        Tensor: (B, C_out, ⌈H/stride⌉, ⌈W/stride⌉), in autocast's type under autocast;
        on a CPU with the channels last in memory.

    Example:
        >>> import torch
        >>> from mmagic_inik.ops import reflect_conv
        >>> mean = torch.full((1, 1, 3, 3), 1 / 9)
        >>> reflect_conv(torch.ones(1, 1, 5, 7), mean).min() > 0.999
        tensor(True)
    """
    # One rule for every path, or a residual in float32 would stay so on some alone.
    x, weight, residual = autocast(x, weight, residual)
    # A compiler fuses the plain form by itself.
    if (
        using_references()
        or torch.compiler.is_compiling()
        or not x.is_cpu
        or x.shape[-2:].numel() < _LEAST_PIXELS
        or min(x.shape[-2:]) < _LEAST_SIDE
    ):
        return compute(partial(_plain, stride, relu), x, weight, residual)
    x = x.contiguous(memory_format=torch.channels_last)
    if overwrite and stride == 1 and _adds_in_place(x, weight, residual):
        out = _try_to_add_in_place(x, weight, residual)
        if out is not None:
            return _corrected(out, x, weight, stride, relu)
    return _RingCorrected.apply(x, weight, stride, relu, residual)


def _padded(x: Tensor) -> Tensor:
    """Reflected by a pixel on all sides; replicated where a side is one pixel."""
    height, width = x.shape[-2:]
    if min(height, width) > 1:
        return F.pad(x, (1, 1, 1, 1), 'reflect')
    if not torch.jit.is_tracing():
        return F.pad(x, (1, 1, 1, 1), 'replicate')
    # What is traced is to hold for larger sides, too: there it steps back by one.
    # In a trace, sides are tensors.
    least = torch.minimum(height, width)  # type: ignore[arg-type]
    step = (least - 1).clamp(max=1)
    for axis, side in ((2, height), (3, width)):
        ends = step.view(1), (side - 1 - step).view(1)
        index = torch.cat([ends[0], torch.arange(side, device=x.device), ends[1]])
        x = x.index_select(axis, index)
    return x


def _plain(
    stride: int, relu: bool, x: Tensor, weight: Tensor, residual: Tensor | None
) -> Tensor:
    return reflect_conv_reference(x, weight, stride, relu, residual)


class _RingCorrected(torch.autograd.Function):
    """Convolution padded by zeros, plus what reflection adds to the ring."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        stride: int,
        relu: bool,
        residual: Tensor | None,
    ) -> Tensor:
        y = compute(partial(_convolve, stride, relu), x, weight, residual)
        ctx.save_for_backward(x, weight, y if relu else None)
        ctx.stride = stride
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    @torch.autocast('cpu', enabled=False)
    # Whose signature autocast's decorator hides.
    def backward(  # type: ignore[override]
        ctx: Any, grad: Tensor
    ) -> tuple[Tensor | None, ...]:
        x, weight, y = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        if y is not None:
            grad = torch.ops.aten.threshold_backward(grad, y, 0)
        needs_x, *_, needs_residual = ctx.needs_input_grad
        grad_x, grad_weight = _gradients(grad, x, weight, ctx.stride, needs_x)
        residual_grad = grad if needs_residual else None
        return grad_x, grad_weight, None, None, residual_grad


def _convolve(
    stride: int, relu: bool, x: Tensor, weight: Tensor, residual: Tensor | None
) -> Tensor:
    y = F.conv2d(x, weight, stride=stride, padding=1)
    if residual is not None:
        y += residual
    return _corrected(y, x, weight, stride, relu)


def _gradients(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int, needs_x: bool
) -> tuple[Tensor | None, Tensor]:
    """Of input and weight, from that of the convolution."""
    dtype, kind = x.dtype, arithmetic_of(x)
    grad, x, weight = (t.to(kind) for t in (grad, x, weight))
    grad_x, grad_weight, _ = torch.ops.aten.convolution_backward(
        *(grad, x, weight, None, [stride] * 2, [1, 1], [1, 1], False, [0, 0], 1),
        output_mask=[needs_x, True, False],
    )
    with torch.enable_grad():
        kernel = weight.detach().requires_grad_()
        lines = [
            line if line is None else line.detach().requires_grad_()
            for line in _lines(x, stride)
        ]
        leaves = [*(line for line in lines if line is not None), kernel]
        *line_grads, ring_grad = torch.autograd.grad(
            _reflected(lines, kernel, stride), leaves, _ring(grad, x, stride)
        )
    if needs_x:
        parts = (line for line in _lines(grad_x, stride) if line is not None)
        for part, line_grad in zip(parts, line_grads, strict=True):
            part += line_grad
        grad_x = grad_x.to(dtype)
    return grad_x, (grad_weight + ring_grad).to(dtype)


def _adds_in_place(x: Tensor, weight: Tensor, residual: Tensor | None) -> bool:
    """Whether oneDNN can add its result to ``residual``, as PyTorch's compiler does."""
    if residual is None:
        return False
    tensors = (x, weight, residual)
    return (
        # Nothing that only stands for numbers, as a subclass can.
        all(type(t) in (Tensor, nn.Parameter) for t in tensors)
        and all(t.dtype == x.dtype for t in tensors)
        and residual.is_contiguous(memory_format=torch.channels_last)
        and not {_storage(x), _storage(weight)} & {_storage(residual)}
        and not (torch.is_grad_enabled() and any(t.requires_grad for t in tensors))
        and bool(torch.backends.mkldnn.enabled)
        and x.dtype in (torch.float32, torch.bfloat16, torch.float16)
        and x.dtype not in _failed
        and processor.computes_in(x.dtype)
        and _sums_are_right(x.dtype)
    )


def _storage(t: Tensor) -> int:
    return t.untyped_storage().data_ptr()


@cache
def _sums_are_right(dtype: torch.dtype) -> bool:
    """Whether the private operation does what it did when this was written."""

    def trial() -> list[tuple[Tensor, Tensor]]:
        shapes = (1, 16, 8, 9), (8, 16, 3, 3), (1, 8, 8, 9)
        x, weight, residual = (processor.sample(*shape).to(dtype) for shape in shapes)
        x, residual = (
            t.contiguous(memory_format=torch.channels_last) for t in (x, residual)
        )
        exact = residual.float() + F.conv2d(x.float(), weight.float(), padding=1)
        out = _add_in_place(x, weight, residual)
        return [(out, exact), (residual, exact)]

    return processor.keeps_its_word(f'convolution in place in {str(dtype)[6:]}', trial)


def _try_to_add_in_place(x: Tensor, weight: Tensor, residual: Tensor) -> Tensor | None:
    """The sum, in the place of ``residual``; None where oneDNN will not for this shape.

    It refuses before it computes, so that ``residual`` is then as it was.
    """
    try:
        return _add_in_place(x, weight, residual)
    except RuntimeError as error:
        if "can't allocate memory" in str(error):
            raise
        _failed.add(x.dtype)
        warnings.warn(
            f'convolution in place in {str(x.dtype)[6:]} cannot be used on this '
            f'processor ({str(error).splitlines()[0]}); a slower form takes its place',
            stacklevel=2,
        )
    return None


def _add_in_place(x: Tensor, weight: Tensor, residual: Tensor) -> Tensor:
    one = [1, 1]
    return torch.ops.mkldnn._convolution_pointwise_.binary(
        *(residual, x, weight, None, one, one, one, 1, 'add', 1.0, None, [], None)
    )


def _corrected(y: Tensor, x: Tensor, weight: Tensor, stride: int, relu: bool) -> Tensor:
    """Adds to a result of zero padding, in place, what reflection adds."""
    reflected = _reflected(_lines(x, stride), weight, stride)
    for part, added in zip(_ring(y, x, stride), reflected, strict=True):
        part += added
    return y.relu_() if relu else y


def _reaches_the_end(side: int, stride: int) -> bool:
    """Whether the last of the pixels at every ``stride`` is the last of all."""
    return (side - 1) % stride == 0


def _ring(y: Tensor, x: Tensor, stride: int) -> list[Tensor]:
    """Of the result, what has lines of :func:`_lines`; corners belong to two."""
    bottom, right = (_reaches_the_end(side, stride) for side in x.shape[-2:])
    return [
        y[:, :, :1],
        *([y[:, :, -1:]] if bottom else []),
        y[..., :1],
        *([y[..., -1:]] if right else []),
    ]


def _lines(x: Tensor, stride: int) -> list[Tensor | None]:
    """What reflection puts above, below, left and right; None where nothing sees it."""
    bottom, right = (_reaches_the_end(side, stride) for side in x.shape[-2:])
    return [
        x[:, :, 1:2],
        x[:, :, -2:-1] if bottom else None,
        x[..., 1:2],
        x[..., -2:-1] if right else None,
    ]


def _reflected(
    lines: Sequence[Tensor | None], weight: Tensor, stride: int
) -> list[Tensor]:
    """What the padded pixels contribute to the ring; rows bring the corners."""
    rows = zip(lines[:2], (weight[:, :, :1], weight[:, :, -1:]), strict=True)
    columns = zip(lines[2:], (weight[..., :1], weight[..., -1:]), strict=True)
    return [
        F.conv2d(F.pad(line, (1, 1, 0, 0), 'reflect'), part, stride=(1, stride))
        for line, part in rows
        if line is not None
    ] + [
        F.conv2d(line, part, stride=(stride, 1), padding=(1, 0))
        for line, part in columns
        if line is not None
    ]
