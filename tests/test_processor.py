"""Processors that this machine is not: its answers are replaced."""

import os
import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmagic.registry import MODELS, OPTIM_WRAPPERS
from mmagic.structures import DataSample
from torch.utils._python_dispatch import TorchDispatchMode

from mmagic_inik.models.layers import PointConv2d
from mmagic_inik.ops import (
    gated_update,
    gated_update_reference,
    processor,
    reflect_conv,
    reflect_conv_reference,
)

module = import_module('mmagic_inik.ops.reflect_conv')
HALF = [torch.bfloat16, torch.float16]
MULTIPLIES = {'convolution', 'convolution_backward', 'addmm', 'mm', 'bmm'}
TINY = dict(
    type='MultiScaleRestorer',
    generator=dict(
        type='INIKNet',
        backbone=dict(type='UNet', base_channels=4, num_res_blocks=1),
        neck=dict(type='DuplexConvLSTM', channels=4, num_res_blocks=1),
        head=dict(
            type='InverseFilterHead',
            in_channels=4,
            atom_bank=dict(type='INRAtomBank', num_atoms=2, kernel_sizes=(1, 3, 5)),
        ),
    ),
    loss=dict(type='MultiScaleLoss', losses=dict(mse=dict(type='MSELoss'))),
    data_preprocessor=dict(type='DataPreprocessor', mean=[0.0], std=[255.0]),
)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    """Each test asks and is told as in a fresh process."""
    caches = (processor._has, module._sums_are_right)
    monkeypatch.setattr(processor, '_said', set())
    monkeypatch.setattr(module, '_failed', set())
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.fixture(params=[False, True], ids=['weak', 'strong'])
def strong(request, monkeypatch):
    """Any processor says of itself that it is weak, and that it is strong."""
    said = lambda dtype: request.param or dtype not in HALF  # noqa: E731
    monkeypatch.setattr(processor, 'computes_in', said)
    return request.param


class Multiplications(TorchDispatchMode):
    """Types in which is multiplied."""

    def __init__(self):
        super().__init__()
        self.dtypes = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in MULTIPLIES:
            self.dtypes.add(args[0].dtype)
        return func(*args, **kwargs or {})


def values(*shape, dtype=torch.float32):
    return processor.sample(*shape).to(dtype)


def shares(gradients, expected):
    return [
        ((g.double() - e).norm() / e.norm()).item()
        for g, e in zip(gradients, expected, strict=True)
    ]


@pytest.mark.parametrize(
    ('onednn', 'flags', 'claims'),
    [
        (True, {'avx2': True, 'avx512_bf16': True}, True),
        (True, {'avx512_f': True, 'amx_bf16': True}, True),
        (True, {'architecture': 'aarch64', 'bf16': True}, True),
        (True, {'avx512_f': True, 'avx512_bf16': False}, False),
        (True, {'architecture': 'aarch64', 'neon': True}, False),
        (False, {'avx512_bf16': True}, False),
    ],
    ids=['AVX-512 BF16', 'AMX', 'Arm', 'AVX-512 alone', 'Arm without', 'capped'],
)
def test_both_onednn_and_the_flags_must_say_so(monkeypatch, onednn, flags, claims):
    name = '_is_mkldnn_bf16_supported'
    monkeypatch.setattr(torch.ops.mkldnn, name, lambda: onednn, raising=False)
    monkeypatch.setattr(torch.backends.mkldnn, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: flags, raising=False)
    assert processor._claims(torch.bfloat16) == claims
    # What is claimed is tried here, in PyTorch's own slow form where there is no other.
    assert processor.computes_in(torch.bfloat16) == claims
    with torch.backends.mkldnn.flags(enabled=False):
        assert not processor.computes_in(torch.bfloat16)
        assert processor.computes_in(torch.float32)


def test_an_old_pytorch_tells_no_flags(monkeypatch):
    monkeypatch.delattr(torch.cpu, 'get_capabilities', raising=False)
    name = '_is_mkldnn_fp16_supported'
    for answer in (True, False):
        monkeypatch.setattr(torch.ops.mkldnn, name, lambda a=answer: a, raising=False)
        assert processor._claims(torch.float16) == answer


