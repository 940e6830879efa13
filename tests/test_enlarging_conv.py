"""1x1 convolutions enlarged by pixel shuffling, against the plain form."""

import pytest
import torch

from mmagic_inik.ops import (
    enlarging_conv,
    enlarging_conv_reference,
    processor,
    use_references,
)


def given(s, size=(3, 5), fine=True, bias=True):
    torch.manual_seed(0)
    features = torch.randn(2, 6, *size, dtype=torch.double)
    weight = torch.randn(4 * s * s, 6, 1, 1, dtype=torch.double)
    offset = torch.randn(4 * s * s, dtype=torch.double) if bias else None
    image = torch.randn(2, 3, *(s * side for side in size), dtype=torch.double)
    of_image = torch.randn(4, 3, 1, 1, dtype=torch.double)
    return features, weight, offset, s, *((image, of_image) if fine else ())


@pytest.mark.parametrize('s', [1, 2, 4])
@pytest.mark.parametrize('size', [(1, 1), (3, 5)])
@pytest.mark.parametrize(('fine', 'bias'), [(True, True), (False, False)])
def test_values_and_gradients_are_those_of_the_plain_form(s, size, fine, bias):
    found = []
    for form in (enlarging_conv, enlarging_conv_reference):
        args = given(s, size, fine, bias)
        leaves = [a.requires_grad_() for a in args if isinstance(a, torch.Tensor)]
        out = form(*args)
        found.append([out, *torch.autograd.grad(out.sin().sum(), leaves)])
    assert found[0][0].shape == (2, 4, size[0] * s, size[1] * s)
    torch.testing.assert_close(*found)


def test_it_is_fast_where_nobody_asks_for_the_plain_form():
    args = given(4)
    layouts = dict(memory_format=torch.channels_last)
    assert enlarging_conv(*args).is_contiguous(**layouts)
    with use_references():
        plain = enlarging_conv(*args)
    assert torch.equal(plain, enlarging_conv_reference(*args))


@pytest.mark.parametrize('computes', [True, False])
def test_under_autocast(monkeypatch, computes):
    monkeypatch.setattr(processor, 'computes_in', lambda dtype: computes)
    args = [a.float() if isinstance(a, torch.Tensor) else a for a in given(4)]
    expected = enlarging_conv_reference(*args)
    with torch.autocast('cpu', torch.bfloat16):
        found = enlarging_conv(*args)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, atol=0.1, rtol=0.02)


def test_a_trace_holds_for_other_sides():
    features, weight, bias, s, *_ = given(2)
    trace = torch.jit.trace(lambda x: enlarging_conv(x, weight, bias, s), features)
    other = torch.randn(1, 6, 7, 4, dtype=torch.double)
    torch.testing.assert_close(trace(other), enlarging_conv(other, weight, bias, s))
