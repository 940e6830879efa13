"""Exported models in place of PyTorch: onnxruntime and OpenVINO, on the CPU."""

import io
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError
from ..export.extra import require_extra
from ..models import Restorer
from ..options import ENGINES


class EngineNetwork(nn.Module):
    """An exported model as a network: (B, 3, H, W) on the CPU → the same.

    Args:
        model (bytes): ONNX, of ``mmagic_inik.export``.
        engine (str): ``'onnxruntime'`` or ``'openvino'``.

    Attributes:
        dtypes (tuple[str, ...]): In which it computes; OpenVINO does in bfloat16 under
            autocast.
    """

    def __init__(self, model: bytes, engine: str) -> None:
        super().__init__()
        self._model = model
        self._load = {'onnxruntime': _onnxruntime, 'openvino': _openvino}[engine]
        narrow = ('bfloat16',) if engine == 'openvino' else ()
        self.dtypes = ('auto', 'float32', *narrow)
        # Loaded once for each type that is asked for.
        self._runs: dict[bool, Callable] = {}

    def forward(self, image: Tensor) -> Tensor:
        """Restore images.

        Args:
            image (Tensor): (B, 3, H, W) float32, RGB in [0, 1], any size.

        Returns:
            Tensor: Shape of ``image``, not clipped.
        """
        narrow = torch.is_autocast_enabled('cpu')
        if narrow not in self._runs:
            self._runs[narrow] = self._load(self._model, narrow)
        return torch.from_numpy(self._runs[narrow](image.contiguous().numpy()))


def with_engine(restorer: Restorer, engine: str) -> Restorer:
    """Let an engine run what PyTorch would.

    The network is exported first, which takes some seconds.

    Args:
        restorer (Restorer): On the CPU.
        engine (str): Of ``mmagic_inik.options.ENGINES``.

    Returns:
        Restorer: With the same sides; itself with ``'pytorch'``.

    Raises:
        InputError: If a package is missing, or the network cannot be exported.
    """
    if engine == 'pytorch':
        return restorer
    _require(engine, 'onnx', 'onnxruntime')
    from ..export import to_onnx

    network = EngineNetwork(to_onnx(restorer).SerializeToString(), engine)
    return Restorer(network, restorer.size_divisor, restorer.min_size).eval()


def load_exported(path: str, engine: str) -> Restorer:
    """Load a model that ``tools/export.py`` wrote.

    Args:
        path (str): File, ``.onnx``.
        engine (str): ``'onnxruntime'`` or ``'openvino'``.

    Returns:
        Restorer: With the sides that the model was made for.

    Raises:
        InputError: If a package is missing, or the file is none of ours.
    """
    if engine == 'pytorch':
        raise InputError(
            f'{path} is an exported model, which PyTorch does not run; give --engine '
            'onnxruntime or openvino'
        )
    _require(engine, 'onnx')
    import onnx

    try:
        content = Path(path).expanduser().read_bytes()
        model = onnx.load_from_string(content)
    except OSError as error:
        raise InputError(
            f'{path} cannot be read ({error.strerror}); name a model that '
            'tools/export.py wrote'
        ) from error
    except Exception as error:  # protobuf raises its own
        raise InputError(f'{path} is damaged or no ONNX model; export anew') from error
    known = {entry.key: entry.value for entry in model.metadata_props}
    if not {'size_divisor', 'min_size'} <= known.keys():
        raise InputError(
            f'{path} does not say which sides it takes; give a model that '
            'tools/export.py wrote'
        )
    sides = int(known['size_divisor']), int(known['min_size'])
    return Restorer(EngineNetwork(content, engine), *sides).eval()


def _require(engine: str, *packages: str) -> None:
    if engine not in ENGINES:
        raise InputError(f'engine must be in {ENGINES}, got {engine!r}')
    # An engine is called as its package.
    require_extra(f'--engine {engine}', *packages, engine)


def _onnxruntime(model: bytes, narrow: bool) -> Callable[[np.ndarray], np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        model, options, providers=['CPUExecutionProvider']
    )
    (given,) = session.get_inputs()
    return lambda image: session.run(None, {given.name: image})[0]


def _openvino(model: bytes, narrow: bool) -> Callable[[np.ndarray], np.ndarray]:
    options = {
        'INFERENCE_NUM_THREADS': torch.get_num_threads(),
        'INFERENCE_PRECISION_HINT': 'bf16' if narrow else 'f32',
        'PERFORMANCE_HINT': 'LATENCY',
    }
    core = _openvino_core()
    compiled = core.compile_model(core.read_model(io.BytesIO(model)), 'CPU', options)
    # Its own memory is used again by the next call.
    return lambda image: compiled(image)[0].copy()


@cache
def _openvino_core() -> Any:
    """One OpenVINO for as long as the process lives.

    With AVX-512, each gives its thread a stack for signals. Of two that go,
    the second may leave one behind that the first has freed already: the next signal
    that is listened to, such as the end of a child, then ends the process.
    """
    return _openvino_without_telemetry().Core()


def _openvino_without_telemetry() -> ModuleType:
    """OpenVINO, which would report its import to Google Analytics.

    Without the package that does, it has a stand-in of its own.
    """
    reporter = 'openvino_telemetry'
    if reporter in sys.modules or 'openvino' in sys.modules:
        import openvino  # as whoever imported it first wanted it

        return openvino
    # As if it were not installed: see Python's reference on imports.
    sys.modules[reporter] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        del sys.modules[reporter]
    return openvino
