import runpy
from pathlib import Path

import pytest
import reference_iniknet
import torch
from test_iniknet import load_released

from mmagic_inik.errors import InputError
from mmagic_inik.models.released import convert_released

ROOT = Path(__file__).parents[1]
FULL = dict(base_ch=32, num_res_unet=2, num_res_lstm=2, basis_num=10)
FULL |= dict(max_kernel_size=15, w_min=2, w_max=12)


@pytest.fixture
def released():
    _, weights, network, image, _ = load_released(reference_iniknet.FIXTURE)
    return weights, network, image


@torch.no_grad()
def test_rgb_result_is_the_flipped_bgr_result(released):
    weights, network, rgb = released
    config = dict(num_res_unet=1, num_res_lstm=1, basis_num=2, max_kernel_size=5)
    theirs = reference_iniknet.run(config, weights, rgb.flip(1))['output/full'].flip(1)
    torch.testing.assert_close(network(rgb), theirs, atol=2e-6, rtol=0)
    # A converter that forgot the colours would pass only on grey images.
    assert (network(rgb.flip(1)).flip(1) - theirs).abs().max() > 0.01


def test_leaves_network_and_source_alone(released):
    weights, network, _ = released
    before = {k: v.clone() for k, v in weights.items()}
    for parameter in network.parameters():
        parameter.data.zero_()
    convert_released(weights, network)
    assert not any(parameter.any() for parameter in network.parameters())
    assert all(torch.equal(weights[k], v) for k, v in before.items())


def test_names_everything_that_does_not_fit(released):
    weights, network, _ = released
    del weights['sum.bias']
    weights['unet.up3.main.0.weight'] = torch.zeros(1)
    weights['basis_select.weight'] = torch.zeros(5, 4, 1, 1)
    weights['inr_conv.kernelINR_list.1.layers.3.w0'] = torch.tensor(3.0)
    with pytest.raises(InputError) as caught:
        convert_released(weights, network)
    for part in (
        'sum.bias is missing',
        'unet.up3.main.0.weight is unknown',
        'basis_select.weight has shape (5, 4, 1, 1), not (2, 4, 1, 1)',
        'kernelINR_list.1.layers.1.w0 and inr_conv.kernelINR_list.1.layers.3.w0 differ',
    ):
        assert part in str(caught.value)


def test_names_missing_atoms(released):
    weights, network, _ = released
    lost = [name for name in weights if 'kernelINR_list.1.' in name]
    for name in lost:
        del weights[name]
    with pytest.raises(InputError) as caught:
        convert_released(weights, network)
    assert all(f'{name} is missing' in str(caught.value) for name in lost)


def test_full_size_names_match():
    """The full network's names and shapes, as random_weights lists them."""
    from test_iniknet import build

    weights = reference_iniknet.random_weights(FULL, torch.Generator().manual_seed(0))
    network = build()
    network.load_state_dict(convert_released(weights, network))


def test_command_line_refuses_and_writes_nothing(tmp_path, released):
    weights, *_ = released
    source, destination = tmp_path / 'tiny.pth', tmp_path / 'out.pth'
    torch.save(weights, source)
    main = runpy.run_path(str(ROOT / 'tools' / 'convert_released.py'))['main']
    sentence = f'^convert_released: {source} is not a released INIKNet'
    with pytest.raises(SystemExit, match=sentence):
        main([str(source), str(destination)])
    assert list(tmp_path.iterdir()) == [source]
