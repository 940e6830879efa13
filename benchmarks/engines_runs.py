"""What benchmarks/engines.py measures, in a process of its own."""

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
# None: the weights that come with the package; else a config, with random weights.
NETWORKS = {
    'shipped': None,
    'light': ROOT / 'configs' / 'iniknet_light_synthetic.py',
    'full': ROOT / 'configs' / 'iniknet_dpdd.py',
}
PLAIN, OURS = 'PyTorch, plain', 'PyTorch, ours'
# Name → package and precision.
ENGINES = {
    PLAIN: ('torch', 'plain'),
    OURS: ('torch', 'fast'),
    'onnxruntime': ('onnxruntime', 'f32'),
    'OpenVINO': ('openvino', 'f32'),
    'OpenVINO, bfloat16 hint': ('openvino', 'bf16'),
}
# Side of the matrices whose product tells what the processor can do.
_MATRIX = 2048


def build(name: str):
    """A network in eval mode, under the restorer that pads for it."""
    import torch

    from mmagic_inik.export import find_source
    from mmagic_inik.models import Restorer
    from mmagic_inik.models.build import build_part

    if NETWORKS[name] is None:
        return find_source('shipped').restorer
    from mmengine.config import Config

    torch.manual_seed(0)
    generator = Config.fromfile(NETWORKS[name]).model.generator.to_dict()
    return Restorer(build_part(generator)).eval()


def in_torch(name: str, form: str, threads: int) -> Callable:
    """The network in PyTorch: our forms, or plain ones with all scales filtered."""
    import torch

    from mmagic_inik.ops import use_references

    torch.set_num_threads(threads)
    network = build(name).generator

    @torch.inference_mode()
    def run(image: np.ndarray) -> np.ndarray:
        y = torch.from_numpy(image)
        if form == 'fast':
            return network(y).numpy()
        with use_references():
            return network.forward_scales(y)[0].numpy()

    return run


def in_onnxruntime(model: str, form: str, threads: int) -> Callable:
    """An exported model in onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model, options, providers=['CPUExecutionProvider']
    )
    return lambda image: session.run(None, {'image': image})[0]


def in_openvino(model: str, form: str, threads: int) -> Callable:
    """An exported model in OpenVINO."""
    # It would report its import; without the package that does, it does not.
    sys.modules['openvino_telemetry'] = None
    import openvino

    options = {
        'INFERENCE_NUM_THREADS': threads,
        'INFERENCE_PRECISION_HINT': form,
        'PERFORMANCE_HINT': 'LATENCY',
    }
    compiled = openvino.Core().compile_model(model, 'CPU', options)
    return lambda image: compiled(image)[0]


def measure(case: dict) -> dict:
    """Run one case in this process.

    Args:
        case (dict): ``network``, ``engine``, ``model``, ``side``, ``threads``,
            ``repeats``.

    Returns:
        dict: ``seconds`` by the clock and ``processor`` seconds, medians of the
        repeats; ``peak`` resident bytes of the whole process; ``start``, seconds until
        the network was ready.
    """
    package, form = ENGINES[case['engine']]
    prepare = globals()[f'in_{package}']
    what = case['network'] if package == 'torch' else case['model']
    start = time.perf_counter()
    run = prepare(what, form, case['threads'])
    started = time.perf_counter() - start
    shape = 1, 3, case['side'], case['side']
    image = np.random.default_rng(0).random(shape, np.float32)
    run(image)
    clock, processor = [], []
    for _ in range(case['repeats']):
        start = time.perf_counter(), time.process_time()
        run(image)
        clock.append(time.perf_counter() - start[0])
        processor.append(time.process_time() - start[1])
    status = Path('/proc/self/status').read_text()
    return dict(
        seconds=float(np.median(clock)),
        processor=float(np.median(processor)),
        peak=1024 * int(re.search(r'VmHWM:\s+(\d+) kB', status)[1]),
        start=started,
    )


def bound(network: str, side: int, threads: int) -> dict:
    """What the multiplications alone take at the pace of a large matrix product.

    Args:
        network (str): Of ``NETWORKS``.
        side (int): Of the image.
        threads (int): Of the product.

    Returns:
        dict: ``flops`` of the finest scale's result, two a multiplication; ``pace``,
        per second of the processor, all threads' together; ``seconds`` of it.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    torch.set_num_threads(threads)
    image = torch.rand(1, 3, side, side)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        build(network).generator(image)
    a = torch.rand(_MATRIX, _MATRIX)
    found = []
    for _ in range(5):
        start = time.process_time()
        a @ a
        found.append(time.process_time() - start)
    pace = 2 * _MATRIX**3 / min(found)
    flops = counter.get_total_flops()
    return dict(flops=flops, pace=pace, seconds=flops / pace)
