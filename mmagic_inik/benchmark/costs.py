"""A table of what networks cost, each measured in a process of its own."""

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import mmagic
import torch
from mmengine.registry import init_default_scope

from ..errors import InputError
from ..ops.processor import say_if_slow
from .complexity import (
    COUNTED,
    NOT_COUNTED,
    TOTAL,
    WARM_UPS,
    Complexity,
    Cost,
    complexity,
    measure,
)
from .origin import describe_commit, describe_device
from .tables import MISSING

HEAD = ('network', 'parameters (M)', 'GMAC', 'GFLOP', 'memory (MiB)', 'time (s)')


class Costs(NamedTuple):
    """Of some networks, on one image.

    Attributes:
        configs (Sequence[str]): Of each.
        counts (Sequence[Complexity]): Of each.
        measured (Sequence[Cost | None]): Of each; None: not measured.
        size (tuple[int, int]): Height and width of the image, in pixels.
        device (str): ``'cpu'`` or ``'cuda'``.
        dtype (str): ``'float32'`` or ``'bfloat16'``.
    """

    configs: Sequence[str]
    counts: Sequence[Complexity]
    measured: Sequence[Cost | None]
    size: tuple[int, int]
    device: str
    dtype: str

    def of_each(self) -> Iterator[tuple[str, Complexity, Cost | None]]:
        """The networks.

        Returns:
            Iterator[tuple[str, Complexity, Cost | None]]: Config, counts, measurement.
        """
        return zip(self.configs, self.counts, self.measured, strict=True)


def costs_of(
    configs: Sequence[str],
    size: tuple[int, int],
    device: str,
    dtype: str,
    repeats: int,
    with_time: bool = True,
) -> Costs:
    """Count, and measure.

    Args:
        configs (Sequence[str]): As of :func:`~.complexity.build_network`.
        size (tuple[int, int]): Height and width of the image, in pixels.
        device (str): ``'cpu'`` or ``'cuda'``.
        dtype (str): ``'float32'`` or ``'bfloat16'``.
        repeats (int): Forward passes to measure.
        with_time (bool): Whether to measure time and memory. Default: True.

    Returns:
        Costs: In that order.

    Raises:
        InputError: If there is no network, or one of them cannot run.
    """
    if not configs:
        raise InputError('there is no network to measure; give configs or --peers')
    if repeats < 1:
        raise InputError(f'--repeats must be positive, got {repeats}')
    if device == 'cuda' and not torch.cuda.is_available():
        raise InputError('--device cuda needs a GPU and finds none; take --device cpu')
    if with_time:
        # The process that measures keeps warnings to itself.
        say_if_slow(dtype, device, partial(print, file=sys.stderr))
    # All of them before the first is measured, which takes longer.
    counts = [complexity(config, size) for config in configs]
    measured = [
        measure_alone(config, size, device, dtype, repeats) if with_time else None
        for config in configs
    ]
    return Costs(configs, counts, measured, size, device, dtype)


def measure_alone(
    config: str, size: tuple[int, int], device: str, dtype: str, repeats: int
) -> Cost:
    """Measure in a fresh process, whose memory no other network has touched.

    Args:
        config (str): As of :func:`~.complexity.measure`, like the others.
        size (tuple[int, int]): Height and width of the image, in pixels.
        device (str): ``'cpu'`` or ``'cuda'``.
        dtype (str): ``'float32'`` or ``'bfloat16'``.
        repeats (int): Forward passes to measure.

    Returns:
        Cost: Of running it.

    Raises:
        InputError: If the network cannot run.
    """
    # This process has already told what deprecates itself in MMagic's dependencies.
    os.environ['PYTHONWARNINGS'] = 'ignore'
    with ProcessPoolExecutor(
        1, get_context('spawn'), initializer=init_default_scope, initargs=('mmagic',)
    ) as process:
        task = process.submit(measure, config, size, device, dtype, repeats)
        try:
            return task.result()
        except BrokenProcessPool as error:
            raise InputError(
                f'the process that measured {config} was killed, as happens when '
                'memory runs out; give a smaller --size'
            ) from error


