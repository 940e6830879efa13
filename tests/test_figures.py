import io

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from mmagic_inik.visualization.figures import atom_sheet, comparison, weight_maps

RNG = np.random.default_rng(0)


def _drawn(figure):
    """The figure's pixels after a round trip through a PNG file."""
    assert isinstance(figure, Figure)
    file = io.BytesIO()
    figure.savefig(file, format='png', dpi=30)
    file.seek(0)
    with Image.open(file) as image:
        assert image.format == 'PNG'
        return np.asarray(image.convert('RGB'))


def _shown(figure):
    """All images of a figure, colour bars left out."""
    return [image for axis in figure.axes for image in axis.images]


def _bars(figure):
    return [axis for axis in figure.axes if axis.get_label() == '<colorbar>']


@pytest.mark.parametrize('count', [1, 3])
def test_comparison(count):
    images = [RNG.integers(0, 256, (30, 50, 3), np.uint8) for _ in range(count)]
    titles = ['blurred', 'restored', 'sharp'][:count]
    figure = comparison(images, titles, (20, 5, 10))
    assert _drawn(figure).std() > 0
    assert len(figure.axes) == 2 * count
    whole, close = figure.axes[:count], figure.axes[count:]
    assert [axis.get_title() for axis in whole] == titles
    for upper, lower, image in zip(whole, close, images, strict=True):
        np.testing.assert_array_equal(upper.images[0].get_array(), image)
        detail = image[5:15, 20:30]
        np.testing.assert_array_equal(lower.images[0].get_array(), detail)
        # The frame lies on what is enlarged, whose axes count the photo's pixels.
        (frame,) = upper.patches
        assert (*frame.get_xy(), frame.get_width(), frame.get_height()) == (
            *(20, 5, 10, 10),
        )
        assert lower.images[0].get_extent() == [20, 30, 15, 5]
        assert lower.get_title() == '10 × 10 pixels'
        assert not upper.axison
        assert not lower.axison


def test_comparison_needs_a_title_per_image():
    images = [np.zeros((8, 8, 3), np.uint8)] * 2
    with pytest.raises(ValueError, match='zip'):
        comparison(images, ['one'], (0, 0, 4))


def test_comparison_of_one_pixel():
    figure = comparison([np.zeros((1, 1, 3), np.uint8)], ['x'], (0, 0, 1))
    assert _drawn(figure).size


@pytest.mark.parametrize('kind', [torch.from_numpy, np.asarray], ids=['torch', 'numpy'])
@pytest.mark.parametrize(
    ('count', 'rows', 'columns'), [(1, 1, 1), (5, 1, 5), (7, 2, 4), (8, 2, 4)]
)
def test_weight_maps(count, rows, columns, kind):
    maps = RNG.random((count, 6, 9)).astype(np.float32)
    labels = [f'{2 * k + 1} × {2 * k + 1}' for k in range(count)]
    figure = weight_maps(kind(maps), labels, 'Weights of the sizes', diverging=False)
    assert _drawn(figure).std() > 0
    assert figure.get_suptitle() == 'Weights of the sizes'
    assert len(figure.axes) == rows * columns + 1
    assert len(_bars(figure)) == 1
    assert _bars(figure)[0].get_ylabel() == 'weight'
    images = _shown(figure)
    assert [image.axes.get_title() for image in images] == labels
    for image, values in zip(images, maps, strict=True):
        np.testing.assert_array_equal(image.get_array(), values)
        assert not image.axes.axison
    # Places in the grid that no map takes stay empty.
    assert not any(axis.axison for axis in figure.axes[: rows * columns])


def test_scale_of_weights_spans_all_maps():
    maps = np.stack([np.full((4, 4), 0.25), np.full((4, 4), 0.75)])
    figure = weight_maps(maps, ['a', 'b'], '', diverging=False)
    assert [image.get_clim() for image in _shown(figure)] == [(0.25, 0.75)] * 2


@pytest.mark.parametrize('largest', [-3.0, 2.0])
def test_scale_of_signed_weights_is_symmetric(largest):
    maps = np.full((2, 4, 4), 0.5)
    maps[1, 2, 3] = largest
    figure = weight_maps(maps, ['a', 'b'], '', diverging=True)
    limit = abs(largest)
    assert [image.get_clim() for image in _shown(figure)] == [(-limit, limit)] * 2
    # Zero is the colour map's middle, nearly white.
    middle = _shown(figure)[0].to_rgba(np.array([0.0]))[0, :3]
    assert min(middle) > 0.9


@pytest.mark.parametrize('diverging', [False, True])
def test_maps_of_zeros_can_be_drawn(diverging):
    figure = weight_maps(np.zeros((2, 3, 4)), ['a', 'b'], 't', diverging)
    assert _drawn(figure).size


def _atoms(count=3, sizes=(1, 3, 7)):
    return [
        torch.from_numpy(RNG.standard_normal((count, size, size))).float()
        for size in sizes
    ]


def test_atom_sheet():
    atoms = _atoms()
    figure = atom_sheet(atoms)
    assert _drawn(figure).std() > 0
    assert figure.get_suptitle().startswith('Base atoms')
    # Rows 3×3 and 7×7, no 1×1; a colour bar for each.
    images = _shown(figure)
    assert len(images) == 2 * 3
    assert len(_bars(figure)) == 2
    first, second = images[:3], images[3:]
    assert [i.axes.get_title() for i in first] == ['n = 1', 'n = 2', 'n = 3']
    assert [i.axes.get_title() for i in second] == ['', '', '']
    for row, of_size, half in ((first, atoms[1], 1.5), (second, atoms[2], 3.5)):
        limit = of_size.abs().max().item()
        for image, atom in zip(row, of_size, strict=True):
            np.testing.assert_array_equal(image.get_array(), atom)
            assert image.get_clim() == (pytest.approx(-limit), pytest.approx(limit))
            # Pixel centres lie at whole distances from the atom's centre.
            assert image.get_extent() == [-half, half, half, -half]
            reach = int(half)
            assert image.axes.get_xticks().tolist() == [-reach, 0, reach]
        assert row[0].axes.get_yticks().tolist() == [-int(half), 0, int(half)]
        assert row[1].axes.get_yticks().tolist() == []
    assert [row[0].axes.get_ylabel() for row in (first, second)] == ['3 × 3', '7 × 7']


def test_atom_sheet_of_one_atom_and_size():
    figure = atom_sheet([np.ones((1, 5, 5))])
    assert _drawn(figure).size
    assert len(_shown(figure)) == 1


def test_tensors_of_a_network_in_training_can_be_drawn():
    atoms = [atom.requires_grad_() for atom in _atoms()]
    assert len(_shown(atom_sheet(atoms))) == 6
    maps = torch.rand(2, 4, 5, requires_grad=True)
    assert len(_shown(weight_maps(maps, ['a', 'b'], 't', diverging=False))) == 2
