"""Kernels per pixel, against loops and against the plain form."""

import itertools
from importlib import import_module

import pytest
import torch
import torch.nn.functional as F

from mmagic_inik.ops import (
    inverse_filter,
    pixel_filter,
    pixel_filter_reference,
    use_references,
)

module = import_module('mmagic_inik.ops.pixel_filter')
BOTH = pytest.mark.parametrize(
    'op', [pixel_filter, pixel_filter_reference], ids=['fast', 'reference']
)


def arguments(b=2, c=3, h=5, w=7, side=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(side)
    y = torch.randn(b, c, h + side - 1, w + side - 1, generator=generator, dtype=dtype)
    kernels = torch.randn(b, side * side, h, w, generator=generator, dtype=dtype)
    return y.requires_grad_(), kernels.requires_grad_()


@BOTH
def test_against_loops(op):
    y, kernels = (t.detach() for t in arguments())
    expected = torch.zeros(2, 3, 5, 7, dtype=y.dtype)
    for b, c, i, j in itertools.product(range(2), range(3), range(5), range(7)):
        for p, q in itertools.product(range(3), repeat=2):
            expected[b, c, i, j] += kernels[b, 3 * p + q, i, j] * y[b, c, i + p, j + q]
    torch.testing.assert_close(op(y, kernels), expected, atol=1e-12, rtol=0)


@BOTH
def test_is_a_correlation(op):
    y = torch.zeros(1, 1, 5, 5)
    y[0, 0, 2, 2] = 1
    kernels = torch.arange(1.0, 10).view(1, 9, 1, 1).expand(1, 9, 3, 3)
    expected = torch.arange(9.0, 0, -1).view(1, 1, 3, 3)
    assert torch.equal(op(y, kernels), expected)


@pytest.mark.parametrize('side', [1, 3, 7])
def test_gradients_of_the_fast_form(side, monkeypatch):
    # Bands of a single row, and of all.
    for band in (1, 1 << 20):
        monkeypatch.setattr(module, '_BAND', band)
        y, kernels = arguments(side=side)
        factor = torch.randn(2, 3, 5, 7, dtype=y.dtype)
        found = torch.autograd.grad(
            (pixel_filter(y, kernels) * factor).sum(), (y, kernels)
        )
        plain = pixel_filter_reference(y, kernels)
        expected = torch.autograd.grad((plain * factor).sum(), (y, kernels))
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)


def test_gradient_of_one_argument_alone():
    y, kernels = arguments()
    (found,) = torch.autograd.grad(pixel_filter(y.detach(), kernels).sum(), [kernels])
    expected = F.unfold(y.detach(), 3).unflatten(1, (3, 9)).sum(1).view_as(kernels)
    torch.testing.assert_close(found, expected)


def test_keeps_the_images_type():
    y, kernels = arguments(dtype=torch.float32)
    assert pixel_filter(y, kernels.bfloat16()).dtype == torch.float32
    with use_references():
        assert pixel_filter(y, kernels.bfloat16()).dtype == torch.float32


def test_is_inverse_filter_with_atoms_of_one_tap():
    y, kernels = (t.detach() for t in arguments(dtype=torch.float32))
    # Of zeros beyond the border, which inverse_filter adds by itself.
    y[..., [0, -1], :] = 0
    y[..., [0, -1]] = 0
    atoms = torch.eye(9).view(9, 3, 3)
    one = torch.ones(2, 1, 5, 7)
    expected = inverse_filter(y[..., 1:-1, 1:-1], one, kernels, [atoms])
    torch.testing.assert_close(pixel_filter(y, kernels), expected)


@pytest.mark.parametrize(
    ('taps', 'sides'), [(8, (7, 9)), (9, (6, 9))], ids=['no square', 'no padding']
)
def test_shapes_that_do_not_fit_are_refused(taps, sides):
    with pytest.raises(ValueError, match='want M² taps and an image padded by M − 1'):
        pixel_filter(torch.zeros(1, 3, *sides), torch.zeros(1, taps, 5, 7))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_on_a_gpu():
    y, kernels = (t.detach() for t in arguments(side=7))
    found = pixel_filter(y.cuda(), kernels.cuda()).cpu()
    torch.testing.assert_close(found, pixel_filter(y, kernels))
