import pytest
import torch

from mmagic_inik.models import ConvLSTMCell, DuplexConvLSTM

BOTH = pytest.mark.parametrize('cell_state', ['recurrent', 'feature'])


def features(sides=((8, 12), (4, 6), (2, 3)), dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, 4, *side, generator=generator).to(dtype) for side in sides]


def neck(cell_state='recurrent', reduction=1):
    torch.manual_seed(1)
    return DuplexConvLSTM(4, 1, cell_state, reduction)


@pytest.mark.parametrize('reduction', [1, 2, 3])
@BOTH
@pytest.mark.parametrize(
    'sides',
    [((1, 1), (1, 1), (1, 1)), ((5, 7), (3, 4), (2, 2)), ((8, 12), (4, 6)), ((9, 9),)],
    ids=['1x1', 'odd', 'two scales', 'one scale'],
)
def test_keeps_shapes(cell_state, sides, reduction):
    inputs = features(sides)
    outputs = neck(cell_state, reduction)(inputs)
    for before, after in zip(inputs, outputs, strict=True):
        assert after.shape == before.shape
        assert after.isfinite().all()


def test_parameters():
    assert sum(p.numel() for p in DuplexConvLSTM().parameters()) == 311_616


@BOTH
@pytest.mark.parametrize(('changed', 'seen'), [(0, 2), (2, 0)], ids=['up', 'down'])
def test_information_crosses_scales_both_ways(cell_state, changed, seen):
    duplex, inputs = neck(cell_state), features()
    before = duplex(inputs)[seen]
    inputs[changed] = inputs[changed] + torch.randn_like(inputs[changed])
    assert (duplex(inputs)[seen] - before).abs().max() > 1e-4


@BOTH
def test_reduced_recurrence_is_that_of_means(cell_state):
    inputs, coarse = features(), features(((4, 6), (2, 3), (1, 1)))
    # Blocks of equal pixels; the last scale's lower right block is partly outside.
    inputs = [x.repeat_interleave(2, 2).repeat_interleave(2, 3) for x in coarse]
    inputs[2] = inputs[2][..., :1]
    whole, reduced = neck(cell_state), neck(cell_state, 2)
    outputs = zip(inputs, reduced(inputs), coarse, whole(coarse), strict=True)
    for x, got, means, expected in outputs:
        h = torch.nn.functional.interpolate(
            expected - means, x.shape[-2:], mode='bilinear'
        )
        torch.testing.assert_close(got - x, h)


def test_cell_is_an_lstm():
    torch.manual_seed(0)
    cell = ConvLSTMCell(1, 1).double()
    # No residual blocks' effect, and gates that read nothing but their bias.
    for parameter in cell.parameters():
        parameter.data.zero_()
    i, f, o, g = 0.3, -0.2, 0.7, 0.5
    cell.gates.bias.data = torch.tensor([i, f, o, g], dtype=torch.float64)
    one = torch.ones(1, 1, 2, 2, dtype=torch.float64)
    h, c = cell(one, one, 3 * one)
    sigmoid = [
        1 / (1 + torch.exp(torch.tensor(-x, dtype=torch.float64))) for x in (i, f, o)
    ]
    expected = sigmoid[1] * 3 + sigmoid[0] * torch.tanh(torch.tensor(g).double())
    torch.testing.assert_close(c, expected * one)
    torch.testing.assert_close(h, sigmoid[2] * torch.tanh(expected) * one)


def record_cell_states(duplex, inputs):
    """What both cells receive as c, in order of their calls."""
    received = []

    def hook(module, args):
        received.append(args[2] if len(args) > 2 else None)

    handles = [
        cell.register_forward_pre_hook(hook)
        for cell in (duplex.fine_to_coarse, duplex.coarse_to_fine)
    ]
    duplex(inputs)
    for handle in handles:
        handle.remove()
    return received


def test_literal_cell_state_is_the_feature():
    duplex, inputs = neck('feature'), features()
    normed = [
        torch.nn.functional.layer_norm(x.permute(0, 2, 3, 1), (4,)).permute(0, 3, 1, 2)
        for x in inputs
    ]
    received = record_cell_states(duplex, inputs)
    for got, expected in zip(received, normed + normed[::-1], strict=True):
        torch.testing.assert_close(got, expected)


def test_released_cell_state_starts_empty_and_is_carried():
    received = record_cell_states(neck('recurrent'), features())
    assert received[0] is None
    assert received[3] is None
    assert received[1].any()
    assert received[5].any()


@pytest.mark.parametrize(
    'dtype', [torch.float64, torch.float16, torch.bfloat16], ids=str
)
def test_any_dtype(dtype):
    outputs = neck().to(dtype)(features(dtype=dtype))
    assert all(output.dtype == dtype for output in outputs)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(channels=0), 'must be positive, got 0, 2 and 1'),
        (dict(reduction=0), 'must be positive, got 32, 2 and 0'),
        (dict(cell_state='none'), "cell_state must be in .* got 'none'"),
    ],
    ids=['channels', 'reduction', 'cell_state'],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        DuplexConvLSTM(**options)
