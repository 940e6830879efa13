"""What mmengine's complexity analysis, and so MMagic's ``get_flops.py``, lacks.

It counts operations of a trace by handles, and has one for ``bmm`` but none for the
``baddbmm`` by which the atoms' networks are evaluated.
"""

from mmengine.analysis import complexity_analysis
from mmengine.analysis.jit_handles import bmm_flop_jit


def _count_baddbmm(inputs: list, outputs: list) -> int:
    """MACs, which mmengine calls FLOPs, of the product; its sum is not counted."""
    return bmm_flop_jit(inputs[1:3], outputs)


# An mmengine to come may have its own.
complexity_analysis._DEFAULT_SUPPORTED_FLOP_OPS.setdefault(
    'aten::baddbmm', _count_baddbmm
)
