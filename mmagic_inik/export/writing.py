"""Exported models and weights as files, which appear complete or not at all."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from onnx import ModelProto

from .. import __version__
from ..errors import InputError
from ..restoration.encoding import write_whole
from ..safe_weights import safetensors_of
from .checking import Agreement, compare, require
from .source import Source, find_source
from .tracing import OPSET, to_onnx

DTYPES = ('float32', 'float16')


class Export(NamedTuple):
    """What was written.

    Attributes:
        content (bytes): Of the file.
        agreements (list[Agreement]): With PyTorch, one for each size that was tried.
    """

    content: bytes
    agreements: list[Agreement]


def export(
    checkpoint: str,
    destination: Path,
    config: str | None = None,
    dtype: str = 'float32',
) -> Export:
    """Write a network for others to run, as ``.onnx``, or its weights.

    Args:
        checkpoint (str): As in :func:`~.source.find_source`.
        destination (Path): ``.onnx``, a model that is checked against PyTorch in
            onnxruntime first; or ``.safetensors``, the weights and what they are of.
            What is there already is replaced.
        config (str, optional): As in :func:`~.source.find_source`.
        dtype (str): ``'float32'`` or ``'float16'``. Default: ``'float32'``.

    Returns:
        Export: What is in the file.

    Raises:
        InputError: If the checkpoint cannot be used or exported, the model differs from
            it, or the file cannot be written; then nothing is left.
    """
    if dtype not in DTYPES:
        raise InputError(f'dtype must be in {DTYPES}, got {dtype!r}')
    kinds = {'.onnx': _model, '.safetensors': _weights}
    if destination.suffix not in kinds:
        raise InputError(
            f'{destination} does not end in {" or ".join(kinds)}; name it so'
        )
    if destination.is_dir():
        raise InputError(f'{destination} is a folder; name a file')
    written = kinds[destination.suffix](find_source(checkpoint, config), dtype)
    require(written.agreements, str(destination))
    write_whole(destination, written.content)
    return written


def model_of(source: Source, dtype: str = 'float32') -> ModelProto:
    """A network as a model that says what it is.

    Args:
        source (Source): The network.
        dtype (str): ``'float32'`` or ``'float16'``. Default: ``'float32'``.

    Returns:
        ModelProto: See :func:`~.tracing.to_onnx`.

    Raises:
        InputError: As of :func:`~.tracing.to_onnx`.
    """
    model = to_onnx(source.restorer, dtype)
    model.producer_name, model.producer_version = 'mmagic_inik', __version__
    model.doc_string = 'Takes the defocus blur out of images.'
    for key, value in _metadata(source, dtype).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, str(value)
    return model


def _metadata(source: Source, dtype: str) -> dict[str, object]:
    """What somebody must know who has the file alone."""
    divisor, least = source.restorer.size_divisor, source.restorer.min_size
    return {
        'name': type(source.restorer.generator).__name__,
        'version': __version__,
        'config': source.config,
        'config_sha256': source.digest,
        'checkpoint': source.checkpoint.name,
        'checkpoint_sha256': hashlib.sha256(source.checkpoint.read_bytes()).hexdigest(),
        'iterations': source.card.get('iterations'),
        'dtype': dtype,
        'opset': OPSET,
        'layout': 'batch, colour, height, width; float32',
        'colour_order': 'RGB',
        'value_range': '[0, 1]; the result is not clipped',
        'padding': f'inside: sides of any length are reflected at bottom and right to '
        f'multiples of {divisor} and at least {least}, and cropped back',
        'size_divisor': divisor,
        'min_size': least,
    }


def _model(source: Source, dtype: str) -> Export:
    content = model_of(source, dtype).SerializeToString()
    return Export(content, compare(content, source.restorer, dtype))


def _weights(source: Source, dtype: str) -> Export:
    card = json.loads(json.dumps(source.card, default=str))
    state = source.restorer.state_dict()
    return Export(safetensors_of(state, card, dtype), [])
