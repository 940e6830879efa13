"""What every peer must do: counts, any size, gradients, half precision, on any device.

Values of the originals are in test_peers_golden.py and test_peers_of_2021.py.
"""

from copy import deepcopy

import pytest
import torch

from mmagic_inik.models.peers import (
    IFAN,
    KPAC,
    MDP,
    AIFNet,
    ConvIR,
    DPDNet,
    DRBNet,
    GKMNet,
    MPRNet,
    NRKNet,
)

# Parameters as in the specifications, and parts that train by other than the image.
NETWORKS = {
    'DPDNet': (DPDNet, {}, 31_033_423, ()),
    'DPDNet of views': (DPDNet, dict(in_channels=6), 31_035_151, ()),
    'AIFNet': (AIFNet, {}, 41_557_358, ('defocus.auxiliary.',)),
    'IFAN': (IFAN, {}, 10_476_996, ()),
    'IFAN corrected': (IFAN, dict(form='corrected'), 10_476_996, ()),
    'KPAC': (KPAC, {}, 2_057_893, ()),
    'KPAC of 2 levels': (KPAC, dict(num_levels=2), 1_578_277, ()),
    'GKMNet': (GKMNet, {}, 1_409_131, ()),
    'GKMNet updated': (GKMNet, dict(bank='updated'), 1_409_131, ()),
    'MDP': (MDP, {}, 46_860_397, ('late.left.', 'late.right.')),
    'DRBNet': (DRBNet, {}, 11_689_616, ()),
    'MPRNet': (MPRNet, {}, 20_127_073, ()),
    'NRKNet': (NRKNet, {}, 6_094_107, ()),
    'ConvIR-S': (ConvIR, dict(size='S'), 5_530_505, ()),
    'ConvIR-B': (ConvIR, dict(size='B'), 8_630_665, ()),
    'ConvIR-L': (ConvIR, dict(size='L'), 14_830_985, ()),
}
# The others are these with other numbers; ConvIR's reach makes 256 pixels of any side.
DISTINCT = [name for name in NETWORKS if name not in ('ConvIR-B', 'ConvIR-L')]
NARROW = {'ConvIR-S': dict(dilations=(1, 1, 1))}


@pytest.fixture(
    scope='module',
    params=[
        'cpu',
        pytest.param(
            'cuda',
            marks=[
                pytest.mark.cuda,
                pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU'),
            ],
        ),
    ],
)
def device(request):
    return request.param


@pytest.fixture(scope='module', params=DISTINCT)
def network(request, device):
    build, arguments, *_ = NETWORKS[request.param]
    torch.manual_seed(0)
    arguments = arguments | NARROW.get(request.param, {})
    network = build(**arguments).to(device).eval()
    network.name = request.param
    return network


def photo(network, batch=1, height=20, width=36):
    channels = 6 if network.name == 'DPDNet of views' else 3
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(batch, channels, height, width, generator=generator)
    return image.to(next(network.parameters()).device)


@pytest.mark.parametrize('name', NETWORKS)
def test_count_is_the_specifications(name):
    build, arguments, expected, _ = NETWORKS[name]
    with torch.device('meta'):
        network = build(**arguments)
    assert sum(p.numel() for p in network.parameters()) == expected


@torch.no_grad()
@pytest.mark.parametrize('sides', [(1, 1), (33, 20)], ids=str)
def test_takes_any_size(network, sides):
    image = photo(network, 1, *sides)
    kept = image.clone()
    restored = network(image)
    assert restored.shape == (1, 3, *sides)
    assert restored.isfinite().all()
    assert torch.equal(image, kept)


@torch.no_grad()
def test_images_of_a_batch_are_on_their_own(network):
    pair = photo(network, 2)
    # Convolutions of another batch add up in another order.
    torch.testing.assert_close(
        network(pair)[1:], network(pair[1:]), atol=1e-4, rtol=1e-4
    )


@torch.no_grad()
def test_bfloat16_is_near(network):
    # Few pixels: a processor without the type's own arithmetic takes long.
    image = photo(network, 1, 16, 16)
    expected = network(image)
    with torch.autocast(image.device.type, torch.bfloat16):
        found = network(image)
    assert found.isfinite().all()
    scale = (expected - image[:, :3]).abs().max()
    assert (found.float() - expected).abs().max() < 0.1 * scale
    # Its weights may be, too.
    found = deepcopy(network).bfloat16()(image.bfloat16())
    assert found.dtype == torch.bfloat16
    assert (found.float() - expected).abs().max() < 0.2 * scale


def train_once(network, image):
    """Its outputs, when everything that restores has got a gradient."""
    unused = NETWORKS[network.name][-1]
    network.train()
    network.zero_grad()
    try:
        if hasattr(network, 'forward_scales'):
            outputs = network.forward_scales(image)
        else:
            outputs = [network(image)]
        sum(out.square().mean() for out in outputs).backward()
    finally:
        network.eval()
    for name, parameter in network.named_parameters():
        if name.startswith(unused):
            assert parameter.grad is None
            continue
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    network.zero_grad()
    return outputs


def test_everything_that_restores_gets_a_gradient(network):
    train_once(network, photo(network, 2))


# 0.3: channels that are rounded are not twice the next level's; 0.01: the least.
@pytest.mark.parametrize('width', [0.25, 0.3, 0.01])
@pytest.mark.parametrize('name', DISTINCT)
def test_narrow_network_is_small_and_trains(name, width):
    build, arguments, released, _ = NETWORKS[name]
    torch.manual_seed(0)
    network = build(**arguments | NARROW.get(name, {}), width=width)
    network.name = name
    count = sum(p.numel() for p in network.parameters())
    assert count < released / 4
    outputs = train_once(network, photo(network, 2, 37, 45))
    assert outputs[0].shape == (2, 3, 37, 45)
    assert all(out.isfinite().all() for out in outputs)


@pytest.mark.parametrize('width', [0, -0.25])
@pytest.mark.parametrize('name', DISTINCT)
def test_refuses_a_width_that_is_not_positive(name, width):
    build, arguments, *_ = NETWORKS[name]
    with pytest.raises(ValueError, match=f'width must be positive, got {width}'):
        build(**arguments, width=width)


def test_gradients_change_no_value(network):
    """Without them, filters run in bands of rows."""
    image = photo(network)
    with torch.no_grad():
        expected = network(image)
    found = network(image)
    assert found.requires_grad
    torch.testing.assert_close(found.detach(), expected, atol=1e-5, rtol=1e-4)
