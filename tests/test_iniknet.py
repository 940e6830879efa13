import json
from pathlib import Path

import numpy as np
import pytest
import reference_iniknet
import torch
from mmagic.registry import MODELS

from mmagic_inik.models import (
    DuplexConvLSTM,
    INIKNet,
    INRAtomBank,
    InverseFilterHead,
    UNet,
    inverse_filter_head,
)
from mmagic_inik.models.released import convert_released
from mmagic_inik.ops import use_references

GOLDEN = Path(__file__).parents[2] / 'shared' / 'golden' / 'official_tiny.npz'
SOURCES = [
    pytest.param(reference_iniknet.FIXTURE, id='fixture'),
    pytest.param(
        GOLDEN,
        id='golden',
        marks=pytest.mark.skipif(not GOLDEN.exists(), reason=f'{GOLDEN} is absent'),
    ),
]


def build(channels=32, blocks=2, num_atoms=10, max_size=15, **options):
    return INIKNet(
        UNet(base_channels=channels, num_res_blocks=blocks),
        [DuplexConvLSTM(channels, blocks) for _ in range(2)],
        InverseFilterHead(
            channels, INRAtomBank(num_atoms, tuple(range(1, max_size + 1, 2)))
        ),
        **options,
    )


def small(**options):
    torch.manual_seed(0)
    return build(channels=4, blocks=1, num_atoms=2, max_size=5, **options)


def load_released(path):
    """Network with the file's weights, its input, and its intermediates."""
    with np.load(path) as content:
        config = json.loads(str(content['config']))
        arrays = {
            key: torch.from_numpy(content[key])
            for key in content.files
            if key != 'config'
        }
    weights = {k[7:]: v for k, v in arrays.items() if k.startswith('weight/')}
    taps = {k[4:]: v for k, v in arrays.items() if k.startswith('tap/')}
    network = build(
        config['base_ch'],
        config['num_res_unet'],
        config['basis_num'],
        config['max_kernel_size'],
    )
    network.load_state_dict(convert_released(weights, network))
    return config, weights, network, arrays['input'], taps


def test_parameters():
    assert sum(p.numel() for p in build().parameters()) == 1_976_847


@pytest.mark.parametrize('path', SOURCES)
@torch.no_grad()
def test_reproduces_every_intermediate_of_the_released_network(path):
    _, _, network, image, taps = load_released(path)
    # Ours reads RGB: it sees the colours of theirs reversed.
    images = network.pyramid(image.flip(1))
    features = [network.backbone(x) for x in images]
    size_features, shape_features = network.extract(images)
    outputs = network.forward_scales(image.flip(1))
    ours = {f'atoms/{a.shape[-1]}x{a.shape[-1]}': a for a in network.head.atom_bank()}
    del ours['atoms/1x1']
    for p, scale in enumerate(reference_iniknet.SCALES):
        mu, omega = network.head.predict_weights(size_features[p], shape_features[p])
        ours |= {
            f'image/{scale}': images[p].flip(1),
            f'feature/{scale}': features[p],
            f'neck_size/{scale}': size_features[p],
            f'neck_shape/{scale}': shape_features[p],
            f'mu/{scale}': mu,
            f'omega/{scale}': omega,
            f'output/{scale}': outputs[p].flip(1),
        }
    assert ours.keys() == taps.keys()
    for name, tap in taps.items():
        torch.testing.assert_close(ours[name], tap, atol=1e-4, rtol=0, msg=name)


@pytest.mark.parametrize('path', SOURCES)
@torch.no_grad()
def test_second_implementation_agrees(path):
    config, weights, _, image, taps = load_released(path)
    for name, tap in reference_iniknet.run(config, weights, image).items():
        torch.testing.assert_close(tap, taps[name], atol=2e-5, rtol=0, msg=name)


def test_forward_is_the_finest_of_forward_scales():
    network, y = small(), torch.rand(2, 3, 37, 31)
    scales = network.forward_scales(y)
    assert [tuple(s.shape[-2:]) for s in scales] == [(37, 31), (19, 16), (10, 8)]
    assert torch.equal(network(y), scales[0])


