r"""Spatially varying inverse filtering, Eq. 9 of the INIKNet paper.

.. math::
    \hat x = \sum_{n=1}^{N} \sum_{r=1}^{R} \mu_r \, \omega_n \, (v_n^r * y)

Symbols, used alike in code and docstrings:

- ``y``: blurred image, (B, C, H, W);
- ``mu``: weights of the R kernel sizes, (B, R, H, W);
- ``omega``: weights of the N base atoms, (B, N, H, W);
- ``atoms``: R tensors :math:`v^r` of shape (N, M_r, M_r), M_r odd.

``*`` is cross-correlation, each colour channel on its own; beyond the image there are
zeros, or the image mirrored. The released implementation replaces the plain sum by a
learned 1x1 convolution, ``mixing``, over the R * C * N products.
"""

import os
import shutil
import warnings
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from .bands import filter_bands, filter_bands_backward
from .references import using_references

BORDERS = ('zero', 'reflect')


def inverse_filter_reference(
    y: Tensor,
    mu: Tensor,
    omega: Tensor,
    atoms: list[Tensor],
    mixing: Tensor | None = None,
    bias: Tensor | None = None,
    border: str = 'zero',
) -> Tensor:
    """Eq. 9 term by term; holds all R * C * N products at once.

    This is what :func:`inverse_filter`, which takes and returns the same, is tested
    against.
    """
    half = max(v.shape[-1] for v in atoms) // 2
    planes = _extended(y, half, border).flatten(0, 1).unsqueeze(1)
    filtered = torch.stack(
        [
            F.conv2d(F.pad(planes, [v.shape[-1] // 2 - half] * 4), v.unsqueeze(1))
            for v in atoms
        ],
        dim=1,
    )  # (B C, R, N, H, W)
    filtered = filtered.unflatten(0, y.shape[:2]).transpose(1, 2)
    products = mu[:, :, None, None] * omega[:, None, None] * filtered
    if mixing is None:
        return products.sum((1, 3))
    return F.conv2d(products.flatten(1, 3), mixing.flatten(1)[..., None, None], bias)


def inverse_filter(
    y: Tensor,
    mu: Tensor,
    omega: Tensor,
    atoms: list[Tensor],
    mixing: Tensor | None = None,
    bias: Tensor | None = None,
    border: str = 'zero',
) -> Tensor:
    """Filter ``y`` with a kernel of its own at every pixel (Eq. 9).

    The R * C * N products of a pixel exist for a few thousand pixels at a time, on a
    GPU for those of one program; gradients compute them again. Under autocast, ``y``
    and the result keep their type. Products are taken in the type of ``omega`` where
    the device is fast in it, on a GPU (Triton) in TF32 if PyTorch may use it, and in
    float32 at least elsewhere; they are summed over sizes in float32 at least. So a
    network in half precision that adds the image afterwards leaves it exact. What
    Triton cannot do (float64, old GPUs, gradients of ``y``) runs as on a CPU. The first
    large call on a GPU tries several tiles (``triton_tiles``), unless PyTorch was asked
    for deterministic algorithms.

    Args:
        y (Tensor): Image, (B, C, H, W), of any floating type and size.
        mu (Tensor): Size weights, (B, R, H, W).
        omega (Tensor): Shape weights, (B, N, H, W).
        atoms (list[Tensor]): R tensors (N, M_r, M_r) with odd M_r.
        mixing (Tensor, optional): Weights (C_out, R, C, N) that replace the plain sum,
            as in the released implementation. Default: None, the sum of Eq. 9 per
            colour channel.
        bias (Tensor, optional): (C_out,), added to a mixed result.
        border (str): What kernels find beyond the image: ``'zero'``, or ``'reflect'``,
            the image mirrored, replicated where it is too small for that.
            Default: ``'zero'``.

    Returns:
        Tensor: (B, C, H, W), or (B, C_out, H, W) with ``mixing``; of the type of ``y``.

    Raises:
        ValueError: If ``border`` is unknown.

    Example:
        >>> import torch
        >>> from mmagic_inik.ops import inverse_filter
        >>> y = torch.rand(1, 3, 5, 7)
        >>> delta = torch.ones(1, 1, 1)
        >>> one = torch.ones(1, 1, 5, 7)
        >>> torch.equal(inverse_filter(y, one, one, [delta]), y)
        True
    """
    if border not in BORDERS:
        raise ValueError(f'border must be in {BORDERS}, got {border!r}')
    if using_references():
        weights: Any = (mu, omega, *atoms, mixing, bias)
        weights = (w if w is None else w.to(y.dtype) for w in weights)
        mu, omega, *atoms, mixing, bias = weights
        with torch.autocast(y.device.type, enabled=False):
            return inverse_filter_reference(y, mu, omega, atoms, mixing, bias, border)
    padded = _extended(y, max(v.shape[-1] for v in atoms) // 2, border)
    out = _filter(padded, mu, omega, atoms, mixing)
    return out if bias is None else out + bias.to(out.dtype).view(-1, 1, 1)


def _extended(y: Tensor, half: int, border: str) -> Tensor:
    """The image with ``half`` pixels more on every side."""
    if border == 'zero':
        return F.pad(y, [half] * 4)
    return F.pad(y, [half] * 4, 'reflect' if half < min(y.shape[-2:]) else 'replicate')


# Of the image, the operations are given what the largest kernel sees, too.


@torch.library.custom_op('mmagic_inik::inverse_filter', mutates_args=())
def _filter(
    padded: Tensor,
    mu: Tensor,
    omega: Tensor,
    atoms: list[Tensor],
    mixing: Tensor | None,
) -> Tensor:
    with torch.autocast(padded.device.type, enabled=False):
        out = None
        if _for_triton(padded, mu, omega):
            out = _run_in_triton('filter_triton', padded, mu, omega, atoms, mixing)
        return filter_bands(padded, mu, omega, atoms, mixing) if out is None else out


@_filter.register_fake
def _(
    padded: Tensor,
    mu: Tensor,
    omega: Tensor,
    atoms: list[Tensor],
    mixing: Tensor | None,
) -> Tensor:
    channels = padded.shape[1] if mixing is None else mixing.shape[0]
    return padded.new_empty(padded.shape[0], channels, *mu.shape[2:])


@torch.library.custom_op('mmagic_inik::inverse_filter_backward', mutates_args=())
def _filter_backward(
    grad: Tensor,
    padded: Tensor,
    mu: Tensor,
    omega: Tensor,
    atoms: list[Tensor],
    mixing: Tensor | None,
    needs_image: bool,
) -> list[Tensor]:
    """Gradients of mu, omega, the atoms, mixing if given, the image if needed."""
    args = grad, padded, mu, omega, atoms, mixing
    with torch.autocast(padded.device.type, enabled=False):
        found: Any = None
        if _for_triton(padded, mu, omega) and not needs_image:
            found = _run_in_triton('filter_triton_backward', *args)
        if found is None:
            d_image, *found = filter_bands_backward(*args, needs_image)
        else:
            d_image = None
    d_mu, d_omega, d_atoms, d_mixing = found
    return [d_mu, d_omega, *d_atoms, *(t for t in (d_mixing, d_image) if t is not None)]


@_filter_backward.register_fake
def _(
    grad: Tensor,
    padded: Tensor,
    mu: Tensor,
    omega: Tensor,
    atoms: list[Tensor],
    mixing: Tensor | None,
    needs_image: bool,
) -> list[Tensor]:
    given = [mu, omega, *atoms, mixing, padded if needs_image else None]
    return [torch.empty_like(t) for t in given if t is not None]


def _save(ctx: Any, inputs: tuple, output: Tensor) -> None:
    padded, mu, omega, atoms, mixing = inputs
    ctx.save_for_backward(padded, mu, omega, mixing, *atoms)


def _backward(ctx: Any, grad: Tensor) -> tuple:
    padded, mu, omega, mixing, *atoms = ctx.saved_tensors
    wanted = ctx.needs_input_grad[0]
    args = grad, padded, mu, omega, atoms, mixing
    d_mu, d_omega, *found = _filter_backward(*args, wanted)
    d_image = found.pop() if wanted else None
    d_mixing = None if mixing is None else found.pop()
    return d_image, d_mu, d_omega, found, d_mixing


_filter.register_autograd(_backward, setup_context=_save)


@register_flop_formula(torch.ops.mmagic_inik.inverse_filter)
def _count_flops(
    padded_shape: tuple,
    mu_shape: tuple,
    omega_shape: tuple,
    atoms_shapes: list,
    mixing_shape: tuple | None,
    **kwargs: object,
) -> int:
    """Two per multiplication of a pixel and of the mixing; weighting is not counted."""
    channels = padded_shape[1]
    batch, _, height, width = mu_shape
    taps = sum(n * side * side for n, side, _ in atoms_shapes)
    mixed = (
        0
        if mixing_shape is None
        else mixing_shape[0] * len(atoms_shapes) * omega_shape[1]
    )
    return 2 * batch * channels * height * width * (taps + mixed)


def _for_triton(y: Tensor, mu: Tensor, omega: Tensor) -> bool:
    """Whether these run in Triton; where a GPU cannot, says so once."""
    if not y.is_cuda:
        return False
    reason = _obstacle(y.device, y.dtype, mu.dtype, omega.dtype)
    if reason:
        _say_once(reason)
    return not reason


def _obstacle(device: torch.device, *dtypes: torch.dtype) -> str | None:
    if torch.float64 in dtypes:
        return 'its kernels do not compute in float64'
    capability = torch.cuda.get_device_capability(device)
    if capability < (8, 0):
        return f'compute capability {capability[0]}.{capability[1]} is below 8.0'
    return _missing()


@cache
def _missing() -> str | None:
    try:
        import triton  # noqa: F401
    except ImportError as error:
        return str(error)
    # With which Triton builds what launches its kernels.
    if not os.environ.get('CC') and not any(map(shutil.which, ('gcc', 'clang'))):
        return 'there is no C compiler (install gcc, or name one in CC)'
    return None


def _run_in_triton(name: str, *args: object) -> Any:
    """Call a function of ``inverse_filter_triton``; None where the GPU has no room."""
    from triton.runtime.errors import OutOfResources

    from . import inverse_filter_triton

    try:
        return getattr(inverse_filter_triton, name)(*args)
    except OutOfResources as error:
        _say_once(f'its kernels want more {error.name} than the GPU has')
    return None


@cache
def _say_once(reason: str) -> None:
    warnings.warn(
        f'inverse_filter runs without Triton, and slower, because {reason}',
        stacklevel=2,
    )
