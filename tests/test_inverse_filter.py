import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch

from mmagic_inik.ops import inverse_filter, inverse_filter_reference

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
@pytest.mark.parametrize(('h', 'w'), [(37, 31), (2, 1)])
def test_values_and_gradients_match_reference(mixed, h, w):
    args = arguments(h=h, w=w, n=3, sizes=(1, 3, 7), mixed=mixed)
    leaves = [t for t in (*args[:3], *args[3], *args[4:]) if t is not None]
    fast, slow = inverse_filter(*args), inverse_filter_reference(*args)
    torch.testing.assert_close(fast, slow, atol=1e-11, rtol=0)
    cotangent = torch.randn_like(slow)
    ours = torch.autograd.grad(fast, leaves, cotangent)
    theirs = torch.autograd.grad(slow, leaves, cotangent)
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, atol=1e-9, rtol=1e-9)


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
