import pytest
import torch

from mmagic_inik.models import UNet


@pytest.mark.parametrize('size', [(1, 1), (1, 9), (2, 2), (5, 7), (37, 31), (64, 48)])
def test_any_image_size(size):
    feature = UNet(base_channels=4, num_res_blocks=1)(torch.rand(2, 3, *size))
    assert feature.shape == (2, 4, *size)
    assert feature.isfinite().all()


def test_parameters():
    assert sum(p.numel() for p in UNet().parameters()) == 1_307_488


def test_every_parameter_learns():
    net = UNet(base_channels=4, num_res_blocks=1)
    net(torch.rand(1, 3, 16, 16)).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_has_no_bias_and_reflects_at_borders():
    net = UNet(base_channels=4, num_res_blocks=1)
    assert not any(name.endswith('bias') for name, _ in net.named_parameters())
    assert not net(torch.zeros(1, 3, 8, 8)).any()
    # Mirrored without its edge pixel, the image continues as reflection assumes.
    first = torch.nn.Sequential(net.downs[0])
    image = torch.rand(1, 3, 6, 6)
    mirrored = torch.nn.functional.pad(image, (2, 2, 2, 2), 'reflect')
    torch.testing.assert_close(first(image), first(mirrored)[..., 2:-2, 2:-2])


@pytest.mark.parametrize(
    'dtype', [torch.float64, torch.float16, torch.bfloat16], ids=str
)
def test_any_dtype(dtype):
    net = UNet(base_channels=4, num_res_blocks=1).to(dtype)
    assert net(torch.rand(1, 3, 9, 7, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize('size', [(16, 24), (1, 1), (17, 7)], ids=str)
def test_reduction_is_pixel_unshuffling_of_the_whole_blocks(size):
    torch.manual_seed(0)
    net = UNet(base_channels=4, num_res_blocks=1, reduction=4)
    image = torch.rand(2, 3, *size)
    height, width = (-(-side // 4) for side in size)
    feature = net(image)
    assert feature.shape == (2, 4, height, width)
    # Channel (c, i, j) of block (y, x) is colour c of pixel (4y + i, 4x + j).
    mode = 'reflect' if min(size) > 3 else 'replicate'
    spare = (0, 4 * width - size[1], 0, 4 * height - size[0])
    blocks = torch.nn.functional.pad(image, spare, mode)
    blocks = blocks.reshape(2, 3, height, 4, width, 4).permute(0, 1, 3, 5, 2, 4)
    plain = UNet(in_channels=48, base_channels=4, num_res_blocks=1)
    plain.load_state_dict(net.state_dict())
    torch.testing.assert_close(feature, plain(blocks.flatten(1, 3)))


def test_bad_options():
    with pytest.raises(ValueError, match='must be positive, got 3, 0, 2 and 1'):
        UNet(base_channels=0)
