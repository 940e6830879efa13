import numpy as np
import pytest

from mmagic_inik.visualization import contact_sheet


def _titles(figure):
    return [axis.get_title() for axis in figure.axes if axis.images]


def test_contact_sheet_shows_pairs_side_by_side():
    pairs = [
        [np.full((30, 50, 3), 2 * n, np.uint8), np.full((30, 50, 3), 2 * n + 1.0)]
        for n in range(3)
    ]
    titles = [[f'in {n}', f'target {n}'] for n in range(3)]
    figure = contact_sheet(pairs, titles, 'all')
    shown = [axis for axis in figure.axes if axis.images]
    assert [axis.images[0].get_array().max() for axis in shown] == [0, 1, 2, 3, 4, 5]
    assert _titles(figure) == [title for pair in titles for title in pair]
    # Two pairs in a row.
    rows = [axis.get_subplotspec().rowspan.start for axis in shown]
    assert rows == [0, 0, 0, 0, 1, 1]


def test_contact_sheet_reduces_large_photos_and_long_names():
    name = 'a' * 30 + 'b' * 30
    photo = np.random.default_rng(0).integers(0, 256, (600, 960, 3), np.uint8)
    figure = contact_sheet([[photo]], [[name]], 'all')
    (axis,) = figure.axes
    # Halved: means of 2 × 2 pixels.
    expected = photo.reshape(300, 2, 480, 2, 3).mean((1, 3))
    np.testing.assert_allclose(axis.images[0].get_array(), expected, atol=1)
    assert _titles(figure) == ['a' * 17 + '…' + 'b' * 17]


def test_contact_sheet_takes_names_literally(tmp_path):
    # As formulas, these would be refused.
    name = r'$\frac$'
    photo = np.zeros((8, 8, 3), np.uint8)
    figure = contact_sheet([[photo]], [[name]], name)
    figure.savefig(tmp_path / 'sheet.png')
    assert _titles(figure) == [name]


def test_contact_sheet_of_nothing():
    with pytest.raises(ValueError, match='pairs must not be empty'):
        contact_sheet([], [], 'none')