def costs_table(costs: Costs) -> str:
    """A row per network, and one per part of it.

    Args:
        costs (Costs): Of some networks.

    Returns:
        str: Markdown; ``–`` where nothing was measured.
    """
    rows = [HEAD, ['---'] * len(HEAD)]
    for config, count, cost in costs.of_each():
        measured = (MISSING, MISSING)
        if cost:
            fastest, slowest = min(cost.seconds), max(cost.seconds)
            measured = (
                f'{cost.memory / 2**20:.0f}',
                f'{cost.median:.3f} ({fastest:.3f}–{slowest:.3f})',
            )
        for part in dict.fromkeys([*count.parameters, *count.flops]):
            flops = count.flops.get(part, 0)
            figures = (
                f'{count.parameters.get(part, 0) / 1e6:.3f}',
                f'{flops / 2e9:.2f}',
                f'{flops / 1e9:.2f}',
            )
            if part == TOTAL:
                name = f'**{count.network}**, {Path(config).stem}'
                rows.append([name, *figures, *measured])
            else:
                rows.append([f'· {part}', *figures, '', ''])
    return ''.join(f'| {" | ".join(row)} |\n' for row in rows)


def costs_notes(costs: Costs) -> str:
    """What must be known to compare the table with another.

    Args:
        costs (Costs): Of some networks.

    Returns:
        str: A line per remark.
    """
    lines = ['One RGB image of {} × {}'.format(*costs.size)]
    for config, count, _ in costs.of_each():
        if count.given_size != costs.size:
            lines.append(
                '{} gets it padded to {} × {}'.format(config, *count.given_size)
            )
    lines += [
        'Parts are the top-level children; a head is listed without its atom bank',
        f'1 MAC = 2 FLOPs; counted: {COUNTED}; not counted: {NOT_COUNTED}',
    ]
    device, first = costs.device, costs.measured[0]
    if first:
        peak = (
            "PyTorch's max_memory_allocated"
            if device == 'cuda'
            else 'growth of the peak resident memory of a fresh process, with the code '
            'that PyTorch loads'
        )
        lines += [
            f'Memory: {peak}; weights and image included',
            f'Time: median (fastest–slowest) of {len(first.seconds)} forward passes in '
            f'{costs.dtype}, after {WARM_UPS[device]} to warm up; '
            f'{describe_hardware(device, first.threads)}',
        ]
    lines.append(
        f'torch {torch.__version__}, MMagic {mmagic.__version__}; commit '
        f'{describe_commit()}'
    )
    return ''.join(f'- {line}.\n' for line in lines)


def describe_hardware(device: str, threads: int) -> str:
    """The processor, and what makes it faster or slower.

    Args:
        device (str): ``'cpu'`` or ``'cuda'``.
        threads (int): That PyTorch used on the CPU.

    Returns:
        str: For a reader.
    """
    if device == 'cuda':
        tf32 = 'with' if torch.backends.cudnn.allow_tf32 else 'without'
        return f'{describe_device(device)}, float32 convolutions {tf32} TF32'
    return f'{describe_device(device)}, {threads} thread(s)'


def costs_record(costs: Costs) -> dict[str, Any]:
    """The same for programs: single parameters, MACs, FLOPs and bytes; seconds.

    Args:
        costs (Costs): Of some networks.

    Returns:
        dict[str, Any]: JSON can hold it.
    """
    networks = []
    for config, count, cost in costs.of_each():
        macs = {part: flops // 2 for part, flops in count.flops.items()}
        networks.append(dict(config=config, **count._asdict(), macs=macs))
        if cost:
            networks[-1] |= dict(
                memory=cost.memory,
                seconds=cost.seconds,
                device=costs.device,
                hardware=describe_hardware(costs.device, cost.threads),
                dtype=costs.dtype,
                warm_ups=WARM_UPS[costs.device],
            )
    return dict(
        size=costs.size,
        networks=networks,
        versions=dict(torch=torch.__version__, mmagic=mmagic.__version__),
        commit=describe_commit(),
    )
