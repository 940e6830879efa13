"""The tool that draws what a network predicts."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmagic.apis import init_model
from mmagic.registry import MODELS
from mmengine.config import Config
from PIL import Image

from mmagic_inik.engine import load_checkpoint_file
from mmagic_inik.errors import InputError
from mmagic_inik.visualization.predictions import check_places, find_photos

ROOT = Path(__file__).parents[1]
TINY = str(ROOT / 'configs' / 'iniknet_demo.py')
sys.path.insert(0, str(ROOT / 'tools'))
import visualize  # noqa: E402


@pytest.fixture
def folder(tmp_path):
    """Two photos, one a grey of odd sides, and a checkpoint of the tiny network."""
    photos = tmp_path / 'photos'
    photos.mkdir()
    random = np.random.default_rng(0)
    for name, shape in (('a.png', (37, 52, 3)), ('b.jpg', (33, 31))):
        noise = random.integers(0, 256, shape, np.uint8)
        Image.fromarray(noise).save(photos / name)
    return photos


@pytest.fixture
def draw(tmp_path, capsys):
    def run(photos, *options, config=TINY):
        """Pictures by name, what was printed, and the sentence of a failure."""
        file = tmp_path / 'weights.pth'
        torch.manual_seed(0)
        model = MODELS.build(Config.fromfile(config).model)
        torch.save(model.state_dict(), file)
        arguments = [*photos, '--config', config, '--checkpoint', file]
        arguments += ['--out', tmp_path / 'out', '--device', 'cpu', *options]
        failure = None
        try:
            visualize.main(list(map(str, arguments)))
        except SystemExit as stop:
            failure = stop.code
        pictures = {p.name: p for p in (tmp_path / 'out').glob('*')}
        return pictures, capsys.readouterr().out, failure

    return run


@pytest.mark.long
def test_tool_draws_every_photo_of_a_folder(folder, draw):
    pictures, _, failure = draw([folder], '--at', '3,4', '--max-side', '20')
    assert failure is None
    kinds = ('restored', 'size', 'mu', 'omega', 'kernels')
    expected = {f'{name}_{kind}.png' for name in 'ab' for kind in kinds}
    assert set(pictures) == expected | {'atoms.png', 'atoms_fourier.png'}
    for path in pictures.values():
        with Image.open(path) as image:
            assert np.asarray(image).std() > 0
    # The restored photo is whole, whatever is drawn.
    with Image.open(pictures['a_restored.png']) as image:
        assert image.size == (52, 37)
    # A network that was just started changes little.
    restored = np.asarray(Image.open(pictures['a_restored.png']), float)
    photo = np.asarray(Image.open(folder / 'a.png'), float)
    assert 0 < np.abs(restored - photo).mean() < 0.1 * 255


@pytest.mark.long
def test_tool_restores_as_the_model_does(folder, draw, tmp_path):
    pictures, _, _ = draw([folder / 'a.png'])
    model = init_model(TINY, None, 'cpu')
    model.load_state_dict(load_checkpoint_file(str(tmp_path / 'weights.pth')))
    photo = np.asarray(Image.open(folder / 'a.png'))
    with torch.no_grad():
        y = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None] / 255
        expected = model(y)[0].clamp(0, 1).permute(1, 2, 0).numpy() * 255
    restored = np.asarray(Image.open(pictures['a_restored.png']))
    assert np.abs(restored - expected).max() <= 0.5 + 1e-3


def test_tool_says_when_a_network_predicts_no_weights(folder, draw, tmp_path):
    config = tmp_path / 'no_head.py'
    config.write_text(
        f'_base_ = {TINY!r}\n'
        "model = dict(generator=dict(_delete_=True, type='UNet', base_channels=3,"
        ' num_res_blocks=1))\n'
    )
    pictures, printed, failure = draw([folder / 'a.png'], config=str(config))
    assert failure is None
    assert set(pictures) == {'a_restored.png'}
    assert 'UNet of' in printed
    assert 'no head that predicts weights' in printed


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (['--at', '52,0'], r'--at 52,0 lies outside of .*a.png, which is 52x37'),
        (['--at', '1;2'], r'--at 1;2 is no pixel; write x,y'),
        (['--max-side', '0'], '--max-side must be positive, got 0'),
        (['--device', 'abacus'], '--device abacus cannot be used'),
        (['--checkpoint', 'nowhere.pth'], 'nowhere.pth does not exist'),
        (['--config', 'nowhere.py'], 'config nowhere.py does not exist'),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else '',
)
def test_tool_names_what_is_wrong(folder, draw, options, sentence):
    _, _, failure = draw([folder / 'a.png'], *options)
    assert failure.startswith('visualize: ')
    assert '\n' not in failure
    assert re.search(sentence, failure)


def test_photos_by_the_name_of_their_pictures(folder):
    for name in ('c10.tif', 'c9.tif'):
        (folder / name).touch()
    # Other systems' hidden files bear names of photos.
    for name in ('._a.png', 'notes.txt'):
        (folder / name).write_bytes(b'Mac OS X')
    assert list(find_photos([folder])) == ['a', 'b', 'c9', 'c10']
    given = find_photos([folder / 'b.jpg', folder])
    assert list(given) == ['b', 'a', 'c9', 'c10']
    (folder / 'a.bmp').touch()
    with pytest.raises(InputError, match=r'a.bmp and .*a.png .* into two folders'):
        find_photos([folder])


def test_places_lie_within_the_photo(folder):
    check_places([(0, 0), (51, 36)], folder / 'a.png')
    with pytest.raises(InputError, match='x may be 0 to 51 and y 0 to 36'):
        check_places([(0, 0), (0, 37)], folder / 'a.png')


def test_no_photo_is_refused(tmp_path):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(InputError, match='empty holds no photo; name one'):
        find_photos([tmp_path / 'empty'])
    with pytest.raises(InputError, match='none.png does not exist; name a photo'):
        find_photos([tmp_path / 'none.png'])
