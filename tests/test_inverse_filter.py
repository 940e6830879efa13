import itertools
import subprocess
import sys
import warnings
from importlib import import_module

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mmagic_inik.ops import inverse_filter, inverse_filter_reference

module = import_module('mmagic_inik.ops.inverse_filter')
bands = import_module('mmagic_inik.ops.bands')
BOTH = pytest.mark.parametrize(
    'op', [inverse_filter, inverse_filter_reference], ids=['fast', 'reference']
)
# Relative to the largest output: a few roundings of the type.
TOLERANCE = {
    dtype: 4 * torch.finfo(dtype).eps
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)
}


def arguments(
    b=2, c=3, h=5, w=7, n=2, sizes=(1, 3, 5), mixed=False, dtype=torch.float64
):
    """Random y, mu, omega, atoms, mixing, bias, all requiring gradients."""
    generator = torch.Generator().manual_seed(h * 100 + w)

    def random(*shape):
        values = torch.randn(shape, generator=generator, dtype=torch.float64)
        return values.to(dtype).requires_grad_()

    y, mu, omega = random(b, c, h, w), random(b, len(sizes), h, w), random(b, n, h, w)
    atoms = [random(n, size, size) for size in sizes]
    mixing = random(c, len(sizes), c, n) if mixed else None
    return y, mu, omega, atoms, mixing, random(c) if mixed else None


def loops(y, mu, omega, atoms, mixing, bias):
    """Eq. 9 pixel by pixel; with `mixing`, its 1×1 convolution term by term."""
    y, mu, omega = (t.detach().numpy() for t in (y, mu, omega))
    atoms = [a.detach().numpy() for a in atoms]
    out = np.zeros_like(y)
    if bias is not None:
        out += bias.detach().numpy()[:, None, None]
    batch, colors, height, width = y.shape
    for b, row, column in itertools.product(range(batch), range(height), range(width)):
        for r, atom in enumerate(atoms):
            half = atom.shape[-1] // 2
            for n, c in itertools.product(range(len(atom)), range(colors)):
                filtered = 0.0
                for i, j in itertools.product(range(-half, half + 1), repeat=2):
                    if 0 <= row + i < height and 0 <= column + j < width:
                        pixel = y[b, c, row + i, column + j]
                        filtered += atom[n, half + i, half + j] * pixel
                product = mu[b, r, row, column] * omega[b, n, row, column] * filtered
                if mixing is None:
                    out[b, c, row, column] += product
                else:
                    weights = mixing.detach().numpy()[:, r, c, n]
                    out[b, :, row, column] += weights * product
    return out


@BOTH
@pytest.mark.parametrize('mixed', [False, True], ids=['sum', 'mixing'])
@pytest.mark.parametrize(('h', 'w'), [(1, 1), (1, 6), (5, 7)])
def test_equals_equation_9(op, mixed, h, w):
    args = arguments(h=h, w=w, mixed=mixed)
    np.testing.assert_allclose(op(*args).detach().numpy(), loops(*args), atol=1e-12)


@BOTH
def test_is_correlation_with_zero_padding(op):
    y = torch.zeros(1, 1, 5, 5)
    y[0, 0, 2, 2] = 1
    one = torch.ones(1, 1, 5, 5)
    atom = torch.arange(1.0, 10).view(1, 3, 3)
    out = op(y, one, one, [atom])
    # A delta turns a correlation kernel by 180°.
    torch.testing.assert_close(out[0, 0, 1:4, 1:4], atom[0].flip(0, 1))
    corner = op(one, one, one, [atom])[0, 0, 0, 0]
    assert corner == 5 + 6 + 8 + 9


