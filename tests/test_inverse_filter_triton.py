"""The kernels' logic: on a CPU in Triton's interpreter (see conftest), on a GPU."""

import math
import warnings
from importlib import import_module
from pathlib import Path

import pytest
import torch
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from mmengine.config import Config

from mmagic_inik.models import inverse_filter_head
from mmagic_inik.ops import inverse_filter, inverse_filter_reference

pytest.importorskip('triton')
from triton.runtime.errors import OutOfResources  # noqa: E402

from mmagic_inik.ops import inverse_filter_triton, triton_tiles  # noqa: E402

op_module = import_module('mmagic_inik.ops.inverse_filter')
ROOT = Path(__file__).parents[1]
DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
RELEASED = (1, 3, 5, 7, 9, 11, 13, 15)
# batch, colours, height, width, atoms, sizes, mixed to so many colours or summed.
CASES = {
    'tiny': (1, 3, 1, 1, 2, (1, 3), 3),
    'odd': (2, 3, 9, 11, 3, (1, 3, 7), 3),
    'sum': (1, 3, 9, 11, 3, (1, 3, 7), None),
    'released': (1, 3, 2, 9, 10, RELEASED, 3),
    'grey': (1, 1, 9, 8, 20, (3, 5), None),
    'more colours out': (1, 2, 9, 8, 1, (5,), 5),
}
TOLERANCE = {torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}


def arguments(case, dtype=torch.float32):
    """y, mu, omega, atoms, mixing; the weights not contiguous."""
    batch, colors, height, width, num_atoms, sizes, mixed = case
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(shape, generator=generator).to(DEVICE)

    y = random(batch, colors, height, width)
    mu = random(batch, height, width, len(sizes)).to(dtype).movedim(-1, 1)
    omega = random(batch, num_atoms, width, height).to(dtype).mT
    atoms = [(random(num_atoms, s, s) / s).to(dtype) for s in sizes]
    mixing = None
    if mixed:
        mixing = random(mixed, len(sizes), colors, num_atoms)
    return y, mu, omega, atoms, mixing


def wide(args):
    """The same in double precision, on the CPU, gradients wanted of the weights."""
    y, mu, omega, atoms, mixing = (
        [v.double().cpu().requires_grad_() for v in t]
        if isinstance(t, list)
        else None
        if t is None
        else t.double().cpu().requires_grad_()
        for t in args
    )
    return y.detach(), mu, omega, atoms, mixing


def relative(got, want):
    return ((got.cpu() - want).abs().max() / want.abs().max().clamp(min=1e-9)).item()


def leaves_of(args):
    _, mu, omega, atoms, mixing = args
    return [t for t in (mu, omega, *atoms, mixing) if t is not None]


def wanting_gradients(args):
    y, mu, omega, atoms, mixing = args
    for leaf in leaves_of(args):
        leaf.requires_grad_()
    return y, mu, omega, atoms, mixing


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    """Memory that a kernel forgets to write is NaN."""
    real = torch.Tensor.new_empty
    monkeypatch.setattr(
        torch.Tensor, 'new_empty', lambda *a, **k: real(*a, **k).fill_(torch.nan)
    )
    like = torch.empty_like
    monkeypatch.setattr(
        torch, 'empty_like', lambda *a, **k: like(*a, **k).fill_(torch.nan)
    )


@pytest.fixture(autouse=True)
def interpreted_bfloat16(monkeypatch):
    """Triton's interpreter multiplies the bits of bfloat16 as whole numbers."""
    if DEVICE == 'cuda':
        return
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle, tl

    real = InterpreterBuilder.create_dot

    def create_dot(self, a, b, *args):
        a, b = (
            TensorHandle((t.data.astype('uint32') << 16).view('float32'), tl.float32)
            if t.dtype.scalar == tl.bfloat16
            else t
            for t in (a, b)
        )
        return real(self, a, b, *args)

    monkeypatch.setattr(InterpreterBuilder, 'create_dot', create_dot)


