"""Other people's counters see what the networks compute."""

import pytest
import torch
from mmagic.registry import MODELS
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from torch.utils.flop_counter import FlopCounterMode

from mmagic_inik.ops import (
    gated_update,
    inverse_filter,
    inverse_filter_reference,
    reflect_conv,
    use_references,
)


def count(compute):
    with FlopCounterMode(display=False) as counter:
        compute()
    return counter.get_total_flops()


@pytest.mark.parametrize('needs_y', [False, True], ids=['', 'gradient of y'])
@pytest.mark.parametrize('mixed', [False, True], ids=['plain sum', 'mixed'])
def test_filtering_and_its_gradients_count_as_plain_convolutions(mixed, needs_y):
    y = torch.rand(2, 3, 9, 7, requires_grad=needs_y)
    mu, omega = torch.rand(2, 2, 9, 7), torch.rand(2, 4, 9, 7)
    atoms = [torch.rand(4, side, side) for side in (1, 3)]
    mixing = torch.rand(3, 2, 3, 4) if mixed else None
    weights = [mu, omega, *atoms] + ([mixing] if mixed else [])
    for weight in weights:
        weight.requires_grad_()

    def step(function):
        return lambda: function(y, mu, omega, atoms, mixing).sum().backward()

    expected = count(step(inverse_filter_reference))
    # By hand: 4 atoms of 1 + 9 taps on 3 colours of 2 · 63 pixels.
    by_hand = 4 * 10 * 3 * 126 * (2 + needs_y)
    by_hand += 3 * 2 * 3 * 4 * 126 * 3 * mixed
    assert expected == 2 * by_hand
    assert count(step(inverse_filter)) == expected


def test_a_residual_added_in_place_is_counted():
    x = torch.rand(1, 4, 8, 6).contiguous(memory_format=torch.channels_last)
    weight, residual = torch.rand(4, 4, 3, 3), torch.rand_like(x)

    def convolve():
        with torch.no_grad():
            reflect_conv(x, weight, residual=residual.clone(), overwrite=True)

    plain = 2 * 4 * 4 * 9 * 8 * 6
    # The ring, too, is computed: two rows and two columns.
    assert plain <= count(convolve) <= 1.6 * plain


NETWORKS = [
    'iniknet_demo',
    'iniknet_dpdd',
    'iniknet_light_synthetic',
    'iniknet_small_synthetic',
]


@pytest.mark.parametrize('name', NETWORKS)
def test_counters_agree_on_whole_networks(name):
    config = Config.fromfile(f'configs/{name}.py')
    network = MODELS.build(config.model.generator).eval()
    image = torch.rand(1, 3, 64, 64)

    def restore():
        with torch.no_grad():
            network(image)

    with use_references():
        plain = count(restore)
    # What the fast forms leave out or add is little.
    assert count(restore) == pytest.approx(plain, rel=0.06)
    # As MMagic's analysis_tools/get_flops.py calls it; its FLOPs are MACs.
    traced = get_model_complexity_info(network, inputs=image, show_table=False)
    assert traced['flops'] == pytest.approx(plain / 2, rel=0.01)
    if name == 'iniknet_dpdd':
        assert traced['flops'] == pytest.approx(4.8e9, rel=0.01)


def test_traces_have_operations_of_pytorch_alone():
    z, weight, bias = torch.rand(1, 4, 5, 7), torch.rand(8, 4, 1, 1), torch.rand(8)
    kernel = torch.rand(4, 4, 3, 3)

    def compute(z):
        h, c = gated_update(reflect_conv(z, kernel), weight, bias)
        one = torch.ones(1, 1, 5, 7)
        return inverse_filter(h, one, one, [torch.ones(1, 3, 3)]) + c

    # How narrow sides are mirrored is decided when tracing, of which PyTorch warns.
    with pytest.warns(torch.jit.TracerWarning, match='to a Python boolean'):
        traced = torch.jit.trace(compute, z)
    kinds = {node.kind() for node in traced.inlined_graph.nodes()}
    assert all(kind.startswith(('aten::', 'prim::')) for kind in kinds)
    assert 'prim::PythonOp' not in kinds
    torch.testing.assert_close(traced(z), compute(z))