@pytest.mark.parametrize('mixed', [False, True], ids=['sum', 'mixing'])
@pytest.mark.parametrize('border', ['zero', 'reflect'])
@pytest.mark.parametrize(('h', 'w'), [(37, 31), (2, 1)])
def test_values_and_gradients_match_reference(mixed, border, h, w):
    args = arguments(h=h, w=w, n=3, sizes=(1, 3, 7, 15), mixed=mixed)
    leaves = [t for t in (*args[:3], *args[3], *args[4:]) if t is not None]
    fast, slow = (
        op(*args, border=border) for op in (inverse_filter, inverse_filter_reference)
    )
    torch.testing.assert_close(fast, slow, atol=1e-11, rtol=0)
    cotangent = torch.randn_like(slow)
    ours = torch.autograd.grad(fast, leaves, cotangent)
    theirs = torch.autograd.grad(slow, leaves, cotangent)
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, atol=1e-9, rtol=1e-9)


@BOTH
@pytest.mark.parametrize(('side', 'seen'), [(9, 'reflect'), (2, 'edge')])
def test_beyond_the_border_the_image_is_mirrored(op, side, seen):
    """In small images that allow no mirroring, its border is repeated."""
    y, mu, omega, atoms, mixing, bias = arguments(h=side, w=side, mixed=True)
    beyond = ((0, 0), (0, 0), (2, 2), (2, 2))
    wider = np.pad(y.detach().numpy(), beyond, seen)
    weights = (
        torch.from_numpy(np.pad(w.detach().numpy(), beyond)) for w in (mu, omega)
    )
    expected = loops(torch.from_numpy(wider), *weights, atoms, mixing, bias)
    out = op(y, mu, omega, atoms, mixing, bias, border='reflect')
    np.testing.assert_allclose(
        out.detach().numpy(), expected[..., 2:-2, 2:-2], atol=1e-12
    )


def test_an_unknown_border_is_refused():
    with pytest.raises(ValueError, match="border must be in .* got 'wrap'"):
        inverse_filter(*arguments(), border='wrap')


@BOTH
@pytest.mark.parametrize('mixed', [False, True], ids=['sum', 'mixing'])
def test_no_image_at_all_is_none_filtered(op, mixed):
    y, mu, omega, *weights = arguments(mixed=mixed)
    out = op(y[:0], mu[:0], omega[:0], *weights)
    assert out.shape == (0, *y.shape[1:])
    leaves = [*weights[0], *(w for w in weights[1:] if w is not None)]
    assert all(not g.any() for g in torch.autograd.grad(out.sum(), leaves))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize('image', [False, True], ids=['weights', 'all'])
def test_gradients_of_narrow_weights_are_summed_in_float32(monkeypatch, dtype, image):
    monkeypatch.setattr(bands, '_BAND', 64)
    # Positive, so that sums grow beyond what a narrow type resolves.
    args = arguments(b=1, h=96, w=48, mixed=True)
    args = [
        t and [a.abs() for a in t] if isinstance(t, list) else t.abs() for t in args
    ]
    narrow = [
        [a.detach().to(dtype).requires_grad_() for a in t]
        if isinstance(t, list)
        else t.detach().to(dtype).requires_grad_()
        for t in args
    ]
    if not image:
        narrow[0] = narrow[0].detach().float().requires_grad_()
    wide = [
        [a.detach().double().requires_grad_() for a in t]
        if isinstance(t, list)
        else t.detach().double().requires_grad_()
        for t in narrow
    ]
    scale = 1e-4
    ours, exact = (
        torch.autograd.grad((op(*t) * scale).sum(), leaves_of(t))
        for op, t in ((inverse_filter, narrow), (inverse_filter_reference, wide))
    )
    for our, want in zip(ours, exact, strict=True):
        error = (our.double() - want).norm() / want.norm()
        assert error < torch.finfo(dtype).eps


