"""What a restoring network costs: parameters, operations, memory and time.

One multiply-accumulate (MAC) is two floating-point operations (FLOP): of a convolution
and of a matrix product, FLOPs are exactly twice the MACs. Both words are often used for
either.
"""

import statistics
from collections.abc import Callable
from typing import NamedTuple

import torch
from mmagic.registry import MODELS
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from ..errors import InputError
from ..models.restorer import MultiScaleRestorer
from ..ops import use_references
from .contenders import SIDES_IN_MULTIPLES, load_config
from .measuring import memory_of, resident, timed

TOTAL, REST = 'total', 'rest'
# A GPU's clock rises and its kernels are chosen in the first passes.
WARM_UPS = {'cpu': 1, 'cuda': 5}
COUNTED = 'convolutions, matrix products and attention'
NOT_COUNTED = (
    'what works element by element (biases, activations, gates, weighting by μ and ω), '
    'normalisation, softmax, padding and resizing'
)


class Complexity(NamedTuple):
    """Of a network, without running it.

    Attributes:
        network (str): Its type.
        parameters (dict[str, int]): By part, ``total`` first; they sum up to it.
        flops (dict[str, int]): Of one forward pass, likewise; MACs are half of it.
        given_size (tuple[int, int]): Height and width that reach the network, after the
            padding that it needs.
    """

    network: str
    parameters: dict[str, int]
    flops: dict[str, int]
    given_size: tuple[int, int]


class Cost(NamedTuple):
    """Of running a network.

    Attributes:
        memory (int): Peak in bytes: weights, input and all that a forward pass holds.
        seconds (list[float]): Of every measured forward pass.
        threads (int): That PyTorch used on the CPU.
    """

    memory: int
    seconds: list[float]
    threads: int

    @property
    def median(self) -> float:
        """Median of the seconds."""
        return statistics.median(self.seconds)


def build_network(config: str) -> MultiScaleRestorer:
    """Build a config's network with random weights, and without its losses.

    Args:
        config (str): Path, or one of MMagic's configs behind ``mmagic::``.

    Returns:
        MultiScaleRestorer: Around the ``generator``, which it gives the sides that it
        can take, as in the benchmark of quality.

    Raises:
        InputError: If there is no such config, or it has no restoring network, or one
            that is not registered.
    """
    model = load_config(config).model.to_dict()
    if model['type'] != 'MultiScaleRestorer':
        divisor = SIDES_IN_MULTIPLES.get(model['generator']['type'], 1)
        model = dict(
            type='MultiScaleRestorer',
            generator=model['generator'],
            size_divisor=divisor,
            min_size=1,
        )
    try:
        # Whole images in one type, whatever the config says of testing.
        return MODELS.build(dict(model, loss=nn.Identity(), test_cfg=None)).eval()
    except KeyError as error:
        reason = error.args[0].split('. ')[0]
        raise InputError(
            f'config {config} names what is not registered ({reason}); correct its '
            'type, or import its package with custom_imports'
        ) from error


def complexity(config: str, size: tuple[int, int]) -> Complexity:
    """Count parameters and operations; nothing is computed (fake tensors).

    Args:
        config (str): As of :func:`build_network`.
        size (tuple[int, int]): Height and width of the image, in pixels.

    Returns:
        Complexity: For one RGB image.

    Raises:
        InputError: As :func:`build_network`, or if the network fails on such an image.
    """
    restorer = build_network(config)
    network = restorer.generator
    parameters = count_parameters(network)
    given = []
    network.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].shape))
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            image = torch.empty(1, 3, *size)
            flops = count_flops(network, lambda: restorer.forward_tensor(image))
    except (RuntimeError, TypeError, ValueError) as error:
        raise _failure(config, size, error) from error
    given_size = tuple(given[0][-2:])
    return Complexity(type(network).__name__, parameters, flops, given_size)


def parts_of(network: nn.Module) -> dict[str, nn.Module]:
    """Top-level children of a network, and the atom bank within a head.

    Args:
        network (nn.Module): Any.

    Returns:
        dict[str, nn.Module]: By dotted name, a bank before its head.
    """
    parts = {}
    for name, child in network.named_children():
        if hasattr(child, 'atom_bank'):
            parts[f'{name}.atom_bank'] = child.get_submodule('atom_bank')
        parts[name] = child
    return parts