@pytest.mark.parametrize('fault', ['refuses', 'nan', 'wrong'])
@pytest.mark.parametrize('dtype', HALF, ids=str)
def test_a_claim_that_is_not_kept_is_told_once(monkeypatch, fault, dtype):
    conv = F.conv2d

    def broken(x, *args, **kwargs):
        if x.dtype != dtype:
            return conv(x, *args, **kwargs)
        if fault == 'refuses':
            raise RuntimeError('could not create a primitive\nat line 5')
        return conv(x, *args, **kwargs) * (torch.nan if fault == 'nan' else 1.1)

    monkeypatch.setattr(processor, '_claims', lambda dtype: True)
    monkeypatch.setattr(F, 'conv2d', broken)
    args = values(1, 8, 9, 7, dtype=dtype), values(4, 8, 3, 3, dtype=dtype)
    expected = reflect_conv_reference(*(t.double() for t in args))
    with pytest.warns(UserWarning, match='cannot be used on this processor') as told:
        found = [reflect_conv(*args, stride) for stride in (1, 2)]
    want = [expected, expected[..., ::2, ::2]]
    assert max(shares(found, want)) < 2 * torch.finfo(dtype).eps
    assert len(told) == 1
    assert ('could not create a primitive)' in str(told[0].message)) == (
        fault == 'refuses'
    )