@pytest.mark.parametrize('mixed', [False, True])
@pytest.mark.parametrize(
    ('lanes', 'atoms', 'width', 'neighbours'),
    [(16, 6, 8, 2), (16, 4, 8, 4), (16, 2, 8, 8), (16, 2, 12, 4), (16, 6, 7, 1)]
    + [(4, 4, 8, 1), (8, 6, 8, 1)],
)
def test_neighbours_in_a_row_are_channels_of_one_convolution(
    monkeypatch, lanes, atoms, width, neighbours, mixed
):
    monkeypatch.setattr(bands, 'vector_lanes', lambda: lanes)
    monkeypatch.setattr(bands, '_BAND', 40)
    args = arguments(w=width, n=atoms, sizes=(3, 7, 15), mixed=mixed)
    y, _, omega, used, *_ = args
    assert bands._neighbours(y, omega, used) == neighbours
    ours, exact = (op(*args) for op in (inverse_filter, inverse_filter_reference))
    torch.testing.assert_close(ours, exact)
    gradients = (
        torch.autograd.grad(o.square().sum(), leaves_of(args)) for o in (ours, exact)
    )
    torch.testing.assert_close(*gradients)


def test_accepts_non_contiguous():
    y, mu, omega, atoms, *_ = arguments(h=6, w=4)
    expected = inverse_filter_reference(y, mu, omega, atoms)
    turned = [t.mT.contiguous().mT for t in (y, mu, omega)]
    assert not turned[0].is_contiguous()
    got = inverse_filter(*turned, [a.mT.contiguous().mT for a in atoms])
    torch.testing.assert_close(got, expected)


@BOTH
@pytest.mark.parametrize('dtype', TOLERANCE, ids=str)
def test_any_dtype(op, dtype):
    args = arguments(mixed=True, dtype=dtype)
    out = op(*args)
    assert out.dtype == dtype
    wide = [
        [a.double() for a in t] if isinstance(t, list) else t.double() for t in args
    ]
    exact = inverse_filter_reference(*wide)
    difference = (out.double() - exact).abs().max() / exact.abs().max()
    assert difference < TOLERANCE[dtype]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_cuda_matches_cpu():
    args = arguments(h=37, w=31, mixed=True, dtype=torch.float32)
    moved = [[a.cuda() for a in t] if isinstance(t, list) else t.cuda() for t in args]
    torch.testing.assert_close(
        inverse_filter(*moved).cpu(), inverse_filter(*args), atol=1e-4, rtol=1e-4
    )


def test_ops_import_with_torch_alone():
    program = """
import sys
import warnings
from importlib import import_module
class OnlyTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {'mmagic', 'mmengine', 'mmcv', 'cv2', 'lpips'}:
            raise ModuleNotFoundError(name)
import importlib.util as u
real = u.find_spec
u.find_spec = lambda name, *a: None if name.startswith('mm') else real(name, *a)
sys.meta_path.insert(0, OnlyTorch())
from mmagic_inik.ops import inverse_filter
assert 'mmengine' not in sys.modules
"""
    subprocess.run([sys.executable, '-c', program], check=True)


def leaves_of(args):
    y, mu, omega, atoms, mixing, bias = args
    return [t for t in (y, mu, omega, *atoms, mixing, bias) if t is not None]


@pytest.mark.parametrize('mixed', [False, True], ids=['sum', 'mixing'])
def test_gradients_by_differences(mixed):
    args = arguments(b=1, c=2, h=3, w=4, mixed=mixed)
    num_atoms = len(args[3])

    def op(y, mu, omega, *rest):
        atoms, rest = rest[:num_atoms], rest[num_atoms:]
        return inverse_filter(y, mu, omega, list(atoms), *rest)

    assert torch.autograd.gradcheck(op, leaves_of(args))


def test_only_wanted_gradients_are_computed():
    args = arguments(mixed=True)
    args[0].requires_grad_(False)
    inverse_filter(*args).sum().backward()
    assert args[0].grad is None
    assert all(t.grad is not None for t in leaves_of(args)[1:])


@pytest.mark.filterwarnings('ignore:.*:UserWarning')
@pytest.mark.parametrize('mixed', [False, True], ids=['sum', 'mixing'])
def test_is_a_well_formed_custom_op(mixed):
    y, mu, omega, atoms, mixing, _ = arguments(h=6, w=5, mixed=mixed)
    op = torch.ops.mmagic_inik.inverse_filter
    padded = torch.nn.functional.pad(y.detach(), [2] * 4).requires_grad_()
    torch.library.opcheck(op, (padded, mu, omega, atoms, mixing))


