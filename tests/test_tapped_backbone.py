from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmagic.registry import MODELS
from torch import nn

from mmagic_inik.errors import InputError
from mmagic_inik.models import TappedBackbone

NAFNET = dict(
    type='NAFNet',
    mid_channels=4,
    enc_blk_nums=[1, 1, 1, 1],
    middle_blk_num=1,
    dec_blk_nums=[1, 1, 1, 1],
)
RESTORMER = dict(
    type='Restormer', dim=8, num_blocks=[1, 1, 1, 1], num_refinement_blocks=1
)


def convolutions():
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 3, 3))


class Branched(nn.Module):
    """Calls `aside` on the way to `tap` without using it; `broken` comes behind."""

    def __init__(self):
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.aside = nn.Conv2d(4, 2, 1)
        self.tap = nn.Conv2d(4, 4, 1)
        self.scale = nn.Parameter(torch.ones(1))
        self.tails = nn.ModuleList(nn.Conv2d(4, 3, 1) for _ in range(2))

    def forward(self, image):
        x = self.head(image)
        self.aside(x.detach())
        self.tap(x)
        raise AssertionError('the network ran on')


def exposed(network, layer, channels, size_divisor):
    """A backbone that gives what the layer gives."""
    backbone = TappedBackbone(network, layer, channels, size_divisor)
    nn.init.dirac_(backbone.projection.weight)
    nn.init.zeros_(backbone.projection.bias)
    return backbone


@torch.no_grad()
def test_coarse_layer_is_projected_and_resized():
    torch.manual_seed(0)
    network = convolutions()
    weight, bias = (p.clone() for p in network[0].parameters())
    backbone = TappedBackbone(network, '1', channels=5, size_divisor=2)
    image = torch.rand(2, 3, 10, 6)
    coarse = F.relu(F.conv2d(image, weight, bias, stride=2, padding=1))
    # The other way round; both are linear.
    fine = F.interpolate(coarse, (10, 6), mode='bilinear', align_corners=False)
    weight = backbone.projection.weight[..., 0, 0]
    expected = torch.einsum('oi,bihw->bohw', weight, fine)
    expected += backbone.projection.bias.view(-1, 1, 1)
    torch.testing.assert_close(backbone(image), expected)


