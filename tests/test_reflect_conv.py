from importlib import import_module

import pytest
import torch
import torch.nn.functional as F

from mmagic_inik.ops import reflect_conv, reflect_conv_reference, use_references

SIZES = [(1, 1), (1, 6), (2, 5), (3, 3), (4, 3), (7, 6), (37, 31), (30, 37)]
# A few roundings of the type, relative to the largest value.
TOLERANCE = {
    dtype: 8 * torch.finfo(dtype).eps
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)
}


def random(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    return values.requires_grad_()


def by_loops(x, weight, stride):
    """Pixel by pixel, its indices reflected at the sides, or replicated."""
    batch, _, height, width = x.shape

    def inside(i, side):
        if min(height, width) == 1:
            return min(max(i, 0), side - 1)
        i = -i if i < 0 else i
        return 2 * (side - 1) - i if i >= side else i

    out = []
    for row in range(0, height, stride):
        for column in range(0, width, stride):
            rows = [inside(row + i, height) for i in (-1, 0, 1)]
            columns = [inside(column + j, width) for j in (-1, 0, 1)]
            window = x[:, :, rows][..., columns]
            out.append(torch.einsum('bcij,ocij->bo', window, weight))
    sides = -(-height // stride), -(-width // stride)
    return torch.stack(out, -1).view(batch, -1, *sides)


@pytest.mark.parametrize('op', [reflect_conv, reflect_conv_reference])
@pytest.mark.parametrize('size', SIZES[:6], ids=str)
@pytest.mark.parametrize('stride', [1, 2])
def test_equals_loops(op, size, stride):
    x, weight = random(2, 3, *size), random(4, 3, 3, 3, seed=1)
    expected = by_loops(x, weight, stride)
    torch.testing.assert_close(op(x, weight, stride), expected, atol=1e-12, rtol=0)
    rectified = op(x, weight, stride, relu=True)
    torch.testing.assert_close(rectified, expected.clamp(min=0), atol=1e-12, rtol=0)
    residual = random(*expected.shape, seed=2)
    both = op(x, weight, stride, relu=True, residual=residual)
    added = (expected + residual).clamp(min=0)
    torch.testing.assert_close(both, added, atol=1e-12, rtol=0)


@pytest.mark.parametrize('relu', [False, True])
@pytest.mark.parametrize('added', [False, True])
@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('size', SIZES, ids=str)
def test_values_and_gradients_match_reference(size, stride, relu, added):
    leaves = [random(2, 3, *size), random(4, 3, 3, 3, seed=1)]
    sides = [-(-side // stride) for side in size]
    leaves += [random(2, 4, *sides, seed=2)] * added
    x, weight, *residual = leaves
    fast = reflect_conv(x, weight, stride, relu, *residual)
    slow = reflect_conv_reference(x, weight, stride, relu, *residual)
    torch.testing.assert_close(fast, slow, atol=1e-12, rtol=0)
    cotangent = random(*slow.shape, seed=3).detach()
    ours = torch.autograd.grad(fast, leaves, cotangent)
    theirs = torch.autograd.grad(slow, leaves, cotangent)
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, atol=1e-11, rtol=0)


def test_gradients_by_differences():
    leaves = random(1, 2, 4, 5), random(2, 2, 3, 3, seed=1), random(1, 2, 4, 5, seed=2)
    assert torch.autograd.gradcheck(
        lambda x, weight, residual: reflect_conv(x, weight, 1, True, residual), leaves
    )


@pytest.mark.parametrize('dtype', TOLERANCE, ids=str)
@pytest.mark.parametrize('overwrite', [False, True])
@torch.no_grad()
def test_any_dtype_and_in_place(dtype, overwrite):
    x, weight = random(2, 16, 9, 7, dtype=dtype), random(8, 16, 3, 3, dtype=dtype)
    residual = random(2, 8, 9, 7, seed=2, dtype=dtype).detach()
    residual = residual.contiguous(memory_format=torch.channels_last)
    wide = [t.double() for t in (x, weight, residual)]
    exact = reflect_conv_reference(*wide[:2], residual=wide[2])
    before = residual.clone()
    out = reflect_conv(x, weight, residual=residual, overwrite=overwrite)
    assert out.dtype == dtype
    assert (out.double() - exact).abs().max() / exact.abs().max() < TOLERANCE[dtype]
    if not overwrite:
        assert torch.equal(residual, before)


@torch.no_grad()
@pytest.mark.parametrize('part', ['all', 'one image'])
def test_an_input_is_not_overwritten_by_its_own_result(part):
    images = random(2, 4, 9, 7, dtype=torch.float32).detach()
    images = images.contiguous(memory_format=torch.channels_last)
    x, weight = images, random(4, 4, 3, 3, seed=1, dtype=torch.float32).detach()
    if part == 'one image':
        # Not the same numbers, but memory of the same tensor.
        x, images = images[:1], images[1:]
    exact = reflect_conv_reference(x, weight, residual=images)
    before = x.clone()
    out = reflect_conv(x, weight, residual=images, overwrite=True)
    torch.testing.assert_close(out, exact)
    assert torch.equal(x, before)


@torch.no_grad()
def test_no_image_at_all_is_none_convolved():
    weight = random(4, 3, 3, 3, dtype=torch.float32)
    residual = torch.empty(0, 4, 6, 5)
    for stride in (1, 2):
        out = reflect_conv(torch.empty(0, 3, 6, 5), weight, stride)
        assert out.shape == (0, 4, 6 // stride, -(-5 // stride))
    out = reflect_conv(torch.empty(0, 3, 6, 5), weight, 1, True, residual, True)
    assert out.shape == residual.shape


def test_nothing_is_overwritten_that_gradients_need():
    x, weight, residual = random(1, 4, 6, 5), random(4, 4, 3, 3), random(1, 4, 6, 5)
    leaves = [t.detach().float().requires_grad_() for t in (x, weight, residual)]
    before = leaves[2].detach().clone()
    out = reflect_conv(*leaves[:2], residual=leaves[2], overwrite=True)
    out.sum().backward()
    assert torch.equal(leaves[2], before)
    torch.testing.assert_close(leaves[2].grad, torch.ones_like(before))


def test_accepts_non_contiguous():
    x = random(2, 3, 6, 4)
    weight = random(5, 8, 3, 3, seed=1)[:, 2:5]
    turned = x.mT.contiguous().mT
    assert not turned.is_contiguous()
    expected = reflect_conv_reference(x, weight)
    torch.testing.assert_close(reflect_conv(turned, weight), expected)


def test_keeps_the_input_alone_for_training():
    x, weight = random(1, 4, 32, 32), random(4, 4, 3, 3)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda t: t):
        reflect_conv(x, weight, residual=x)
    images = [t for t in kept if t is not None and t.dim() == 4 and t.shape[-1] > 3]
    assert sum(t.numel() for t in images) == x.numel()


def test_follows_autocast():
    x, weight = random(1, 4, 6, 5, dtype=torch.float32), random(4, 4, 3, 3)
    weight = weight.detach().float().requires_grad_()
    with torch.autocast('cpu', torch.bfloat16):
        out = reflect_conv(x, weight)
        assert out.dtype == reflect_conv_reference(x, weight).dtype == torch.bfloat16
        # As autocast does: double precision stays.
        assert reflect_conv(x.double(), weight.double()).dtype == torch.float64
    out.float().sum().backward()
    assert weight.grad.dtype == x.grad.dtype == torch.float32


def plain(*args, **kwargs):
    with use_references():
        return reflect_conv(*args, **kwargs)


compiled = torch.compile(reflect_conv, backend='aot_eager', fullgraph=True)


@pytest.mark.parametrize('op', [reflect_conv, plain, compiled])
@pytest.mark.parametrize('size', [(7, 6), (1, 6)], ids=str)
@pytest.mark.parametrize('overwrite', [False, True])
def test_a_residual_in_float32_does_not_stay_so_under_autocast(op, size, overwrite):
    x, weight = random(1, 4, *size), random(4, 4, 3, 3, seed=1)
    residual = random(1, 4, *size, seed=2)
    leaves = [t.detach().float().requires_grad_() for t in (x, weight, residual)]
    with torch.autocast('cpu', torch.bfloat16):
        out = op(*leaves[:2], residual=leaves[2], overwrite=overwrite)
        assert op(*leaves[:2], stride=2).dtype == torch.bfloat16
        wide = op(x, weight, residual=residual)
    assert out.dtype == torch.bfloat16
    assert wide.dtype == torch.float64
    exact = reflect_conv_reference(x, weight, residual=residual)
    assert (out - exact).abs().max() / exact.abs().max() < TOLERANCE[torch.bfloat16]
    out.float().sum().backward()
    assert {leaf.grad.dtype for leaf in leaves} == {torch.float32}


def test_references_can_be_asked_for(monkeypatch):
    monkeypatch.setattr(F, 'pad', lambda *args: 1 / 0)
    x, weight = random(1, 4, 6, 5), random(4, 4, 3, 3)
    with use_references(), pytest.raises(ZeroDivisionError):
        reflect_conv(x, weight)


@pytest.mark.parametrize(('size', 'fast'), [((22, 23), False), ((16, 32), True)])
def test_few_pixels_are_padded_by_a_copy(monkeypatch, size, fast):
    module = import_module('mmagic_inik.ops.reflect_conv')
    monkeypatch.setattr(module, '_LEAST_PIXELS', 512)
    x, weight = random(1, 2, *size), random(3, 2, 3, 3, seed=1)
    out = reflect_conv(x, weight)
    assert ('RingCorrected' in type(out.grad_fn).__name__) == fast
    torch.testing.assert_close(out, reflect_conv_reference(x, weight))