def test_runs_compiled_as_one_graph():
    args = arguments(h=6, w=5, mixed=True, dtype=torch.float32)
    compiled = torch.compile(inverse_filter, backend='aot_eager', fullgraph=True)
    torch.testing.assert_close(compiled(*args), inverse_filter(*args))
    grads = torch.autograd.grad(compiled(*args).sum(), leaves_of(args))
    expected = torch.autograd.grad(inverse_filter(*args).sum(), leaves_of(args))
    torch.testing.assert_close(grads, expected)


@pytest.mark.parametrize('fast', [False, True])
def test_autocast_leaves_the_type_of_the_image(monkeypatch, fast):
    # Where a processor is slow in a type, it is what weights come in, and no more.
    monkeypatch.setattr(bands, 'computes_in', lambda dtype: fast)
    args = arguments(mixed=True, dtype=torch.float32)
    expected = inverse_filter(*args)
    with torch.autocast('cpu', torch.bfloat16):
        out = inverse_filter(*args)
    assert torch.equal(out, expected)
    narrow = [args[0], *(t.bfloat16() for t in args[1:3]), *args[3:]]
    out = inverse_filter(*narrow)
    assert out.dtype == torch.float32
    rounded = inverse_filter(args[0], *(t.float() for t in narrow[1:3]), *args[3:])
    if fast:
        off = (out - rounded).abs().max() / rounded.abs().max()
        assert 0 < off < 2 * torch.finfo(torch.bfloat16).eps
    else:
        torch.testing.assert_close(out, rounded)
    grads = torch.autograd.grad(out.sum(), [args[1], args[3][0], args[4]])
    assert all(g.dtype == torch.float32 for g in grads)


def test_holds_a_band_of_products_at_a_time():
    """Peak of what the allocator gave, against the products of the whole image."""
    y, mu, omega, atoms, *_ = arguments(
        b=1, h=512, w=384, n=8, sizes=(1, 3, 5, 7), dtype=torch.float32
    )

    def peak(op):
        with torch.profiler.profile(profile_memory=True) as profile:
            op(y, mu, omega, atoms).sum().backward()
        held = most = 0
        for event in profile.profiler.kineto_results.events():
            if event.name() == '[memory]':
                held += event.nbytes()
                most = max(most, held)
        return most

    assert 6 * peak(inverse_filter) < peak(inverse_filter_reference)


def test_counts_its_operations():
    y, mu, omega, atoms, mixing, _ = arguments(mixed=True)
    with FlopCounterMode(display=False) as counter:
        inverse_filter(y, mu, omega, atoms, mixing)
    # Batch 2, 35 pixels, 3 colours, 2 atoms of 1, 9 and 25 taps; 3 × 18 for mixing.
    assert counter.get_total_flops() == 2 * 2 * 35 * (3 * 2 * 35 + 3 * 18)


def test_without_a_compiler_triton_is_not_tried(monkeypatch):
    pytest.importorskip('triton')
    monkeypatch.delenv('CC', raising=False)
    monkeypatch.setattr(module.shutil, 'which', lambda name: None)
    assert 'no C compiler' in module._missing.__wrapped__()
    monkeypatch.setenv('CC', 'cc')
    assert module._missing.__wrapped__() is None


@pytest.mark.parametrize(
    ('capability', 'dtypes', 'says'),
    [
        ((9, 0), [torch.float64], 'float64'),
        ((7, 5), [torch.float32], 'capability 7.5 is below 8.0'),
        ((9, 0), [torch.float32, torch.bfloat16], None),
    ],
    ids=str,
)
def test_what_triton_cannot_do_is_said_once(monkeypatch, capability, dtypes, says):
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: capability)
    pytest.importorskip('triton')
    found = module._obstacle(torch.device('cuda'), *dtypes)
    assert found is None if says is None else says in found
    if says:
        module._say_once.cache_clear()
        with pytest.warns(UserWarning, match=says):
            module._say_once(found)
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            module._say_once(found)