@pytest.mark.parametrize(
    ('config', 'layer', 'channels', 'last', 'divisor'),
    [
        (NAFNET, 'decoders.3', 4, 'ending', 16),
        (RESTORMER, 'refinement', 16, 'output', 8),
    ],
    ids=['NAFNet', 'Restormer'],
)
@torch.no_grad()
def test_gives_what_the_whole_network_makes_its_output_of(
    config, layer, channels, last, divisor
):
    torch.manual_seed(0)
    network = MODELS.build(config)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)  # NAFNet's blocks would start as identities
    image = torch.rand(1, 3, 37, 31)
    height, width = -(-37 // divisor) * divisor, 32
    padding = ((0, 0), (0, 0), (0, height - 37), (0, width - 31))
    padded = torch.from_numpy(np.pad(image.numpy(), padding, 'reflect'))
    expected, last_layer = network(padded), getattr(network, last)
    backbone = exposed(network, layer, channels, divisor)
    feature = backbone(padded)
    torch.testing.assert_close(last_layer(feature) + padded, expected)
    torch.testing.assert_close(backbone(image), feature[..., :37, :31])


@pytest.mark.parametrize('size', [(1, 1), (1, 9), (5, 7), (37, 31), (48, 32)])
def test_any_image_size(size):
    feature = TappedBackbone(NAFNET, 'encoders.2', 6, 16)(torch.rand(2, 3, *size))
    assert feature.shape == (2, 6, *size)
    assert feature.isfinite().all()


@pytest.mark.parametrize(
    ('config', 'layer', 'divisor', 'kept', 'dropped'),
    [
        (NAFNET, 'encoders.1', 16, 'encoders.1', 'encoders.2 downs.1 decoders ending'),
        (RESTORMER, 'latent', 8, 'down3_4', 'up4_3 decoder_level1 refinement output'),
        (NAFNET, 'decoders.1.0.conv3', 16, 'ups.1', 'decoders.1.0.conv4 ups.2'),
    ],
    ids=['NAFNet', 'Restormer', 'inside a block'],
)
def test_what_lies_behind_is_dropped_and_all_else_learns(
    config, layer, divisor, kept, dropped
):
    whole = {name for name, _ in MODELS.build(config).named_parameters()}
    backbone = TappedBackbone(config, layer, 4, divisor)
    backbone(torch.rand(1, 3, 32, 32)).square().sum().backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.requires_grad == (parameter.grad is not None), name
    left = {name for name, _ in backbone.network.named_parameters()}
    assert left < whole
    assert any(name.startswith(f'{kept}.') for name in left)
    for part in dropped.split():
        assert any(name.startswith(f'{part}.') for name in whole)
        assert not any(name.startswith(f'{part}.') for name in left)


def test_stops_at_the_layer_and_freezes_what_does_not_reach_it():
    network = Branched()
    network.head[0].weight.requires_grad_(False)
    backbone = TappedBackbone(network, 'tap', 4)
    backbone(torch.rand(1, 3, 8, 8)).sum().backward()
    frozen = {n for n, p in network.named_parameters() if not p.requires_grad}
    # The first is the user's; it is used, and stays.
    assert frozen == {'head.0.weight', 'aside.weight', 'aside.bias', 'scale'}
    assert len(network.tails) == 2
    assert not list(network.tails.parameters())


def test_construction_leaves_statistics_and_mode_alone():
    network = Branched()
    TappedBackbone(network, 'tap', 4)
    assert network.training
    assert network.head[1].num_batches_tracked == 0
    assert not network.head[1].running_mean.any()
    assert all(parameter.grad is None for parameter in network.parameters())


@torch.no_grad()
def test_copies_keep_the_tap():
    backbone, image = (
        TappedBackbone(NAFNET, 'decoders.3', 4, 16),
        torch.rand(1, 3, 9, 7),
    )
    assert torch.equal(deepcopy(backbone)(image), backbone(image))


class Tuple(nn.Identity):
    def forward(self, x):
        return x, x


@pytest.mark.parametrize(
    ('network', 'layer', 'message'),
    [
        (
            NAFNET,
            'decoder.3',
            "layer 'decoder.3' is not in NAFNet; near names: decoders.3,",
        ),
        (
            NAFNET,
            'xyz',
            'near names: intro, ending, encoders, decoders, middle_blks, ups, downs$',
        ),
        (NAFNET, 'decoders', "layer 'decoders' of NAFNet is not called by its forward"),
        (
            NAFNET,
            'encoders.2',
            r"'encoders.2' of NAFNet gives a Tensor \(1, 16, 12, 12\) for an image of "
            r'\(33, 35\), .* the multiple that NAFNet pads its image to, not 1$',
        ),
        (
            nn.Sequential(nn.Conv2d(3, 4, 1), Tuple()),
            '1',
            r"layer '1' of Sequential gives a tuple \(\) for",
        ),
        (
            nn.Sequential(nn.Conv2d(3, 4, 1), nn.PixelUnshuffle(2), nn.ReLU()),
            '2',
            r'Sequential cannot take an image of \(33, 35\) \(pixel_unshuffle expects '
            '.* give size_divisor the multiple that its sides must be of, not 1$',
        ),
    ],
    ids=['near', 'none near', 'not called', 'pads by itself', 'no feature', 'fails'],
)
def test_errors_name_the_layer_and_the_cure(network, layer, message):
    with pytest.raises(InputError, match=message):
        TappedBackbone(network, layer, 4)


@pytest.mark.parametrize('divisor', [1, 2, 4, 8])
def test_too_small_a_divisor_is_found_out_at_once(divisor):
    for layer in ('encoders.0', 'encoders.3', 'middle_blks', 'decoders.3'):
        with pytest.raises(InputError, match=f'pads its image to, not {divisor}$'):
            TappedBackbone(NAFNET, layer, 4, divisor)


def test_bad_options():
    with pytest.raises(ValueError, match='must be positive, got 4 and 0'):
        TappedBackbone(NAFNET, 'ending', 4, 0)
