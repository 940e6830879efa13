import io

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from mmagic_inik.visualization import (
    Prediction,
    atom_comparison,
    atom_sheet,
    comparison,
    size_map,
    validation_sheet,
    weight_maps,
)
from mmagic_inik.visualization.validation_sheet import as_pixels

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
        # Centres of pixels lie at whole numbers.
        assert image.get_extent() == [-0.5, 8.5, 5.5, -0.5]
    # Places in the grid that no map takes stay empty.
    assert sum(axis.axison for axis in figure.axes[: rows * columns]) == count
    assert images[columns * (rows - 1)].axes.get_xlabel() == 'x in pixels'


def test_maps_are_reduced_by_means_and_keep_their_axes():
    maps = np.arange(2 * 8 * 12, dtype=np.float32).reshape(2, 8, 12)
    figure = weight_maps(maps, ['a', 'b'], 't', diverging=False, max_side=6)
    for image, values in zip(_shown(figure), maps, strict=True):
        means = values.reshape(4, 2, 6, 2).mean((1, 3))
        np.testing.assert_allclose(image.get_array(), means)
        assert image.get_extent() == [-0.5, 11.5, 7.5, -0.5]


def test_size_map():
    photos = [RNG.integers(0, 256, (20, 30, 3), np.uint8) for _ in range(2)]
    sizes = np.linspace(1, 9, 600, dtype=np.float32).reshape(20, 30)
    sizes[0, 0] = 1e6
    places = [(3, 4), (20, 10)]
    figure = size_map(photos, ['blurred', 'restored'], sizes, places, 'a$b')
    assert _drawn(figure).std() > 0
    *shown, size = _shown(figure)
    for image, photo in zip(shown, photos, strict=True):
        np.testing.assert_array_equal(image.get_array(), photo)
    np.testing.assert_array_equal(size.get_array(), sizes)
    # One wild pixel does not stretch the scale.
    assert size.get_clim() == pytest.approx((1.08, 8.95), abs=0.02)
    (bar,) = _bars(figure)
    assert bar.get_ylabel() == 'pixels'
    for axis in (shown[0].axes, size.axes):
        marks = [line.get_xydata()[0].tolist() for line in axis.lines[::2]]
        assert marks == [list(place) for place in places]
        assert [text.get_text() for text in axis.texts] == ['1', '2']


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


@pytest.mark.parametrize('in_space', [True, False], ids=['space', 'frequency'])
def test_atom_comparison(in_space):
    atoms = _atoms()
    figure = atom_comparison(atoms, in_space)
    assert _drawn(figure).std() > 0
    images = _shown(figure)
    # Rows 3×3 and 7×7; three atoms and three that were resized.
    assert len(images) == 2 * 6
    assert len(_bars(figure)) == 2
    titles = [image.axes.get_title() for image in images[:6]]
    assert titles == ['n = 1', 'n = 2', 'n = 3'] * 2
    for row in (images[:6], images[6:]):
        assert len({image.get_clim() for image in row}) == 1
    # The largest size is the one that is resized: both halves show the same.
    for own, resized in zip(images[6:9], images[9:], strict=True):
        np.testing.assert_allclose(own.get_array(), resized.get_array(), rtol=1e-5)
    half = 3.5 if in_space else 0.5
    assert images[-1].get_extent() == [-half, half, half, -half]
    if in_space:
        # At 3×3 corners, edges' middles and the centre are samples, times (7/3)².
        samples = atoms[2][:, ::3, ::3].numpy() * (7 / 3) ** 2
        for image, atom in zip(images[3:6], samples, strict=True):
            np.testing.assert_allclose(image.get_array(), atom, rtol=1e-5)
    else:
        # Zero frequency is the sum.
        for image, atom in zip(images[:3], atoms[1], strict=True):
            gain = image.get_array()[32, 32]
            assert gain == pytest.approx(abs(atom.sum().item()), rel=1e-4)


@pytest.mark.parametrize('target', [True, False], ids=['target', 'no target'])
@pytest.mark.parametrize('sizes', [None, (1,), (1, 3, 5)], ids=str)
def test_validation_sheet(target, sizes):
    names = ['input', 'restored', 'target'][: 2 + target]
    photos = {n: RNG.integers(0, 256, (24, 36, 3), np.uint8) for n in names}
    prediction = None
    if sizes:
        mu = torch.rand(len(sizes), 24, 36).softmax(0)
        atoms = [torch.ones(2, size, size) for size in sizes]
        prediction = Prediction(mu, torch.zeros(2, 24, 36), atoms, None, True)
    figure = validation_sheet(photos, prediction, 'validation, a$b', 12)
    pixels = as_pixels(figure, 60)
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == 3
    assert pixels.std() > 0
    images = _shown(figure)
    assert [image.axes.get_title() for image in images[: len(names)]] == names
    assert images[0].get_array().shape == (8, 12, 3)
    assert images[0].get_extent() == [-0.5, 35.5, 23.5, -0.5]
    if sizes is None:
        assert len(images) == len(names)
        return
    assert [i.axes.get_title() for i in images[len(names) + 1 :]] == [
        f'μ of {size} × {size}' for size in sizes
    ]
    assert [bar.get_ylabel() for bar in _bars(figure)] == ['pixels', 'weight']
