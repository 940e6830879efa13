"""Inverse kernels of a head."""

import io

import numpy as np
import pytest
import torch

from mmagic_inik.models import INRAtomBank, InverseFilterHead
from mmagic_inik.ops import inverse_filter_reference
from mmagic_inik.visualization import (
    HeadWatch,
    Prediction,
    compose_kernel,
    extreme_places,
    has_weight_maps,
    kernel_sheet,
)
from mmagic_inik.visualization.atom_figures import resized_atoms
from mmagic_inik.visualization.kernels import fourier_magnitude, grey_kernel


def head(fusion, residual):
    torch.manual_seed(0)
    part = InverseFilterHead(
        4, INRAtomBank(num_atoms=3, kernel_sizes=(1, 3, 7)), 3, fusion, residual
    )
    for parameter in part.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return part


@torch.no_grad()
def watched(part, size=(12, 10)):
    """Photo, output and what the watch kept."""
    y, *features = (torch.rand(1, c, *size) for c in (3, 4, 4))
    watch = HeadWatch(part)
    output = part(y, *features)
    return y[0], output[0], watch.stop(*size)


@pytest.mark.parametrize('fusion', ['conv', 'sum'])
@pytest.mark.parametrize('residual', [True, False], ids=['residual', 'no residual'])
@pytest.mark.parametrize('place', [(5, 4), (0, 11), (9, 1)], ids=str)
def test_kernel_on_its_neighbourhood_is_the_heads_output(fusion, residual, place):
    part = head(fusion, residual)
    photo, output, prediction = watched(part)
    x, y = place
    kernel = prediction.kernel_at(x, y)
    assert kernel.shape == ((3, 3, 7, 7) if fusion == 'conv' else (1, 1, 7, 7))
    padded = np.pad(photo.numpy(), [(0, 0), (3, 3), (3, 3)])
    neighbourhood = padded[:, y : y + 7, x : x + 7]
    for out in range(3):
        expected = 0 if part.bias is None else part.bias[out].item()
        for color in range(3):
            if fusion == 'sum' and color != out:
                continue
            of_pair = kernel[out, color] if fusion == 'conv' else kernel[0, 0]
            expected += (of_pair.numpy() * neighbourhood[color]).sum()
        assert output[out, y, x].item() == pytest.approx(expected, abs=1e-4)


def test_kernel_for_grey_is_the_mean_response_to_grey():
    part = head('conv', residual=True)
    photo, _, prediction = watched(part)
    torch.manual_seed(1)
    grey = torch.rand(1, 1, 12, 10).expand(1, 3, -1, -1)
    atoms, mixing = part.atom_bank(), part.mixing
    weights = prediction.mu[None], prediction.omega[None]
    with torch.no_grad():
        output = grey + inverse_filter_reference(grey, *weights, atoms, mixing)
    kernel = grey_kernel(prediction.kernel_at(4, 5))
    patch = grey[0, 0, 2:9, 1:8]
    assert (kernel * patch).sum().item() == pytest.approx(
        output[0, :, 5, 4].mean().item(), abs=1e-4
    )


@pytest.mark.parametrize('factor', [2, 3, 4])
def test_a_coarser_kernel_is_the_mean_over_the_places_in_a_block(factor):
    torch.manual_seed(0)
    atoms = INRAtomBank(num_atoms=3, kernel_sizes=(1, 3, 7))
    part = InverseFilterHead(4, atoms, border='reflect', coarser=(factor,))
    for parameter in part.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    size = 12 * factor
    features = [torch.rand(1, 4, 1, 1).expand(1, 4, size, size) for _ in range(2)]
    watch = HeadWatch(part)
    y, middle = torch.zeros(1, 3, size, size), size // 2
    with torch.no_grad():
        part(y, *features)
        prediction = watch.stop(size, size)
        kernel = prediction.kernel_at(middle, middle)
        reach = kernel.shape[-1] // 2
        assert prediction.kernel_sizes == [1, 3, 7, 2 * reach + 1]
        found = torch.zeros_like(kernel)
        # Correlation: a point at the right of a pixel meets the kernel's right part.
        for row in range(factor):
            for column in range(factor):
                place = middle + row, middle + column
                y.zero_()[:, 0, place[0], place[1]] = 1
                seen = part(y, *features)[0] - part.bias[:, None, None]
                rows, columns = (slice(p - reach, p + reach + 1) for p in place)
                found[:, 0] += seen[:, rows, columns].flip(1, 2) / factor**2
    torch.testing.assert_close(found[:, 0], kernel[:, 0], atol=1e-5, rtol=0)


def test_composed_kernel_by_hand():
    atoms = [torch.tensor([[[2.0]], [[3.0]]]), torch.ones(2, 3, 3)]
    kernel = compose_kernel(torch.tensor([0.5, 0.5]), torch.tensor([1.0, -2.0]), atoms)
    # Around: 0.5·(1 − 2); centre: 0.5·(2 − 6) more.
    expected = torch.full((3, 3), -0.5)
    expected[1, 1] = -2.5
    torch.testing.assert_close(kernel, expected[None, None])


