import numpy as np
import pytest
import torch

from mmagic_inik.ops import gated_update, gated_update_reference, use_references

BOTH = pytest.mark.parametrize(
    'op', [gated_update, gated_update_reference], ids=['fast', 'reference']
)
STATE = pytest.mark.parametrize('stated', [False, True], ids=['first', 'later'])


def arguments(stated, size=(5, 7), channels=3, dtype=torch.float64):
    """z, weight, bias and c (or None), all requiring gradients."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        values = torch.randn(shape, generator=generator, dtype=torch.float64)
        return values.to(dtype).requires_grad_()

    z, weight = random(2, 6, *size), random(4 * channels, 6, 1, 1)
    bias, c = random(4 * channels), random(2, channels, *size)
    return z, weight, bias, c if stated else None


@BOTH
@STATE
def test_equals_the_equations(op, stated):
    z, weight, bias, c = arguments(stated)
    h_got, c_got = (t.detach().numpy() for t in op(z, weight, bias, c))
    z, weight, bias = (t.detach().numpy() for t in (z, weight, bias))
    gates = np.einsum('gk,bkhw->bghw', weight[..., 0, 0], z) + bias[:, None, None]
    i, f, o, g = np.split(gates, 4, axis=1)
    before = 0 if c is None else c.detach().numpy()
    expected = before / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
    np.testing.assert_allclose(c_got, expected, atol=1e-12)
    np.testing.assert_allclose(h_got, np.tanh(expected) / (1 + np.exp(-o)), atol=1e-12)


@STATE
@pytest.mark.parametrize('size', [(1, 1), (5, 7), (67, 61)], ids=str)
@pytest.mark.parametrize('used', ['both', 'hidden', 'cell'])
def test_values_and_gradients_match_reference(stated, size, used):
    args = arguments(stated, size)
    leaves = [t for t in args if t is not None]
    fast, slow = gated_update(*args), gated_update_reference(*args)
    for ours, theirs in zip(fast, slow, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)
    which = {'both': slice(2), 'hidden': slice(1), 'cell': slice(1, 2)}[used]
    generator = torch.Generator().manual_seed(1)
    cotangents = [
        torch.randn(t.shape, generator=generator, dtype=t.dtype) for t in slow[which]
    ]
    ours = torch.autograd.grad(fast[which], leaves, cotangents)
    theirs = torch.autograd.grad(slow[which], leaves, cotangents)
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, atol=1e-10, rtol=1e-10)


@STATE
def test_gradients_by_differences(stated):
    z, weight, bias, c = arguments(stated, (2, 3))
    leaves = [t for t in (z, weight, bias, c) if t is not None]
    assert torch.autograd.gradcheck(gated_update, leaves)


@STATE
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_any_dtype(stated, dtype):
    args = arguments(stated, dtype=dtype)
    exact = gated_update_reference(*(None if t is None else t.double() for t in args))
    for got, want in zip(gated_update(*args), exact, strict=True):
        assert got.dtype == dtype
        # The logits, up to ten, are rounded before the gates.
        assert (got.double() - want).abs().max() < 8 * torch.finfo(dtype).eps


def test_accepts_non_contiguous():
    z, weight, bias, c = arguments(True, (6, 4))
    expected = gated_update_reference(z, weight, bias, c)
    turned = (t.mT.contiguous().mT for t in (z, c))
    z, c = turned
    for got, want in zip(gated_update(z, weight, bias, c), expected, strict=True):
        torch.testing.assert_close(got, want)


def test_keeps_its_input_alone_for_training():
    z, weight, bias, c = arguments(True, (32, 32))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda t: t):
        gated_update(z, weight, bias, c)
    pixels = sum(t.numel() for t in kept if t is not None and t.shape[-1] == 32)
    assert pixels == z.numel() + c.numel()


def test_follows_autocast():
    z, weight, bias, c = arguments(True, dtype=torch.float32)
    with torch.autocast('cpu', torch.bfloat16):
        h, state = gated_update(z, weight, bias, c)
    assert h.dtype == state.dtype == torch.bfloat16
    (h.float().sum() + state.float().sum()).backward()
    assert z.grad.dtype == weight.grad.dtype == c.grad.dtype == torch.float32


def plain(*args):
    with use_references():
        return gated_update(*args)


compiled = torch.compile(gated_update, backend='aot_eager', fullgraph=True)


@pytest.mark.parametrize('op', [gated_update, plain, compiled])
def test_a_state_in_float32_does_not_stay_so_under_autocast(op):
    args = arguments(True, dtype=torch.float32)
    with torch.autocast('cpu', torch.bfloat16):
        outputs = op(*args)
    assert [out.dtype for out in outputs] == [torch.bfloat16] * 2
    exact = gated_update_reference(*(t.double() for t in args))
    for got, want in zip(outputs, exact, strict=True):
        assert (got.double() - want).abs().max() < 8 * torch.finfo(torch.bfloat16).eps
    sum(out.float().sum() for out in outputs).backward()
    assert {t.grad.dtype for t in args} == {torch.float32}


@pytest.mark.parametrize('state', [False, True])
def test_no_image_at_all_has_no_state(state):
    z, weight, bias, *c = arguments(state)
    leaves = [weight, bias]
    h, new = gated_update(z[:0], *leaves, *(t if t is None else t[:0] for t in c))
    assert h.shape == new.shape == (0, len(bias) // 4, *z.shape[2:])
    gradients = torch.autograd.grad(h.sum() + new.sum(), leaves)
    assert all(not g.any() for g in gradients)


def test_references_can_be_asked_for():
    args = arguments(True)
    with use_references():
        h, _ = gated_update(*args)
    assert 'InPieces' not in type(h.grad_fn).__name__
    assert 'InPieces' in type(gated_update(*args)[0].grad_fn).__name__