def count_parameters(network: nn.Module) -> dict[str, int]:
    """Numbers of parameters by part; shared ones count once.

    Args:
        network (nn.Module): Any.

    Returns:
        dict[str, int]: ``total``, then the parts, a head without its atom bank, then
        the ``rest`` that is in no part; parts of nothing are left out.
    """
    counts = dict.fromkeys([*parts_of(network), REST], 0)
    for name, parameter in network.named_parameters():
        part = next((p for p in parts_of(network) if name.startswith(f'{p}.')), REST)
        counts[part] += parameter.numel()
    return {
        TOTAL: sum(counts.values()),
        **{part: count for part, count in counts.items() if count},
    }


@torch.no_grad()
def count_flops(network: nn.Module, forward: Callable[[], object]) -> dict[str, int]:
    """FLOPs of a forward pass by part, two per MAC.

    Counted by PyTorch's ``FlopCounterMode``, which sees the operations as they are
    dispatched: the filtering op and the atoms' MLPs as well as layers. It counts
    convolutions, matrix products and attention; see ``NOT_COUNTED`` for the others.

    Args:
        network (nn.Module): Any.
        forward (Callable): Calls it once.

    Returns:
        dict[str, int]: As of :func:`count_parameters`.
    """
    # What the method does; the fast forms leave out what meets zeros.
    with use_references(), FlopCounterMode(display=False) as counter:
        forward()
    by_module = {
        name: sum(by_operation.values())
        for name, by_operation in counter.get_flop_counts().items()
    }
    counts: dict[str, int] = {}
    for name, part in parts_of(network).items():
        whole = _flops_within(part, f'{type(network).__name__}.{name}', by_module)
        counts[name] = whole - counts.get(f'{name}.atom_bank', 0)
    counts[REST] = counter.get_total_flops() - sum(counts.values())
    return {
        TOTAL: counter.get_total_flops(),
        **{part: count for part, count in counts.items() if count},
    }


def _flops_within(module: nn.Module, name: str, by_module: dict[str, int]) -> int:
    # A ModuleList is not called itself, so that only its children are counted.
    if name in by_module:
        return by_module[name]
    return sum(
        _flops_within(child, f'{name}.{key}', by_module)
        for key, child in module.named_children()
    )


@torch.inference_mode()
def measure(
    config: str, size: tuple[int, int], device: str, dtype: str, repeats: int
) -> Cost:
    """Run a network; for the memory to be right, in a process that ran none before.

    Of a GPU, memory is PyTorch's ``max_memory_allocated``. Of a CPU it is by how much
    the peak resident memory of this process exceeds what it held before the network
    was built, code that PyTorch loads for it included.

    Args:
        config (str): As of :func:`build_network`.
        size (tuple[int, int]): Height and width of the image, in pixels.
        device (str): ``'cpu'`` or ``'cuda'``.
        dtype (str): ``'float32'`` or ``'bfloat16'``, of weights and image.
        repeats (int): Forward passes to measure, after those of ``WARM_UPS``.

    Returns:
        Cost: Of restoring one random RGB image that lies on the device.

    Raises:
        InputError: As :func:`complexity`, or if the memory does not suffice.
    """
    before = resident('VmRSS')
    restorer = build_network(config)
    restart_peak, peak = memory_of(device)
    try:
        restorer.to(device, getattr(torch, dtype))
        restart_peak()
        image = torch.rand(1, 3, *size, device=device, dtype=getattr(torch, dtype))
        for _ in range(WARM_UPS[device]):
            timed(restorer.forward_tensor, image)
        memory = peak() - before if device == 'cpu' else peak()
        seconds = [timed(restorer.forward_tensor, image) for _ in range(repeats)]
    except (RuntimeError, TypeError, ValueError) as error:
        raise _failure(config, size, error) from error
    return Cost(memory, seconds, torch.get_num_threads())


def _failure(config: str, size: tuple[int, int], error: Exception) -> InputError:
    height, width = size
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(
        f'{config} fails on an RGB image of {height}x{width} ({reason}); give another '
        '--size, or a network that restores RGB images'
    )
