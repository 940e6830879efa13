"""Every operation and every network on a GPU, against the CPU's float32 or better.

Networks are those of the configs, whoever wrote them. The same checks run on the CPU
for one of them, so that they are no news where there is a GPU.
"""

from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from mmagic.registry import MODELS

from mmagic_inik.benchmark.contenders import load_config
from mmagic_inik.ops import (
    gated_update,
    gated_update_reference,
    inverse_filter,
    inverse_filter_reference,
    reflect_conv,
    reflect_conv_reference,
)

ROOT = Path(__file__).parents[1]
CONFIGS = [
    str(path.relative_to(ROOT))
    for path in sorted((ROOT / 'configs').rglob('*.py'))
    if '_base_' not in path.parts
]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
# Two GPUs if there are: the second is not the current one.
GPUS = [f'cuda:{i}' for i in range(max(1, min(2, torch.cuda.device_count())))]
ON_GPUS = [
    pytest.param(
        *(name,),
        marks=[
            pytest.mark.cuda,
            pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device'),
        ],
    )
    for name in GPUS
]
on_each_gpu = pytest.mark.parametrize('device', ON_GPUS)
on_every_device = pytest.mark.parametrize('device', ['cpu', *ON_GPUS])


@pytest.fixture(autouse=True)
def no_tf32():
    parts = torch.backends.cudnn, torch.backends.cuda.matmul
    before = [part.allow_tf32 for part in parts]
    for part in parts:
        part.allow_tf32 = False
    yield
    for part, value in zip(parts, before, strict=True):
        part.allow_tf32 = value


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def of_filter(mixed):
    atoms = [random(3, side, side, seed=side) / side for side in (1, 3, 7)]
    mixing = random(3, 3, 3, 3, seed=4) if mixed else None
    return [random(2, 3, 37, 31), random(2, 3, 37, 31), random(2, 3, 37, 31)], (
        *atoms,
        *([mixing] if mixed else []),
    )


def filtered(op, mixed):
    def run(y, mu, omega, *rest):
        return op(y, mu, omega, list(rest[:3]), rest[3] if mixed else None)

    images, weights = of_filter(mixed)
    return run, [*images, *weights]


def operation(name, plain):
    """An operation, or its reference, and arguments for it."""
    if name.startswith('inverse_filter'):
        op = inverse_filter_reference if plain else inverse_filter
        return filtered(op, name.endswith('mixing'))
    x, weight = random(2, 8, 17, 14), random(8, 8, 3, 3, seed=1) / 9
    if name == 'reflect_conv':
        op = reflect_conv_reference if plain else reflect_conv
        return lambda *a: op(*a[:2], residual=a[2]), [x, weight, random(2, 8, 17, 14)]
    op = gated_update_reference if plain else gated_update
    weight, bias, c = random(16, 8, 1, 1) / 3, random(16), random(2, 4, 17, 14)
    return lambda *a: torch.cat(op(*a), 1), [x, weight, bias, c]


def outputs_and_gradients(run, leaves):
    out = run(*leaves)
    cotangent = random(*out.shape, seed=9).to(out.device) / out.numel() ** 0.5
    gradients = torch.autograd.grad((out.double() * cotangent).sum(), leaves)
    return [t.detach().double().cpu() for t in (out, *gradients)]


@on_every_device
@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('plain_image', [False, True], ids=['', 'image fixed'])
@pytest.mark.parametrize(
    'name', ['inverse_filter', 'inverse_filter mixing', 'reflect_conv', 'gated_update']
)
def test_operation(device, dtype, name, plain_image):
    """With the gradient of the image, Eq. 9 takes bands; without it, Triton."""
    run, given = operation(name, plain=False)
    slow, _ = operation(name, plain=True)
    fixed = 1 if plain_image else 0
    moved = [t.to(device, dtype) for t in given]
    wide = [t.double().cpu() for t in moved]
    for leaf in (*moved[fixed:], *wide[fixed:]):
        leaf.requires_grad_()
    found, wanted = (
        outputs_and_gradients(lambda *a: op(*args[:fixed], *a), args[fixed:])  # noqa: B023
        for op, args in ((run, moved), (slow, wide))
    )
    for got, want in zip(found, wanted, strict=True):
        assert (got - want).abs().max() / want.abs().max() < 32 * torch.finfo(dtype).eps


def restored_and_gradient(network, y, dtype):
    """The image, and the gradient of all parameters as one vector."""
    half = dtype != torch.float32
    with torch.autocast(y.device.type, dtype) if half else nullcontext():
        out = network(y)
    cotangent = random(*out.shape, seed=9).to(out.device) / out.numel() ** 0.5
    leaves = [p for p in network.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(
        (out.float() * cotangent).sum(), leaves, allow_unused=True
    )
    assert all(g is None or g.dtype == torch.float32 for g in gradients)
    joined = torch.cat([g.flatten() for g in gradients if g is not None])
    return out.detach().double().cpu(), joined.double().cpu()


def check_network(config, device):
    torch.manual_seed(0)
    network = MODELS.build(load_config(str(ROOT / config)).model.generator).eval()
    y = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    want, want_gradient = restored_and_gradient(network, y, torch.float32)
    moved, y = deepcopy(network).to(device), y.to(device)
    for dtype in DTYPES:
        out, gradient = restored_and_gradient(moved, y, dtype)
        unit = torch.finfo(dtype).eps
        error = (out - want).norm() / want.norm()
        assert error < max(1e-4, 16 * unit), (dtype, error)
        error = (gradient - want_gradient).norm() / want_gradient.norm()
        assert error < max(1e-3, 64 * unit), (dtype, error)


@on_each_gpu
@pytest.mark.parametrize('config', CONFIGS)
def test_network(config, device):
    check_network(config, device)


@pytest.mark.parametrize('config', ['configs/iniknet_demo.py'])
def test_network_on_a_cpu(config):
    check_network(config, 'cpu')


@pytest.mark.cuda
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason='needs two CUDA devices')
def test_the_current_gpu_stays_the_current_one():
    run, given = operation('inverse_filter mixing', plain=False)
    moved = [t.to('cuda:1') for t in given]
    run(*moved)
    assert torch.cuda.current_device() == 0
    assert torch.cuda.memory_allocated('cuda:0') == 0
