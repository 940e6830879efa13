"""What this processor computes fast, and whether it keeps its word.

To multiply in bfloat16 or float16 at the pace of float32 or better, a CPU needs
instructions for it: AVX-512 BF16 or FP16, AMX, or those of Arm. Without them PyTorch
takes ten times as long as in float32, and some of oneDNN's operations refuse.
"""

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

# As torch.cpu.get_capabilities() calls them; the last of each is Arm's.
_INSTRUCTIONS = {
    torch.bfloat16: ('avx512_bf16', 'amx_bf16', 'bf16'),
    torch.float16: ('avx512_fp16', 'amx_fp16', 'fp16_arith'),
}
# oneDNN's own answers; they heed ONEDNN_MAX_CPU_ISA.
_ONEDNN = {
    torch.bfloat16: '_is_mkldnn_bf16_supported',
    torch.float16: '_is_mkldnn_fp16_supported',
}
# Compute capability of the first GPUs that multiply matrices in a type.
_TENSOR_CORES = {torch.bfloat16: (8, 0), torch.float16: (7, 0)}
# Roundings of the type, relative to the largest value.
_ROUNDINGS = 8
# Types and devices of which something was said.
_said: set[tuple[str, str]] = set()


def computes_in(dtype: torch.dtype) -> bool:
    """Whether this CPU multiplies in a type at least as fast as in float32.

    Every fast path on a CPU asks this. Where the answer is no, convolutions and matrix
    products of our own run in float32 and round their results to the type.

    Args:
        dtype (torch.dtype): Of floating numbers.

    Returns:
        bool: True for float32 and float64.

    Example:
        >>> computes_in(torch.float32)
        True
    """
    if dtype not in _INSTRUCTIONS:
        return True
    return bool(torch.backends.mkldnn.enabled) and _has(dtype)


def vector_lanes() -> int:
    """How many float32 numbers this CPU computes with one instruction.

    Returns:
        int: 16 with AVX-512, 8 with AVX2, 4 with what is left.
    """
    capability = torch.backends.cpu.get_cpu_capability()
    return {'AVX512': 16, 'AVX2': 8}.get(capability, 4)


def resolve_dtype(dtype: str, device: torch.device | str) -> str:
    """What ``'auto'`` stands for on a device.

    Decided by what the processor says it has, not by a measurement, so that the same
    command gives the same numbers again: bfloat16 on CPUs with AVX-512 BF16, AMX or
    Arm's BF16 and on GPUs from compute capability 8.0, else float32. Never float16,
    which overflows where bfloat16 does not.

    Args:
        dtype (str): ``'auto'``, or a type, which stays.
        device (torch.device | str): Where the network is.

    Returns:
        str: ``'float32'`` or ``'bfloat16'`` for ``'auto'``.
    """
    if dtype != 'auto':
        return dtype
    return 'bfloat16' if _gains(torch.bfloat16, torch.device(device)) else 'float32'


def say_if_slow(
    dtype: str,
    device: torch.device | str,
    say: Callable[[str], object] = warnings.warn,
) -> None:
    """Say once if a type brings no speed here.

    Args:
        dtype (str): In which a network runs.
        device (torch.device | str): Where it is.
        say (Callable): Takes the sentence. Default: ``warnings.warn``.
    """
    device = torch.device(device)
    number = getattr(torch, dtype)
    no_matter = number not in _INSTRUCTIONS or device.type not in ('cpu', 'cuda')
    if no_matter or (dtype, device.type) in _said or _gains(number, device):
        return
    _said.add((dtype, device.type))
    say(
        f'{dtype} is no faster than float32 on this processor, which has no '
        'instructions for it; dtype auto takes what is faster'
    )


def keeps_its_word(name: str, trial: Callable[[], list[tuple[Tensor, Tensor]]]) -> bool:
    """Whether an operation gives what it should, tried in a thread of its own.

    There none of the caller's modes holds: autocast, inference, tracing, fake tensors.

    Args:
        name (str): Of the operation, for a warning if it does not.
        trial (Callable): Returns pairs: what it gives, and what it should, in float32.

    Returns:
        bool: True where these are equal but for roundings of the former's type.
    """
    with ThreadPoolExecutor(1) as thread:
        reason = thread.submit(_fault, trial).result()
    if reason:
        warnings.warn(
            f'{name} cannot be used on this processor ({reason}); a slower form '
            'takes its place',
            stacklevel=2,
        )
    return not reason


def _gains(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether a type is worth taking on a device."""
    if device.type == 'cuda':
        return torch.cuda.get_device_capability(device) >= _TENSOR_CORES[dtype]
    return device.type == 'cpu' and computes_in(dtype)


@cache
def _has(dtype: torch.dtype) -> bool:
    return _claims(dtype) and _convolves(dtype)


def _claims(dtype: torch.dtype) -> bool:
    """What oneDNN and the processor's flags say."""
    supported = getattr(torch.ops.mkldnn, _ONEDNN[dtype], lambda: False)
    if not (torch.backends.mkldnn.is_available() and supported()):
        return False
    # PyTorch before 2.10 does not tell its flags: oneDNN's word must do.
    flags = getattr(torch.cpu, 'get_capabilities', None)
    return flags is None or any(map(flags().get, _INSTRUCTIONS[dtype]))


def _convolves(dtype: torch.dtype) -> bool:
    """Whether a convolution, its gradients and a matrix product are right."""

    def run(x: Tensor, weight: Tensor) -> list[Tensor]:
        y = F.conv2d(x, weight, padding=1)
        d_x, d_weight, _ = torch.ops.aten.convolution_backward(
            *(x, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1),
            output_mask=[True, True, False],
        )
        return [y, d_x, d_weight, x[0, 0] @ x[0, 1]]

    def trial() -> list[tuple[Tensor, Tensor]]:
        narrow = [sample(1, 16, 8, 8).to(dtype), sample(16, 16, 3, 3).to(dtype)]
        exact = run(*(t.float() for t in narrow))
        return [*zip(run(*narrow), exact, strict=True)]

    return keeps_its_word(f'convolution in {str(dtype)[6:]}', trial)


def sample(*shape: int) -> Tensor:
    """Numbers in [-1, 1] that look random, without a generator's state.

    Args:
        *shape (int): Of the tensor.

    Returns:
        Tensor: In float32, on the CPU.
    """
    count = torch.Size(shape).numel()
    return torch.arange(1.0, count + 1).square().mul_(0.7).sin_().view(shape)


@torch.no_grad()
def _fault(trial: Callable[[], list[tuple[Tensor, Tensor]]]) -> str:
    """What is wrong with an operation, in words; nothing if it is right."""
    try:
        results = trial()
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        return (str(error).splitlines() or [type(error).__name__])[0]
    for got, want in results:
        off = ((got.float() - want).abs().max() / want.abs().max()).item()
        # Not "above", which is never true of NaN.
        if not off <= _ROUNDINGS * torch.finfo(got.dtype).eps:
            return f'it is wrong by {off:.2g} of the largest value'
    return ''
