"""The kernels as GPUs would get them: compiled, without one, by the compiler itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('triton')
ROOT = Path(__file__).parents[1]
# Of compute capability 8.6, 8.9 and 12.0; others have more.
ROOM = 101_376
# Bytes of a thread: a few registers outside of all loops.
NO_OVERFLOW = 32

PROGRAM = """
import json
import sys
sys.path.insert(0, sys.argv[1])
from compile_kernels import GPUS, SHIPPED, all_cases, compile_case

for case in all_cases(GPUS, all_tiles=False):
    # The released sizes everywhere; others on the least GPU, in the widest type.
    released = (case.atoms, case.sides) == SHIPPED['released']
    least = case.gpu == 86 and case.precision == 'tf32x3'
    if least or released and case.precision != 'tf32':
        print(json.dumps([case.kernel, case.gpu, case.atoms, len(case.sides),
                          str(case.dtype), compile_case(case)]))
"""


@pytest.mark.long
def test_every_gpu_has_room_and_no_register_overflows():
    # The tests' own process has Triton's interpreter in place of its compiler.
    made = subprocess.run(
        [sys.executable, '-c', PROGRAM, str(ROOT / 'benchmarks')],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    found = [json.loads(line) for line in made.stdout.splitlines()]
    kinds = {tuple(kind) for *kind, _ in found}
    assert {gpu for _, gpu, *_ in kinds} == {80, 86, 90, 120}
    assert {(n, r) for _, _, n, r, _ in kinds} == {
        *((10, 8), (20, 8), (6, 5), (4, 5), (10, 1))
    }
    assert len(kinds) == len(found) == 3 * (2 * 4 + 4)
    for *kind, needs in found:
        assert needs['shared'] <= ROOM, kind
        assert needs['stack'] <= NO_OVERFLOW, (kind, needs)
        assert 16 < needs['registers'] <= 255, kind