def test_pyramid_halves_by_the_mean_of_four():
    y = torch.rand(1, 3, 8, 12)
    half = (
        y[..., ::2, ::2] + y[..., 1::2, ::2] + y[..., ::2, 1::2] + y[..., 1::2, 1::2]
    ) / 4
    torch.testing.assert_close(small().pyramid(y)[1], half)
    # A quarter reads the two middle pixels of four, without antialiasing.
    quarter = (
        y[..., 1::4, 1::4]
        + y[..., 2::4, 1::4]
        + y[..., 1::4, 2::4]
        + y[..., 2::4, 2::4]
    ) / 4
    torch.testing.assert_close(small().pyramid(y)[2], quarter)


def test_inference_computes_what_the_finest_output_needs(monkeypatch):
    network, calls = small(), {'atoms': 0, 'filter': []}
    original = inverse_filter_head.inverse_filter

    def counting(y, *args):
        calls['filter'].append(tuple(y.shape[-2:]))
        return original(y, *args)

    def count_atoms(*_):
        calls['atoms'] += 1

    monkeypatch.setattr(inverse_filter_head, 'inverse_filter', counting)
    network.head.atom_bank.register_forward_pre_hook(count_atoms)
    network(torch.rand(1, 3, 32, 32))
    assert calls == {'atoms': 1, 'filter': [(32, 32)]}
    network.forward_scales(torch.rand(1, 3, 32, 32))
    assert calls['atoms'] == 2
    assert calls['filter'][1:] == [(32, 32), (16, 16), (8, 8)]


IMAGES = {
    'noise': lambda: torch.rand(1, 3, 48, 48),
    'black and white noise': lambda: torch.rand(1, 3, 48, 48).round(),
    'white': lambda: torch.ones(1, 3, 48, 48),
    'black': lambda: torch.zeros(1, 3, 48, 48),
    'red': lambda: torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(1, 3, 48, 48),
    'stripes': lambda: (torch.arange(48) % 2.0).expand(1, 3, 48, 48),
    'one pixel': lambda: torch.ones(1, 3, 1, 1),
}


@pytest.mark.parametrize('image', IMAGES.values(), ids=IMAGES)
@torch.no_grad()
def test_starts_close_to_the_identity(image):
    for seed in range(2):
        torch.manual_seed(seed)
        y = image()
        assert (build()(y) - y).abs().max() < 0.05


def test_starts_close_to_the_identity_on_the_worst_image():
    torch.manual_seed(0)
    network, y = build(), torch.rand(1, 3, 32, 32, requires_grad=True)
    for _ in range(15):
        deviation = (network(y) - y).abs().max()
        (gradient,) = torch.autograd.grad(deviation, y)
        y = (y.detach() + 0.2 * gradient.sign()).clamp(0, 1).requires_grad_()
    assert deviation < 0.05


@pytest.mark.parametrize('size', [(1, 1), (1, 17), (3, 2), (16, 16), (37, 31)])
def test_any_image_size(size):
    y = torch.rand(1, 3, *size)
    restored = small()(y)
    assert restored.shape == y.shape
    assert restored.isfinite().all()


@pytest.mark.parametrize(
    'dtype', [torch.float64, torch.float16, torch.bfloat16], ids=str
)
def test_any_dtype(dtype):
    torch.manual_seed(0)
    network, y = small(), torch.rand(1, 3, 17, 16)
    expected = network(y)
    restored = network.to(dtype)(y.to(dtype))
    assert restored.dtype == dtype
    torch.testing.assert_close(
        restored.float(), expected, atol=8 * torch.finfo(dtype).eps + 1e-5, rtol=0
    )


def test_autocast_keeps_the_result():
    network, y = small(), torch.rand(1, 3, 32, 32)
    expected = network(y)
    with torch.autocast('cpu', torch.bfloat16):
        restored = network(y)
    torch.testing.assert_close(restored.float(), expected, atol=0.02, rtol=0)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
