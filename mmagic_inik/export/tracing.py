"""A network as an ONNX model that takes images of any size."""

import contextlib
import io
import tempfile
import warnings
from pathlib import Path

import onnx
import onnxruntime
import torch
from onnx import ModelProto, compose, parser
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel
from torch import nn

from ..errors import InputError
from ..models import Restorer
from .forms import FixedFilterHead, exportable

OPSET = 18
# Of graphs with this opset; onnxruntime 1.14 and everything since read it.
_IR_VERSION = 8
# Pixels a side of what is traced.
_LEAST = 32
# Of its ends.
INPUT, OUTPUT = 'image', 'restored'

# What `extend_sides` does, in ONNX's own operations: reflection at bottom and right,
# or replication where an image is smaller than its extension.
_EXTENDING = """
<ir_version: {ir}, opset_import: ["" : {opset}]>
extending (float[batch, 3, height, width] image)
    => (float[batch, 3, rows, columns] extended, int64[2] size)
{{
    size = Shape <start = 2> (image)
    unit = Constant <value_ints = [{divisor}]> ()
    unit_less_one = Constant <value_ints = [{divisor_less_one}]> ()
    least = Constant <value_ints = [{least}]> ()
    zero = Constant <value_int = 0> ()
    one = Constant <value_int = 1> ()
    ones = Constant <value_ints = [1]> ()
    wanted = Max (size, least)
    rounded = Add (wanted, unit_less_one)
    units = Div (rounded, unit)
    sides = Mul (units, unit)
    missing = Sub (sides, size)
    last = Sub (size, ones)
    enough = Less (missing, size)
    enough_as_number = Cast <to = 7> (enough)
    both = ReduceMin <keepdims = 0> (enough_as_number)
    reflects = Cast <to = 9> (both)
    {rows}
    {columns}
    taller = Gather <axis = 2> (image, row_index)
    extended = Gather <axis = 3> (taller, column_index)
}}
"""
_INDEX = """
    {name}_axis = Constant <value_int = {axis}> ()
    {name}_side = Gather (sides, {name}_axis)
    {name}_last = Gather (last, {name}_axis)
    {name}_all = Range (zero, {name}_side, one)
    {name}_twice = Add ({name}_last, {name}_last)
    {name}_mirrored = Sub ({name}_twice, {name}_all)
    {name}_beyond = Where (reflects, {name}_mirrored, {name}_last)
    {name}_outside = Greater ({name}_all, {name}_last)
    {name}_index = Where ({name}_outside, {name}_beyond, {name}_all)
"""
_CROPPING = """
<ir_version: {ir}, opset_import: ["" : {opset}]>
cropping (float[batch, 3, rows, columns] whole, int64[2] to)
    => (float[batch, 3, height, width] restored)
{{
    start = Constant <value_ints = [0, 0]> ()
    axes = Constant <value_ints = [2, 3]> ()
    restored = Slice (whole, start, to, axes)
}}
"""


def to_onnx(restorer: Restorer, dtype: str = 'float32') -> ModelProto:
    """Turn a network into a model (B, 3, H, W) → the same, RGB in [0, 1], any size.

    Atoms are constants in it, and so is all else that no image changes. Padding and
    cropping are those of ``Restorer.restore``. In float16, image, filtering and result
    stay in float32; weights and features are float16.

    Args:
        restorer (Restorer): On the CPU, in float32.
        dtype (str): ``'float32'`` or ``'float16'``. Default: ``'float32'``.

    Returns:
        ModelProto: With opset 18, input ``image`` and output ``restored``.

    Raises:
        InputError: If the network does what ONNX has no operation for.
    """
    network = exportable(restorer.generator)
    divisor, least = restorer.size_divisor, restorer.min_size
    try:
        core = _trace(network, least, divisor)
    except Exception as error:  # the exporter raises all kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise InputError(
            f'{type(restorer.generator).__name__} cannot be exported ({reason}); '
            'restore with PyTorch'
        ) from error
    model = _folded(_of_any_size(core, divisor, least))
    if dtype == 'float16':
        heads = [
            f'/{name}/'
            for name, part in network.named_modules()
            if isinstance(part, FixedFilterHead)
        ]
        model = _in_float16(model, heads)
    onnx.checker.check_model(model, full_check=True)
    return model


def _trace(network: nn.Module, least: int, divisor: int) -> ModelProto:
    """Record what a network does, at the least size, where all special cases show.

    That of a network without one is none of a few pixels, which no other is like.
    """
    least = -(-max(least, _LEAST) // divisor) * divisor
    image = torch.rand(1, 3, least, least + divisor)
    axes = {0: 'batch', 2: 'rows', 3: 'columns'}
    file = io.BytesIO()
    with (
        torch.no_grad(),
        warnings.catch_warnings(),
        # It prints all of a graph that it cannot export.
        contextlib.redirect_stdout(io.StringIO()),
    ):
        # Of sides that are compared while they are traced, and of the exporter's age:
        # the one in torch.export takes many times as long, and refuses networks with
        # sides of which it cannot prove what it wants to know.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            network,
            (image,),
            # This exporter takes open files, too.
            file,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            input_names=['core_in'],
            output_names=['core_out'],
            dynamic_axes={'core_in': axes, 'core_out': axes},
        )
    return onnx.load_from_string(file.getvalue())


def _of_any_size(core: ModelProto, divisor: int, least: int) -> ModelProto:
    """Put padding before a model and cropping behind it."""
    options = dict(ir=_IR_VERSION, opset=OPSET)
    extending = parser.parse_model(
        _EXTENDING.format(
            divisor=divisor,
            divisor_less_one=divisor - 1,
            least=least,
            rows=_INDEX.format(name='row', axis=0),
            columns=_INDEX.format(name='column', axis=1),
            **options,
        )
    )
    cropping = parser.parse_model(_CROPPING.format(**options))
    core.ir_version = _IR_VERSION
    # Names of the parts must not meet.
    extending = compose.add_prefix(extending, 'pad/', rename_inputs=False)
    cropping = compose.add_prefix(cropping, 'crop/', rename_outputs=False)
    for part in (extending, cropping):
        for node in part.graph.node:
            node.name = node.output[0]
    model = compose.merge_models(
        extending,
        core,
        io_map=[('pad/extended', 'core_in')],
        outputs=['core_out', 'pad/size'],
    )
    ends = [('core_out', 'crop/whole'), ('pad/size', 'crop/to')]
    return compose.merge_models(model, cropping, io_map=ends)


def _folded(model: ModelProto) -> ModelProto:
    """The same, with all that is constant computed: a third of the nodes."""
    options = onnxruntime.SessionOptions()
    # Higher levels bring operations of onnxruntime's own.
    level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.graph_optimization_level = level
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'folded.onnx'
        options.optimized_model_filepath = str(file)
        providers = ['CPUExecutionProvider']
        onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=providers
        )
        folded = onnx.load(file)
    # It names all domains that it knows, and ours twice.
    del folded.opset_import[:]
    folded.opset_import.append(onnx.helper.make_opsetid('', OPSET))
    return folded


def _in_float16(model: ModelProto, kept: list[str]) -> ModelProto:
    """The same with weights and features in float16, but for some scopes' nodes."""
    kept = [
        node.name
        for node in model.graph.node
        if node.name.startswith(('pad/', 'crop/', *kept))
    ]
    with warnings.catch_warnings():
        # Of weights that become zero: what that costs is measured.
        warnings.simplefilter('ignore')
        narrow = convert_float_to_float16(
            model, keep_io_types=True, node_block_list=kept
        )
    OnnxModel(narrow).topological_sort()
    return narrow
