"""Compiles the kernels of Eq. 9 for GPUs, without one: memory, registers, overflow.

`benchmarks/compile_kernels.py [--gpus 80 90] [--all-tiles] [--out FILE.json]`. On
compute capability 8.6, 8.9 and 12.0, a program may have 101,376 bytes of shared memory,
166,912 on 8.0 and 232,448 on 9.0; registers that overflow ("stack") go to slow memory.
"""

import argparse
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

# In the interpreter, kernels are no such thing.
os.environ.pop('TRITON_INTERPRET', None)

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource

from mmagic_inik.ops import triton_kernels
from mmagic_inik.ops.inverse_filter_triton import Layout, kernel_constants
from mmagic_inik.ops.triton_tiles import TILES, Tile

GPUS = 80, 86, 90, 120
KERNELS = 'forward', 'backward_weights', 'backward_dictionary'
NAMES = {torch.float32: 'fp32', torch.bfloat16: 'bf16', torch.float16: 'fp16'}
# N, and the sides M_r, of the configs that come with the package and of its ablations.
SHIPPED = {
    'released': (10, tuple(range(1, 16, 2))),
    'twice the atoms': (20, tuple(range(1, 16, 2))),
    'light': (6, (1, 3, 5, 9, 15)),
    'tiny': (4, (1, 3, 5, 7, 9)),
    'one size': (10, (15,)),
}


class Case(NamedTuple):
    """A kernel as a call would start it.

    Attributes:
        kernel (str): Of ``KERNELS``.
        gpu (int): Ten times its compute capability.
        atoms (int): N.
        sides (tuple[int, ...]): M_r.
        dtype (torch.dtype): Of weights and products; images are in float32.
        tile (Tile): What a program does at a time.
        precision (str): Of products in float32.
        mixed (bool): Whether products are mixed or summed.
    """

    kernel: str
    gpu: int
    atoms: int
    sides: tuple[int, ...]
    dtype: torch.dtype
    tile: Tile
    precision: str = 'ieee'
    mixed: bool = True


def all_cases(gpus: list[int], all_tiles: bool) -> Iterator[Case]:
    """Every kernel of every shipped configuration in every type."""
    for kernel, gpu, (atoms, sides), dtype in product(
        KERNELS, gpus, SHIPPED.values(), (torch.bfloat16, torch.float32)
    ):
        tiles = TILES[kernel, dtype.itemsize]
        wide = dtype == torch.float32
        for tile, precision in product(
            tiles if all_tiles else tiles[:1], ('tf32', 'tf32x3') if wide else ('ieee',)
        ):
            yield Case(kernel, gpu, atoms, sides, dtype, tile, precision)


def compile_case(case: Case) -> dict:
    """Compile a kernel with the compiler that comes with Triton.

    Args:
        case (Case): What to compile.

    Returns:
        dict: Bytes of ``shared`` memory of a program; ``registers`` of a thread, and
        bytes of its ``stack``.
    """
    kernel = getattr(triton_kernels, case.kernel)
    layout = Layout(case.sides, case.atoms, case.tile)
    constants, options = kernel_constants(
        layout, case.tile, 3, 3, case.mixed, case.precision
    )
    if case.kernel == 'forward':
        constants['OUTPUT_BLOCK'] = 4
    # Channels first: neighbouring pixels follow each other.
    constants |= dict(s_mu=1, s_omega=1)
    narrow, wide = NAMES[case.dtype], 'fp32'
    weights = ('p_y', 'p_mu', 'p_omega', 'p_dictionary', 'p_d_mu', 'p_d_omega')
    signature, attributes = {}, {}
    for i, name in enumerate(kernel.arg_names):
        if name in constants:
            signature[name] = 'constexpr'
        elif name.startswith('p_'):
            signature[name] = '*' + (narrow if name in weights else wide)
            attributes[(i,)] = [['tt.divisibility', 16]]
        else:
            signature[name] = 'i32'
    source = ASTSource(kernel, signature, constants, attributes)
    made = triton.compile(source, GPUTarget('cuda', case.gpu, 32), options)
    return dict(shared=made.metadata.shared, **usage(made.asm['cubin'], case.gpu))


def usage(cubin: bytes, gpu: int) -> dict:
    """What a thread takes: its registers, and its stack, where they overflow to."""
    tool = Path(get_ptxas(gpu).path).with_name('cuobjdump')
    with tempfile.NamedTemporaryFile(suffix='.cubin') as file:
        file.write(cubin)
        file.flush()
        said = subprocess.run(
            [tool, '-res-usage', file.name], capture_output=True, text=True, check=True
        ).stdout
    registers, stack = re.search(r'REG:(\d+) STACK:(\d+)', said).groups()
    return dict(registers=int(registers), stack=int(stack))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--gpus', nargs='+', type=int, default=GPUS)
    parser.add_argument('--all-tiles', action='store_true', help='not defaults alone')
    parser.add_argument('--out', type=Path, help='JSON file')
    args = parser.parse_args()
    results = []
    print('| kernel | GPU | N | R | type | tile | shared | registers | stack |')
    print('|---|---|---|---|---|---|---|---|---|')
    for case in all_cases(args.gpus, args.all_tiles):
        found = compile_case(case)
        name = f'{NAMES[case.dtype]} {case.precision}'
        results.append(case._asdict() | found | dict(dtype=name))
        tile = '/'.join(map(str, case.tile))
        cells = case.kernel, case.gpu, case.atoms, len(case.sides), name, tile
        print(f'| {" | ".join(map(str, (*cells, *found.values())))} |', flush=True)
        if args.out:
            args.out.write_text(json.dumps(results, indent=2) + '\n')


if __name__ == '__main__':
    main()