@pytest.mark.parametrize(
    'dtype', [torch.float32, torch.float16, torch.bfloat16], ids=str
)
def test_cuda_matches_cpu(dtype):
    network, y = small(), torch.rand(1, 3, 37, 31)
    expected = network(y)
    restored = network.cuda().to(dtype)(y.cuda().to(dtype)).cpu().float()
    atol = max(1e-4, 8 * torch.finfo(dtype).eps)
    torch.testing.assert_close(restored, expected, atol=atol, rtol=0)


def test_every_parameter_learns():
    network = small()
    sum(
        s.square().sum() for s in network.forward_scales(torch.rand(1, 3, 16, 16))
    ).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_builds_from_configs_with_two_independent_necks():
    network = MODELS.build(
        dict(
            type='INIKNet',
            backbone=dict(type='UNet', base_channels=4, num_res_blocks=1),
            neck=dict(type='DuplexConvLSTM', channels=4, num_res_blocks=1),
            head=dict(
                type='InverseFilterHead',
                in_channels=4,
                atom_bank=dict(type='INRAtomBank', num_atoms=2, kernel_sizes=[1, 3]),
            ),
            num_scales=2,
        )
    )
    ours, theirs = (
        next(neck.fine_to_coarse.parameters())
        for neck in (network.size_neck, network.shape_neck)
    )
    assert not torch.equal(ours, theirs)
    assert len(network.forward_scales(torch.rand(1, 3, 8, 8))) == 2


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(num_scales=0), 'num_scales must be positive, got 0'),
        (dict(neck=[torch.nn.Identity()]), 'one config or a pair, got 1'),
    ],
    ids=['num_scales', 'neck'],
)
def test_bad_options(options, message):
    parts = dict(
        backbone=UNet(), neck=[torch.nn.Identity()] * 2, head=torch.nn.Identity()
    )
    with pytest.raises(ValueError, match=message):
        INIKNet(**parts | options)


@pytest.mark.parametrize('cell_state', ['recurrent', 'feature'])
@pytest.mark.parametrize('fusion', ['conv', 'sum'])
def test_fast_forms_give_values_and_gradients_of_the_references(cell_state, fusion):
    torch.manual_seed(0)
    network = INIKNet(
        UNet(base_channels=4, num_res_blocks=2),
        [DuplexConvLSTM(4, 2, cell_state) for _ in range(2)],
        InverseFilterHead(4, INRAtomBank(2, (1, 3, 5)), fusion=fusion),
    ).double()
    y = torch.rand(2, 3, 37, 31).double()
    parameters = list(network.parameters())

    def run():
        restored = network.forward_scales(y)
        loss = sum((r - 0.5).square().sum() for r in restored)
        return restored, torch.autograd.grad(loss, parameters)

    (fast, fast_gradients), fast_alone = run(), network(y)
    with torch.no_grad():
        without_gradients = network(y)
    with use_references():
        slow, slow_gradients = run()
    for ours, theirs in zip(fast, slow, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)
    torch.testing.assert_close(fast_alone, slow[0], atol=1e-12, rtol=0)
    torch.testing.assert_close(without_gradients, slow[0], atol=1e-12, rtol=0)
    for ours, theirs in zip(fast_gradients, slow_gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-8, rtol=1e-8)


def test_bfloat16_changes_the_golden_network_by_little():
    _, _, network, image, taps = load_released(reference_iniknet.FIXTURE)
    with torch.autocast('cpu', torch.bfloat16), torch.no_grad():
        restored = network(image.flip(1)).flip(1)
    assert restored.dtype == torch.float32
    error = (restored - taps['output/full']).square().mean().sqrt()
    change = (taps['output/full'] - image).square().mean().sqrt()
    assert error < 0.005 * change


@pytest.mark.long
def test_runs_compiled_with_one_graph_for_all_sizes():
    network = small().eval()
    compiled = torch.compile(network, backend='aot_eager', fullgraph=True, dynamic=True)
    with torch.no_grad():
        for size in ((32, 48), (64, 32)):
            y = torch.rand(1, 3, *size)
            torch.testing.assert_close(compiled(y), network(y), atol=1e-5, rtol=0)