def prediction_of(mu, sizes=(1, 3, 7)):
    atoms = [torch.ones(2, size, size) for size in sizes]
    return Prediction(mu, torch.zeros(2, *mu.shape[1:]), atoms, None, True)


def test_expected_size_weighs_sizes():
    mu = torch.tensor([0.2, 0.3, 0.5]).view(3, 1, 1).repeat(1, 2, 2)
    mu[:, 1, 0] = torch.tensor([0.0, 0.0, 1.0])
    expected = torch.tensor([[4.6, 4.6], [7.0, 4.6]])  # 0.2·1 + 0.3·3 + 0.5·7
    torch.testing.assert_close(prediction_of(mu).expected_size(), expected)


def test_extreme_places_keep_from_the_border_where_they_can():
    sizes = torch.ones(9, 8)
    sizes[0, 0], sizes[8, 7] = 9, -9
    sizes[4, 5], sizes[3, 2] = 5, 0
    assert extreme_places(sizes, 0) == [(0, 0), (7, 8)]
    assert extreme_places(sizes, 2) == [(5, 4), (2, 3)]
    assert extreme_places(sizes, 7) == [(0, 0), (7, 8)]


def test_watch_keeps_the_largest_call_and_crops_the_extension():
    part = head('conv', residual=True)
    small, large = ([torch.rand(2, c, s, s) for c in (3, 4, 4)] for s in (8, 16))
    watch = HeadWatch(part)
    for inputs in (small, large, small):
        part(*inputs)
    prediction = watch.stop(13, 11)
    mu, omega = part.predict_weights(*large[1:])
    torch.testing.assert_close(prediction.mu, mu[0, :, :13, :11].detach())
    torch.testing.assert_close(prediction.omega, omega[0, :, :13, :11].detach())
    assert prediction.kernel_sizes == [1, 3, 7]
    assert not part._forward_pre_hooks


def test_watch_of_a_head_that_is_not_called():
    with pytest.raises(RuntimeError, match='did not call its head'):
        HeadWatch(head('sum', residual=False)).stop(4, 4)


def test_which_networks_have_weight_maps():
    network = torch.nn.Module()
    assert not has_weight_maps(network)
    network.head = torch.nn.Conv2d(1, 1, 1)
    assert not has_weight_maps(network)
    network.head = head('sum', residual=False)
    assert has_weight_maps(network)


def test_fourier_magnitude_of_a_box():
    gain = fourier_magnitude(np.full((3, 3), 1 / 9))
    assert gain.shape == (65, 65)
    frequencies = np.arange(-32, 33) / 65
    # Along one axis a box of three has the transform (1 + 2 cos 2πf) / 3.
    one = np.abs(1 + 2 * np.cos(2 * np.pi * frequencies)) / 3
    np.testing.assert_allclose(gain, np.outer(one, one), atol=1e-12)


def test_resized_atoms_are_samples_between_the_corners():
    ramp = np.tile(np.linspace(-1, 1, 9, dtype=np.float32), (2, 9, 1))
    small, same = resized_atoms([np.zeros((2, 5, 5)), ramp])
    np.testing.assert_array_equal(same, ramp)
    row = np.array([-1, -0.5, 0, 0.5, 1]) * (9 / 5) ** 2
    np.testing.assert_allclose(small, np.tile(row, (2, 5, 1)), rtol=1e-6)


@pytest.mark.parametrize(('fusion', 'columns'), [('conv', 5), ('sum', 3)])
def test_kernel_sheet(fusion, columns):
    _, _, prediction = watched(head(fusion, residual=True), (40, 50))
    photo = np.zeros((40, 50, 3), np.uint8)
    figure = kernel_sheet(photo, prediction, [(0, 0), (25, 20)], 'Kernels; a$b')
    figure.savefig(io.BytesIO(), dpi=30)
    bars = [axis for axis in figure.axes if axis.get_label() == '<colorbar>']
    panels = [axis for axis in figure.axes if axis not in bars]
    assert len(panels) == 2 * columns
    assert len(bars) == 2 * (columns - 1)
    assert [panels[n].get_title()[:2] for n in (0, columns)] == ['1:', '2:']
    kernel = prediction.kernel_at(25, 20)
    shown = panels[columns + 1].images[0]
    np.testing.assert_allclose(shown.get_array(), grey_kernel(kernel), rtol=1e-6)
    assert shown.get_extent() == [-3.5, 3.5, 3.5, -3.5]
    spectrum = panels[columns + 2].images[0]
    # Zero frequency is the sum of the kernel.
    total = abs(grey_kernel(kernel).sum().item())
    assert spectrum.get_array()[32, 32] == pytest.approx(total, rel=1e-5)
    if fusion == 'conv':
        pairs = panels[columns + 3]
        # From red (first column) to blue (third row).
        np.testing.assert_array_equal(
            pairs.images[0].get_array()[14:, :7], kernel[2, 0]
        )
        assert [t.get_text() for t in pairs.get_xticklabels()] == list('RGB')
