import pytest
import torch

from mmagic_inik.models import UNet
from mmagic_inik.models.frequency_bands import local_energies, normalised_bands


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
    with pytest.raises(ValueError, match='must not be negative, got -1 and 0'):
        UNet(energy_bands=-1)
    with pytest.raises(ValueError, match='must not be negative, got 0 and -1'):
        UNet(signed_bands=-1)


@pytest.mark.parametrize('size', [(1, 1), (3, 9), (17, 32)], ids=str)
@pytest.mark.parametrize('reduction', [1, 4])
@pytest.mark.parametrize('bands', ['energy_bands', 'signed_bands'])
def test_bands_enter_beside_the_pixels(size, reduction, bands):
    torch.manual_seed(0)
    options = dict(base_channels=4, num_res_blocks=1, reduction=reduction)
    net, plain = UNet(**{bands: 3}, **options), UNet(**options)
    state = net.state_dict()
    pixels = 3 * reduction**2
    more = 6 if bands == 'energy_bands' else pixels
    assert state['downs.0.weight'].shape == (4, pixels + more, 3, 3)
    image = torch.rand(2, 3, *size)
    feature = net(image)
    assert feature.shape == (2, 4, *(-(-side // reduction) for side in size))
    assert feature.isfinite().all()
    # Where they are given no weight, nothing of them is left.
    state['downs.0.weight'][:, pixels:] = 0
    net.load_state_dict(state)
    state['downs.0.weight'] = state['downs.0.weight'][:, :pixels]
    plain.load_state_dict(state)
    torch.testing.assert_close(net(image), plain(image))
    # A single pixel has no bands, though energies above zero.
    if bands == 'energy_bands' or size != (1, 1):
        assert not torch.allclose(net(image), feature)


def waves(period, contrast=0.5, size=48):
    wave = torch.cos(torch.arange(size) * (2 * torch.pi / period))
    return (0.5 + contrast / 2 * wave).expand(1, 3, size, size)


def test_energies_tell_frequencies_apart_and_contrast_moves_all_alike():
    def inside(image):
        energies = local_energies(image, num_bands=3, reduction=4)
        assert energies.shape == (1, 6, 12, 12)
        return energies[0, :, 3:-3, 3:-3].mean((1, 2))

    fine, coarse = inside(waves(3)), inside(waves(16))
    # Narrow and wide surroundings see the same of what is the same everywhere.
    torch.testing.assert_close(fine[:3], fine[3:], atol=0.06, rtol=0)
    assert fine[:3].argmax() == 0
    assert coarse[:3].argmax() == 2
    # A quarter of the energy: log(4) / 3 less, in every band above the noise.
    faint = inside(waves(3, contrast=0.25))
    assert (fine - faint)[0] == pytest.approx(1.386 / 3, abs=0.01)
    assert local_energies(torch.full((1, 3, 8, 8), 0.3), 2).max() < -1.6


def test_energies_are_computed_in_float32_at_least():
    image = waves(5).bfloat16()
    with torch.autocast('cpu', torch.bfloat16):
        energies = local_energies(image, 3, 4)
    assert energies.dtype == torch.bfloat16
    exact = local_energies(image.float(), 3, 4)
    torch.testing.assert_close(energies.float(), exact, atol=0.01, rtol=0)


def test_energies_of_the_grey_image_by_hand():
    image = torch.zeros(1, 3, 1, 8)
    image[..., 4] = 1
    energies = local_energies(image, num_bands=1)[0, 0, 0]
    # Of a single row, [1, 2, 1] / 4 along it: 1/2 stays, a quarter goes to each side.
    expected = torch.zeros(8)
    expected[3:6] = torch.tensor([1 / 16, 1 / 4, 1 / 16])
    torch.testing.assert_close(energies, (expected + 1e-6).log() / 3 + 3)


@pytest.mark.parametrize('reduction', [1, 4])
def test_signed_bands_tell_the_side_of_an_edge_whatever_its_contrast(reduction):
    step = torch.zeros(1, 3, 48, 48)
    step[..., 24:] = 1

    def beside(contrast):
        bands = normalised_bands(0.5 + contrast * step, 3, reduction)
        assert bands.shape == (1, 3, 48, 48)
        return bands[0, :, 24, 20:28]

    strong, faint = beside(0.4), beside(0.1)
    # Darker than its surroundings before the edge, brighter behind it.
    assert (strong[2, :4] < 0).all()
    assert (strong[2, 4:] > 0).all()
    torch.testing.assert_close(strong, faint, atol=0.02, rtol=0.15)
    torch.testing.assert_close(beside(-0.4), -strong, atol=1e-4, rtol=0)
    # What is no more than noise is not made loud.
    assert beside(1e-4).abs().max() < 0.2 < strong.abs().max()