@pytest.fixture(autouse=True)
def in_triton(monkeypatch):
    """The op takes the path that it takes on a GPU, and no other."""
    monkeypatch.setattr(op_module, '_for_triton', lambda *args: True)
    for name in ('filter_bands', 'filter_bands_backward'):
        monkeypatch.setattr(op_module, name, lambda *args: 1 / 0)


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
@pytest.mark.parametrize(
    ('case', 'dtype'),
    [(case, torch.float32) for case in CASES]
    + [(case, d) for case in ('odd', 'sum') for d in (torch.float16, torch.bfloat16)],
    ids=str,
)
def test_values_and_gradients_match_reference(case, dtype):
    tolerance = TOLERANCE[dtype]
    if DEVICE == 'cuda' and dtype == torch.float32:
        # Its products are in TF32 only where PyTorch may use it.
        assert torch.get_float32_matmul_precision() == 'highest'
    args = wanting_gradients(arguments(CASES[case], dtype))
    exact = wide(args)
    expected, out = inverse_filter_reference(*exact), inverse_filter(*args)
    assert out.dtype == torch.float32
    assert relative(out, expected) < tolerance
    grad = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    wanted = torch.autograd.grad(expected, leaves_of(exact), grad.double())
    leaves = leaves_of(args)
    found = torch.autograd.grad(out, leaves, grad.to(DEVICE))
    for got, want, leaf in zip(found, wanted, leaves, strict=True):
        assert (got.shape, got.dtype) == (leaf.shape, leaf.dtype)
        assert relative(got, want) < 2 * tolerance


@pytest.mark.filterwarnings('ignore:.*:UserWarning')
@pytest.mark.filterwarnings('ignore::DeprecationWarning')
@pytest.mark.parametrize('mixed', [2, None], ids=['mixing', 'sum'])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
def test_both_are_well_formed_custom_ops(mixed, dtype):
    args = arguments((1, 2, 3, 4, 2, (1, 3), mixed), dtype)
    out = inverse_filter(*args)
    args = args[0].new_zeros(1, 2, 5, 6), *args[1:]  # padded
    ops = torch.ops.mmagic_inik
    given = torch.randn_like(out), *args, False
    torch.library.opcheck(ops.inverse_filter_backward, given)
    torch.library.opcheck(ops.inverse_filter, wanting_gradients(args))


def test_gradients_share_no_memory():
    """Which PyTorch refuses, of what an operation returns."""
    args = arguments((1, 3, 5, 4, 2, (1, 3, 5), 3))
    padded = torch.randn(1, 3, 9, 8, device=DEVICE)
    found = torch.ops.mmagic_inik.inverse_filter_backward(
        torch.randn_like(args[0]), padded, *args[1:], False
    )
    places = [t.untyped_storage().data_ptr() for t in found]
    assert len(set(places)) == len(found) == 6


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_a_training_step_of_the_demo():
    """All of the network, as on a GPU: the ops' plain forms but Eq. 9 in Triton."""
    config = Config.fromfile(ROOT / 'configs' / 'iniknet_demo.py')
    torch.manual_seed(0)
    model = MODELS.build(config.model).to(DEVICE).train()
    images = torch.randint(256, (2, 3, 8, 12), dtype=torch.uint8)
    data = dict(inputs=[images[0]], data_samples=[DataSample(gt_img=images[1])])
    prepared = model.data_preprocessor(data, True)
    losses = model(**prepared, mode='loss')
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    found = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inverse_filter_head, 'inverse_filter', inverse_filter_reference)
        again = model(**prepared, mode='loss')
        sum(v for k, v in again.items() if 'loss' in k).backward()
    for got, parameter in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(got, parameter.grad, rtol=1e-3, atol=1e-5)
    assert sum(bool(g.any()) for g in found) > 0.9 * len(found)


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
@pytest.mark.parametrize(
    ('kernel', 'tile'),
    [(kernel, t) for (kernel, _), tiles in triton_tiles.TILES.items() for t in tiles],
    ids=str,
)
def test_every_tile_gives_the_same(monkeypatch, kernel, tile):
    """Six atoms in three sizes: a group is filled up, in front."""
    args = wanting_gradients(arguments((1, 2, 4, 9, 6, (3, 1, 5), 2)))
    exact = wide(args)
    expected = inverse_filter_reference(*exact)
    monkeypatch.setitem(triton_tiles.TILES, (kernel, 4), [tile])
    out = inverse_filter(*args)
    assert relative(out, expected) < 2e-6
    found = torch.autograd.grad(out.sum(), leaves_of(args))
    wanted = torch.autograd.grad(expected.sum(), leaves_of(exact))
    for got, want in zip(found, wanted, strict=True):
        assert relative(got, want) < 4e-6


def launches(monkeypatch, launch):
    """Replaces the start of each kernel by ``launch(name)``."""

    class Kernel:
        def __init__(self, name):
            self.name = name

        def __getitem__(self, grid):
            return lambda *args, **constants: launch(self.name)

    for name in ('forward', 'backward_weights', 'backward_dictionary'):
        monkeypatch.setattr(inverse_filter_triton.kernels, name, Kernel(name))