@pytest.mark.parametrize('dtype', HALF, ids=str)
@pytest.mark.parametrize('size', [(9, 7), (1, 6), (2, 2)], ids=str)
@pytest.mark.parametrize('options', [(1, True), (2, False)], ids=['relu', 'stride'])
def test_convolutions_are_right_on_any_processor(strong, dtype, size, options):
    x, weight = values(2, 6, *size), values(5, 6, 3, 3)
    sides = [-(-side // options[0]) for side in size]
    leaves = [t.to(dtype).requires_grad_() for t in (x, weight, values(2, 5, *sides))]
    exact = [t.detach().double().requires_grad_() for t in leaves]
    with Multiplications() as seen:
        out = reflect_conv(*leaves[:2], *options, leaves[2])
        cotangent = values(*out.shape)
        gradients = torch.autograd.grad(out, leaves, cotangent.to(dtype))
    assert seen.dtypes == {dtype if strong else torch.float32}
    assert out.dtype == gradients[0].dtype == dtype
    want = reflect_conv_reference(*exact[:2], *options, exact[2])
    assert max(shares([out], [want])) < 2 * torch.finfo(dtype).eps
    # A rounded result may lie on the other side of zero.
    expected = torch.autograd.grad(want, exact, cotangent.to(dtype).double())
    limit = 0.05 if options[1] else 3 * torch.finfo(dtype).eps
    assert max(shares(gradients, expected)) < limit


@pytest.mark.parametrize('dtype', HALF, ids=str)
@pytest.mark.parametrize('state', [False, True])
def test_gates_are_right_on_any_processor(strong, dtype, state):
    shapes = [(1, 6, 5, 4), (12, 6, 1, 1), (12,), *[(1, 3, 5, 4)] * state]
    leaves = [values(*shape, dtype=dtype).requires_grad_() for shape in shapes]
    exact = [t.detach().double().requires_grad_() for t in leaves]
    with Multiplications() as seen:
        h, c = gated_update(*leaves)
        gradients = torch.autograd.grad(h.sum() + c.sum(), leaves)
    assert seen.dtypes == {dtype if strong else torch.float32}
    want = gated_update_reference(*exact)
    expected = torch.autograd.grad(sum(t.sum() for t in want), exact)
    found = shares([h, c, *gradients], [*want, *expected])
    assert max(found) < 8 * torch.finfo(dtype).eps


@pytest.mark.parametrize('dtype', HALF, ids=str)
def test_pointwise_convolutions_are_right_on_any_processor(strong, dtype):
    layer, x = PointConv2d(6, 5), values(2, 6, 4, 3)
    want = F.conv2d(x, layer.weight, layer.bias)
    with Multiplications() as seen, torch.autocast('cpu', dtype):
        out = layer(x)
    assert seen.dtypes == {dtype if strong else torch.float32}
    assert out.dtype == dtype
    assert max(shares([out], [want])) < 2 * torch.finfo(dtype).eps
    out.float().sum().backward()
    assert layer.weight.grad.dtype == layer.bias.grad.dtype == torch.float32


@pytest.mark.filterwarnings('ignore:convolution in place')
@pytest.mark.parametrize('dtype', HALF, ids=str)
def test_the_network_trains_and_restores_on_any_processor(strong, dtype):
    torch.manual_seed(0)
    network, y = MODELS.build(TINY['generator']), torch.rand(1, 3, 32, 24)

    def gradients(narrow):
        with torch.autocast('cpu', dtype, enabled=narrow):
            loss = sum((x - 0.5).square().mean() for x in network.forward_scales(y))
        return torch.autograd.grad(loss, [*network.parameters()])

    exact, restored = gradients(False), network(y)
    with Multiplications() as seen:
        narrow = gradients(True)
        with torch.autocast('cpu', dtype), torch.no_grad():
            found = network(y)
    assert (dtype in seen.dtypes) == strong
    assert (found - restored).abs().max() < 0.01
    whole, both = (torch.cat([t.flatten() for t in ts]) for ts in (narrow, exact))
    assert F.cosine_similarity(whole, both, 0) > 0.999


def _refuses(*args):
    raise RuntimeError('mkldnn pointwise binary: needs the cpu support')


def _is_missing(*args):
    return torch.ops.mkldnn.no_such_operation(*args)


def _adds_nothing(residual, x, weight):
    return residual.copy_(F.conv2d(x, weight, padding=1))


def _leaves_its_place(x, weight, residual):
    return residual + F.conv2d(x, weight, padding=1)


@pytest.mark.parametrize('dtype', [torch.float32, *HALF], ids=str)
@pytest.mark.parametrize(
    'operation', [_refuses, _is_missing, _adds_nothing, _leaves_its_place]
)
@torch.no_grad()
def test_the_private_operation_is_tried_before_it_is_used(
    monkeypatch, operation, dtype
):
    monkeypatch.setattr(processor, 'computes_in', lambda dtype: True)
    monkeypatch.setattr(module, '_add_in_place', operation)
    x, weight = values(1, 6, 9, 7, dtype=dtype), values(6, 6, 3, 3, dtype=dtype)
    residual = values(1, 6, 9, 7, dtype=dtype) + 1
    residual = residual.contiguous(memory_format=torch.channels_last)
    want = reflect_conv_reference(*(t.double() for t in (x, weight)), 1, False)
    want += residual.double()
    with pytest.warns(UserWarning, match='in place in .* cannot be used') as told:
        found = [
            reflect_conv(x, weight, residual=residual, overwrite=True) for _ in range(2)
        ]
    assert max(shares(found, [want] * 2)) < 2 * torch.finfo(dtype).eps
    assert len(told) == 1


@torch.no_grad()
def test_a_later_refusal_is_survived(monkeypatch):
    x, weight, residual = values(1, 6, 9, 7), values(6, 6, 3, 3), values(1, 6, 9, 7)
    residual = residual.contiguous(memory_format=torch.channels_last)
    calls = []

    def refuses(*args):
        calls.append(args)
        _refuses()

    monkeypatch.setattr(module, '_sums_are_right', lambda dtype: True)
    monkeypatch.setattr(module, '_add_in_place', refuses)
    want = reflect_conv_reference(x, weight, residual=residual)
    with pytest.warns(UserWarning, match='needs the cpu support') as told:
        found = [
            reflect_conv(x, weight, residual=residual, overwrite=True) for _ in range(2)
        ]
    torch.testing.assert_close(found, [want] * 2)
    assert len(told) == len(calls) == 1


@torch.no_grad()
def test_memory_that_runs_out_is_no_refusal(monkeypatch):
    def full(*args):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(module, '_sums_are_right', lambda dtype: True)
    monkeypatch.setattr(module, '_add_in_place', full)
    x = values(1, 6, 9, 7).contiguous(memory_format=torch.channels_last)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        reflect_conv(x, values(6, 6, 3, 3), residual=x.clone(), overwrite=True)
    assert not module._failed


def test_auto_is_what_the_processor_is_made_for(strong, monkeypatch):
    assert processor.resolve_dtype('auto', 'cpu') == (
        'bfloat16' if strong else 'float32'
    )
    for dtype in ('float32', 'bfloat16', 'float16'):
        assert processor.resolve_dtype(dtype, 'cpu') == dtype
    for capability, dtype in (((7, 5), 'float32'), ((8, 0), 'bfloat16')):
        got = lambda device, c=capability: c  # noqa: E731
        monkeypatch.setattr(torch.cuda, 'get_device_capability', got)
        assert processor.resolve_dtype('auto', 'cuda:1') == dtype
    assert processor.resolve_dtype('auto', 'mps') == 'float32'


def test_a_slow_type_is_told_once(strong, monkeypatch):
    told = []
    for _ in range(2):
        for dtype in ('float32', 'bfloat16'):
            processor.say_if_slow(dtype, 'cpu', told.append)
    assert len(told) == (0 if strong else 1)
    assert all('bfloat16 is no faster than float32 on this' in text for text in told)
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: (7, 5))
    for dtype in ('float16', 'bfloat16', 'bfloat16'):
        processor.say_if_slow(dtype, 'cuda', told.append)
    assert len(told) == (1 if strong else 2)


@torch.no_grad()
def test_a_restorer_takes_what_is_fastest_and_tells_of_what_is_not(strong):
    model, y = MODELS.build(TINY), torch.rand(1, 3, 32, 32)
    with warnings.catch_warnings():
        # Of a sum in place, which not every machine has.
        warnings.filterwarnings('ignore', 'convolution in place')
        warnings.filterwarnings('error', '.* is no faster')
        found = model.restore(y, dtype='auto')
    if not strong:
        assert torch.equal(found, model.restore(y))
        with pytest.warns(UserWarning, match='bfloat16 is no faster') as told:
            [model.restore(y, dtype='bfloat16') for _ in range(2)]
        assert len(told) == 1
    else:
        assert torch.equal(found, model.restore(y, dtype='bfloat16'))
        assert not torch.equal(found, model.restore(y))


@pytest.mark.parametrize('dtype', ['auto', 'bfloat16', 'float32', None])
def test_training_takes_what_is_fastest(strong, dtype):
    options = {} if dtype is None else dict(train_cfg=dict(dtype=dtype))
    model, types = MODELS.build(TINY | options), []
    model.generator.backbone.register_forward_hook(
        lambda module, args, output: types.append(output.dtype)
    )
    image = torch.rand(1, 3, 32, 32)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter('always')
        for _ in range(2):
            losses = model.forward_train(image, DataSample(gt_img=image))
    sum(losses.values()).backward()
    narrow = dtype == 'bfloat16' or (dtype == 'auto' and strong)
    assert set(types) == {torch.bfloat16 if narrow else torch.float32}
    assert {p.grad.dtype for p in model.parameters()} == {torch.float32}
    slow = [w for w in told if 'is no faster' in str(w.message)]
    assert len(slow) == (dtype == 'bfloat16' and not strong)
    types.clear()
    # As MMagic's --amp and Bfloat16OptimWrapper do.
    with torch.autocast('cpu', torch.bfloat16):
        model.forward_train(image, DataSample(gt_img=image))
    assert set(types) == {torch.bfloat16}


def test_types_that_training_cannot_take_are_refused():
    with pytest.raises(ValueError, match="train_cfg must be in .*, got 'float16'"):
        MODELS.build(TINY | dict(train_cfg=dict(dtype='float16')))


def test_the_wrapper_trains_and_tells_where_it_is_slow(strong, caplog, capsys):
    torch.manual_seed(0)
    model = MODELS.build(TINY).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    wrapper = OPTIM_WRAPPERS.build(
        dict(type='Bfloat16OptimWrapper', optimizer=optimizer)
    )
    images = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    data = dict(inputs=[images[0]], data_samples=[DataSample(gt_img=images[1])])
    losses = [model.train_step(data, wrapper)['loss'].item() for _ in range(8)]
    assert losses[-1] < losses[0]
    printed = ''.join(capsys.readouterr())
    assert printed.count('is no faster than float32') == (not strong)


PROGRAM = """
import torch
from mmagic.registry import MODELS
from mmengine.registry import init_default_scope
from test_processor import TINY
from mmagic_inik.ops.processor import resolve_dtype

init_default_scope('mmagic')
torch.manual_seed(0)
model, y = MODELS.build(TINY), torch.rand(1, 3, 48, 40)
network = model.generator
torch.nn.init.normal_(network.head.mixing, std=0.1)
with torch.no_grad():
    exact = model.restore(y)
    assert torch.equal(model.restore(y, dtype=resolve_dtype('auto', 'cpu')),
                       model.restore(y, dtype='auto'))
    for dtype in ('bfloat16', 'float16'):
        assert 0 < (model.restore(y, dtype=dtype) - exact).abs().max() < 0.03
with torch.autocast('cpu', torch.bfloat16):
    loss = sum((x - 0.5).square().mean() for x in network.forward_scales(y))
loss.backward()
assert all(p.grad.isfinite().all() for p in network.parameters())
print(resolve_dtype('auto', 'cpu'))
"""


@pytest.mark.long
@pytest.mark.parametrize(
    'caps',
    [
        dict(ONEDNN_MAX_CPU_ISA='AVX2', ATEN_CPU_CAPABILITY='avx2'),
        dict(ONEDNN_MAX_CPU_ISA='SSE41', ATEN_CPU_CAPABILITY='default'),
    ],
    ids=['AVX2', 'SSE4'],
)
def test_a_processor_held_to_less_computes_in_any_type(caps):
    """Whatever this machine has, PyTorch and oneDNN are not to use it."""
    process = subprocess.run(
        [sys.executable, '-c', PROGRAM],
        env=os.environ | caps | dict(PYTHONWARNINGS='ignore'),
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.split()[-1] == 'float32'
