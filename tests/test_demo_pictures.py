"""The demo's pictures of small photos; `make demo` runs all of it."""

import numpy as np
import pytest
import torch
from mmagic.registry import MODELS
from mmengine.config import Config
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from mmagic_inik.command import CONFIGS
from mmagic_inik.visualization import demo


@pytest.fixture
def pairs(tmp_path):
    """Two pairs of 100 × 112 pixels."""
    random = np.random.default_rng(0)
    for name in 'ab':
        for kind in ('input', 'target'):
            (tmp_path / 'pairs' / kind).mkdir(parents=True, exist_ok=True)
            noise = random.integers(0, 256, (100, 112, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / 'pairs' / kind / f'{name}.png')
    return tmp_path / 'pairs'


def test_what_the_input_is_worth(pairs):
    expected = {
        path.name: peak_signal_noise_ratio(
            np.asarray(Image.open(pairs / 'target' / path.name)),
            np.asarray(Image.open(path)),
        )
        for path in (pairs / 'input').iterdir()
    }
    assert demo.input_psnr(pairs) == pytest.approx(expected, abs=1e-4)


def test_every_test_photo_and_the_atoms_are_drawn(pairs, tmp_path):
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(CONFIGS / 'iniknet_demo.py').model).eval()
    demo.draw_test_photos(model, pairs, tmp_path / 'out')
    kinds = ('restored', 'mu', 'omega')
    expected = {f'{name}_{kind}.png' for name in 'ab' for kind in kinds}
    pictures = {path.name: path for path in (tmp_path / 'out').iterdir()}
    assert set(pictures) == expected | {'atoms.png'}
    for path in pictures.values():
        with Image.open(path) as image:
            assert np.asarray(image).std() > 0


def test_a_real_photo_is_drawn(tmp_path, monkeypatch):
    photo = demo.data.chelsea()[:100, :120]
    monkeypatch.setattr(demo.data, 'chelsea', lambda: photo)
    path = demo.draw_real_photo(tmp_path / 'new')
    assert path == tmp_path / 'new' / 'real_photo.png'
    with Image.open(path) as image:
        assert np.asarray(image).std() > 0