@pytest.mark.parametrize('failing', ['forward', 'backward_dictionary'])
def test_a_gpu_without_room_takes_bands_and_says_so_once(monkeypatch, failing):
    bands = import_module('mmagic_inik.ops.bands')
    for name in ('filter_bands', 'filter_bands_backward'):
        monkeypatch.setattr(op_module, name, getattr(bands, name))
    op_module._say_once.cache_clear()

    def launch(name):
        if failing in ('forward', name):
            raise OutOfResources(214528, 101376, 'shared memory')

    launches(monkeypatch, launch)
    args = wanting_gradients(arguments(CASES['odd']))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        for _ in range(2):
            out = inverse_filter(*args)
            found = torch.autograd.grad(out.sum(), leaves_of(args))
    (warning,) = said
    assert 'want more shared memory than the GPU has' in str(warning.message)
    exact = wide(args)
    expected = inverse_filter_reference(*exact)
    if failing == 'forward':
        assert relative(out, expected) < 2e-6
    wanted = torch.autograd.grad(expected.sum(), leaves_of(exact))
    for got, want in zip(found, wanted, strict=True):
        assert relative(got, want) < 4e-6


def test_kernels_start_on_the_device_of_the_image(monkeypatch):
    current, started = [None], []

    class DeviceOf:
        def __init__(self, tensor):
            self.tensor = tensor

        def __enter__(self):
            self.before, current[0] = current[0], self.tensor

        def __exit__(self, *error):
            current[0] = self.before

    monkeypatch.setattr(torch.cuda, 'device_of', DeviceOf)
    launches(monkeypatch, lambda name: started.append((name, current[0])))
    args = wanting_gradients(arguments(CASES['odd']))
    inverse_filter(*args).sum().backward()
    assert [name for name, _ in started] == [
        *('forward', 'backward_weights', 'backward_dictionary')
    ]
    assert all(
        tensor is not None and tensor.shape == (2, 3, 9, 11) for _, tensor in started
    )


def test_the_fastest_tile_is_taken_once_for_a_kind_of_call(monkeypatch):
    monkeypatch.setattr(triton_tiles, '_tried', {})
    monkeypatch.setattr(triton_tiles, '_worth_trying', lambda y: True)
    tiles = triton_tiles.TILES['forward', 4]
    times = dict(zip(tiles, (3.0, math.inf, 1.0, 2.0), strict=True))
    timed = []
    monkeypatch.setattr(
        triton_tiles, '_time', lambda run, tile: timed.append(tile) or times[tile]
    )
    y = torch.rand(1, 3, 4, 4)

    def best(kind):
        arguments = 'forward', y, torch.float32, kind, lambda tile: tile
        return triton_tiles.with_best_tile(*arguments)

    assert best('a') == best('a') == tiles[2]
    assert timed == tiles
    monkeypatch.setattr(triton_tiles, '_worth_trying', lambda y: False)
    assert best('b') == tiles[0]
    assert best('a') == tiles[2]
    (found,) = triton_tiles.timings().values()
    assert found['/'.join(map(str, tiles[2]))] == 1
    assert len(found) == len(tiles)


def test_a_tile_without_room_is_never_the_fastest():
    def run(tile):
        raise OutOfResources(214528, 101376, 'shared memory')

    assert triton_tiles._time(run, triton_tiles.TILES['forward', 4][0]) == math.inf


def test_nothing_is_tried_where_results_must_be_reproducible(monkeypatch):
    class Image:
        is_cuda = True

        def __getitem__(self, index):
            return torch.empty(2**16)

    monkeypatch.setattr(torch.cuda, 'is_current_stream_capturing', lambda: False)
    assert triton_tiles._worth_trying(Image())
    torch.use_deterministic_algorithms(True)
    try:
        assert not triton_tiles._worth_trying(Image())
    finally:
        torch.use_deterministic_algorithms(False)
    monkeypatch.setattr(torch.cuda, 'is_current_stream_capturing', lambda: True)
    assert not triton_tiles._worth_trying(Image())
    assert not triton_tiles._worth_trying(torch.rand(1, 1, 256, 256))


def test_nan_stays_where_kernels_see_it():
    y, mu, omega, atoms, _ = arguments((1, 1, 24, 24, 2, (1, 3, 5), None))
    y[0, 0, 12, 12] = torch.nan
    seen = inverse_filter(y, mu, omega, atoms, None)[0, 0].isnan().nonzero()
    assert seen.min() == 10
    assert seen.max() == 14
    assert len(seen) == 25
