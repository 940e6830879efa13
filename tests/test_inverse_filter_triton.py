"""The kernels' logic: on a CPU in Triton's interpreter (see conftest), on a GPU."""

import pytest
import torch

from mmagic_inik.ops import inverse_filter, inverse_filter_reference

pytest.importorskip('triton')
from mmagic_inik.ops.inverse_filter_triton import (  # noqa: E402
    filter_triton,
    filter_triton_backward,
)

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
RELEASED = (1, 3, 5, 7, 9, 11, 13, 15)
# batch, colours, height, width, atoms, sizes, mixed to so many colours or summed.
CASES = {
    'tiny': (1, 3, 1, 1, 2, (1, 3), 3),
    'odd': (2, 3, 13, 11, 3, (1, 3, 7), 3),
    'sum': (1, 3, 13, 11, 3, (1, 3, 7), None),
    'released': (1, 3, 6, 37, 10, RELEASED, 3),
    'grey': (1, 1, 9, 8, 20, (3, 5), None),
    'more colours out': (1, 2, 9, 8, 1, (5,), 5),
}
each_case = pytest.mark.parametrize('case', CASES.values(), ids=CASES)


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


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
@each_case
@pytest.mark.parametrize(
    ('dtype', 'tolerance'), [(torch.float32, 2e-6), (torch.float16, 2e-3)], ids=str
)
def test_values_and_gradients_match_reference(case, dtype, tolerance):
    if DEVICE == 'cuda' and dtype == torch.float32:
        # Its products are in TF32 only where PyTorch may use it.
        assert torch.get_float32_matmul_precision() == 'highest'
    args = arguments(case, dtype)
    y, mu, omega, atoms, mixing = wide(args)
    expected = inverse_filter_reference(y, mu, omega, atoms, mixing)
    out = filter_triton(*args)
    assert out.dtype == torch.float32
    assert relative(out, expected) < tolerance
    grad = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    leaves = [mu, omega, *atoms] + ([] if mixing is None else [mixing])
    wanted = torch.autograd.grad(expected, leaves, grad.double())
    d_mu, d_omega, d_atoms, d_mixing = filter_triton_backward(grad.to(DEVICE), *args)
    assert (d_mixing is None) == (mixing is None)
    found = [d_mu, d_omega, *d_atoms] + ([] if mixing is None else [d_mixing])
    for got, want, leaf in zip(found, wanted, leaves, strict=True):
        assert got.shape == leaf.shape
        assert relative(got, want) < 2 * tolerance


def test_nan_stays_where_kernels_see_it():
    y, mu, omega, atoms, _ = arguments((1, 1, 24, 24, 2, (1, 3, 5), None))
    y[0, 0, 12, 12] = torch.nan
    seen = filter_triton(y, mu, omega, atoms, None)[0, 0].isnan().nonzero()
    assert seen.min() == 10
    assert seen.max() == 14
    assert len(seen) == 25


@pytest.mark.cuda
@pytest.mark.skipif(DEVICE == 'cpu', reason='no CUDA device')
@each_case
def test_the_op_runs_them_on_a_gpu(case):
    args = arguments(case)
    torch.testing.assert_close(inverse_filter(*args), filter_triton(*args))
