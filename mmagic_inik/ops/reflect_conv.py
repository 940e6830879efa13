"""3x3 convolution with reflect padding, ReLU and a residual.

A convolution padded by zeros differs from one padded by reflection in the outermost
ring of pixels alone. So the image is convolved without a padded copy, and what
reflection adds to the ring is computed from single rows and columns. For training,
nothing is kept but input and, with a ReLU, output.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .precision import autocast
from .references import using_references

# Below so many pixels a padded copy costs less than the ring's convolutions; and a ring
# needs an inside to reflect.
_LEAST_PIXELS, _LEAST_SIDE = 512, 3


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
    mode = 'reflect' if min(x.shape[-2:]) > 1 else 'replicate'
    y = F.conv2d(F.pad(x, (1, 1, 1, 1), mode), weight, stride=stride)
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
        or stride > 1
        or x.shape[-2:].numel() < _LEAST_PIXELS
        or min(x.shape[-2:]) < _LEAST_SIDE
    ):
        return reflect_conv_reference(x, weight, stride, relu, residual)
    x = x.contiguous(memory_format=torch.channels_last)
    if overwrite and _adds_in_place(x, weight, residual):
        return _corrected(_add_in_place(x, weight, residual), x, weight, relu)
    return _RingCorrected.apply(x, weight, relu, residual)


class _RingCorrected(torch.autograd.Function):
    """Convolution padded by zeros, plus what reflection adds to the ring."""

    @staticmethod
    def forward(
        ctx, x: Tensor, weight: Tensor, relu: bool, residual: Tensor | None
    ) -> Tensor:
        y = F.conv2d(x, weight, padding=1)
        if residual is not None:
            y += residual
        y = _corrected(y, x, weight, relu)
        ctx.save_for_backward(x, weight, y if relu else None)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, y = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        if y is not None:
            grad = torch.ops.aten.threshold_backward(grad, y, 0)
        grad_x, grad_weight, _ = torch.ops.aten.convolution_backward(
            *(grad, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1),
            output_mask=[ctx.needs_input_grad[0], True, False],
        )
        with torch.enable_grad():
            leaves = [*_lines(x), weight]
            leaves = [leaf.detach().requires_grad_() for leaf in leaves]
            *line_grads, ring_grad = torch.autograd.grad(
                _reflected(leaves[:4], leaves[4]), leaves, _ring(grad)
            )
        if grad_x is not None:
            for part, line_grad in zip(_lines(grad_x), line_grads, strict=True):
                part += line_grad
        residual_grad = grad if ctx.needs_input_grad[3] else None
        return grad_x, grad_weight + ring_grad, None, residual_grad


def _adds_in_place(x: Tensor, weight: Tensor, residual: Tensor) -> bool:
    """Whether oneDNN can add its result to ``residual``, as PyTorch's compiler does."""
    tensors = (x, weight, residual)
    return (
        hasattr(torch.ops.mkldnn, '_convolution_pointwise_')
        and torch.backends.mkldnn.enabled
        and all(t.dtype == x.dtype for t in tensors)
        and x.dtype in (torch.float32, torch.bfloat16)
        and residual.is_contiguous(memory_format=torch.channels_last)
        and not (torch.is_grad_enabled() and any(t.requires_grad for t in tensors))
    )


def _add_in_place(x: Tensor, weight: Tensor, residual: Tensor) -> Tensor:
    one = [1, 1]
    return torch.ops.mkldnn._convolution_pointwise_.binary(
        *(residual, x, weight, None, one, one, one, 1, 'add', 1.0, None, [], None)
    )


def _corrected(y: Tensor, x: Tensor, weight: Tensor, relu: bool) -> Tensor:
    """Adds to a result of zero padding, in place, what reflection adds."""
    for part, reflected in zip(_ring(y), _reflected(_lines(x), weight), strict=True):
        part += reflected
    return y.relu_() if relu else y


def _ring(y: Tensor) -> list[Tensor]:
    """Top and bottom row, left and right column; corners belong to both."""
    return [y[:, :, :1], y[:, :, -1:], y[..., :1], y[..., -1:]]


def _lines(x: Tensor) -> list[Tensor]:
    """What reflection puts beyond the ring of :func:`_ring`."""
    return [x[:, :, 1:2], x[:, :, -2:-1], x[..., 1:2], x[..., -2:-1]]


def _reflected(lines: list[Tensor], weight: Tensor) -> list[Tensor]:
    """What the padded pixels contribute to the ring; rows bring the corners."""
    top, bottom = (F.pad(line, (1, 1, 0, 0), 'reflect') for line in lines[:2])
    left, right = lines[2:]
    return [
        F.conv2d(top, weight[:, :, :1]),
        F.conv2d(bottom, weight[:, :, -1:]),
        F.conv2d(left, weight[..., :1], padding=(1, 0)),
        F.conv2d(right, weight[..., -1:], padding=(1, 0)),
    ]
