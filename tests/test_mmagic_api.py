"""MMagicInferencer, once this package is imported."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from mmagic.apis import MMagicInferencer
from mmagic.apis.inferencers import ImageSuperResolutionInferencer, Inferencers
from mmengine.config import Config
from PIL import Image
from skimage import data

from mmagic_inik.errors import InputError
from mmagic_inik.inferencer import PhotoInferencer
from mmagic_inik.options import NETWORKS
from mmagic_inik.restoration import (
    encode_photo,
    load_restorer,
    make_plan,
    open_photo,
    restore,
    restore_all,
)
from mmagic_inik.restoration.shipped import WEIGHTS, weights_of

CONFIG = str(Path(__file__).parents[1] / 'configs' / f'{WEIGHTS.stem}.py')


@pytest.fixture(scope='module')
def named():
    return MMagicInferencer('iniknet', device='cpu')


@pytest.fixture(scope='module')
def restorer():
    return load_restorer()


@pytest.fixture(scope='module')
def cat():
    return data.chelsea()[100:140, 100:152]


@pytest.fixture
def photos(tmp_path, cat):
    """8 bits with metadata, 16 bits in colour, 16 bits grey."""
    exif = Image.Exif()
    exif[0x010E] = 'a cat'
    Image.fromarray(cat).save(tmp_path / 'a.jpg', exif=exif, quality=93)
    deep = open_photo(tmp_path / 'a.jpg')
    deep.kind, deep.options = 'PNG', {}
    pixels = cat.astype(np.uint16) * 257 + 100
    Image.fromarray(cat).save(tmp_path / 'b.png')
    deep.path = tmp_path / 'b.png'
    (tmp_path / 'b.png').write_bytes(encode_photo(deep, pixels))
    Image.fromarray(pixels[..., 0]).save(tmp_path / 'c.tif')
    return [tmp_path / name for name in ('a.jpg', 'b.png', 'c.tif')]


def test_a_photo_becomes_what_the_tool_makes_of_it(named, restorer, photos, tmp_path):
    expected = make_plan(photos, tmp_path / 'tool', False).jobs
    assert restore_all(expected, restorer, 'auto', 64, 'auto') == len(photos)
    for photo, job in zip(photos, expected, strict=True):
        target = tmp_path / 'api' / photo.name
        result, pixels = named.infer(img=str(photo), result_out_dir=str(target))
        opened = open_photo(photo).pixels
        np.testing.assert_array_equal(pixels, restore(opened, restorer))
        assert pixels.dtype == opened.dtype
        assert np.abs(pixels.astype(float) - opened).mean() > 0
        assert target.read_bytes() == job.target.read_bytes()
        sample = result['infer_results']
        np.testing.assert_array_equal(
            sample.output.pred_img, np.atleast_3d(pixels).transpose(2, 0, 1)
        )
        assert (sample.img_path, sample.result_path) == (str(photo), str(target))
    assert open_photo(tmp_path / 'api' / 'b.png').pixels.dtype == np.uint16
    with Image.open(tmp_path / 'api' / 'a.jpg') as image:
        assert image.getexif()[0x010E] == 'a cat'


@pytest.mark.parametrize(
    ('name', 'dtype'),
    [('r.png', 'uint8'), ('r.png', 'uint16'), ('r.tif', 'float32'), ('r.jpg', 'uint8')],
)
@pytest.mark.parametrize('grey', [False, True], ids=['color', 'grey'])
def test_an_array_comes_back_and_into_a_file(
    named, restorer, cat, tmp_path, name, dtype, grey
):
    array = (cat * {'uint8': 1, 'uint16': 257, 'float32': 1 / 255}[dtype]).astype(dtype)
    array = array[..., 0] if grey else array
    before = array.copy()
    result, pixels = named.infer(img=array, result_out_dir=str(tmp_path / name))
    np.testing.assert_array_equal(array, before)
    np.testing.assert_array_equal(pixels, restore(array, restorer))
    assert result['infer_results'].output.pred_img.dtype == getattr(torch, dtype)
    written = open_photo(tmp_path / name).pixels
    if name == 'r.jpg':
        assert np.abs(written.astype(float) - pixels).mean() < 4
    else:
        np.testing.assert_array_equal(written, pixels)


def test_a_list_goes_into_a_folder(named, restorer, photos, cat, tmp_path):
    images = [photos[1], cat, str(photos[0]), photos[1], np.float32(cat / 255)]
    results, arrays = named.infer(img=images, result_out_dir=str(tmp_path / 'out'))
    names = ['b.png', '00000001.png', 'a.jpg', 'b.png', '00000004.tif']
    paths = [result['infer_results'].result_path for result in results]
    assert paths == [str(tmp_path / 'out' / name) for name in names]
    for image, array, path in zip(images, arrays, paths, strict=True):
        given = image if isinstance(image, np.ndarray) else open_photo(image).pixels
        np.testing.assert_array_equal(array, restore(given, restorer))
        if not path.endswith('.jpg'):
            np.testing.assert_array_equal(open_photo(path).pixels, array)
    # Without a place nothing is written.
    before = sorted(tmp_path.rglob('*'))
    named.infer(img=photos)
    assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.parametrize('name', [None, 'iniknet'], ids=['without name', 'with name'])
def test_config_and_checkpoint_of_ones_own(named, cat, name):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        given = MMagicInferencer(
            name, model_config=CONFIG, model_ckpt=str(WEIGHTS), device='cpu'
        )
    # MMagic's own.
    told = [str(w.message) for w in caught if 'is overridden by' in str(w.message)]
    assert len(told) == (2 if name else 0)
    expected = named.infer(img=cat)[1]
    np.testing.assert_array_equal(given.infer(img=cat)[1], expected)


def test_a_config_that_was_read_stays_as_it_is(named, cat):
    config = Config.fromfile(CONFIG)
    inferencer = PhotoInferencer(config, str(WEIGHTS), 'cpu')
    assert config.pretty_text == Config.fromfile(CONFIG).pretty_text
    np.testing.assert_array_equal(inferencer(img=cat)[1], named.infer(img=cat)[1])


def test_tiles_and_types_are_extra_parameters(restorer):
    image = data.chelsea()[:160, :176]
    options = dict(tile=128, overlap=32, dtype='float32')
    inferencer = MMagicInferencer('iniknet', device='cpu', extra_parameters=options)
    pixels = inferencer.infer(img=image)[1]
    np.testing.assert_array_equal(pixels, restore(image, restorer, **options))
    options['overlap'] = 64
    pixels = inferencer.infer(img=image, extra_parameters=dict(overlap=64))[1]
    np.testing.assert_array_equal(pixels, restore(image, restorer, **options))
    # Every inferencer has its own.
    assert PhotoInferencer(CONFIG, str(WEIGHTS)).extra_parameters['tile'] == 'auto'


def test_names_and_settings_are_mmagics():
    assert MMagicInferencer.get_task_supported_models('Defocus Deblurring') == [
        'iniknet'
    ]
    assert 'iniknet' in MMagicInferencer.get_inference_supported_models()
    for network in NETWORKS:
        name = weights_of(network).stem
        chosen = MMagicInferencer('iniknet', config_name=name, device='cpu').inferencer
        assert isinstance(chosen.inferencer, PhotoInferencer)
        given = chosen.inferencer.model.state_dict()
        for key, tensor in load_restorer(network=network).state_dict().items():
            assert torch.equal(given[key], tensor)


def test_the_inferencers_of_mmagic_stay(tmp_path):
    others = tmp_path / 'other.py'
    others.write_text("model = dict(type='BaseEditModel')\n")
    for config in (None, str(others)):
        with pytest.raises(ValueError, match='Unknown inferencer task: None'):
            Inferencers(config=config, ckpt='x.pth')
    theirs = Inferencers('Image Restoration', CONFIG, str(WEIGHTS), 'cpu')
    assert type(theirs.inferencer) is ImageSuperResolutionInferencer


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        (dict(img=3), '^img is int; give the path of a photo, an array, or a list'),
        (dict(), '^img is NoneType; give'),
        (dict(img='{}'), 'is a folder; give a list of its photos, or run mmagic-inik'),
        (dict(img='{}/none.jpg'), 'none.jpg'),
        (dict(img='{}/a.jpg', video='v.mp4'), '^video cannot be given to a network'),
        (dict(img='{}/a.jpg', result_out_dir='{}'), 'which is a photo to restore'),
        (
            dict(img='{}/a.jpg', result_out_dir='{}/r.png'),
            'a.jpg stays what it is, and .*r.png would be of another .* name a .jpg',
        ),
        (dict(img='{}/a.jpg', extra_parameters=dict(tiles=8)), 'has tiles; it takes'),
        (dict(img=['{}/a.jpg', '{}/s/a.jpg'], result_out_dir='{}/o'), 'like .*a.jpg;'),
        (
            dict(img=['{}/a.jpg'] * 2, result_out_dir='{}/o.jpg'),
            'one file for 2 images',
        ),
        (
            dict(img=np.zeros((4, 4), np.float32), result_out_dir='{}/o.png'),
            'an array of float32 is not written as .png; name a .tif',
        ),
        (
            dict(
                img=['{}/00000001.png', np.zeros((4, 4), np.uint8)],
                result_out_dir='{}/o',
            ),
            'array 1 would become .*/o/00000001.png like .*/00000001.png; restore it',
        ),
    ],
)
def test_what_is_wrong_is_named(named, photos, tmp_path, given, said):
    (tmp_path / 's').mkdir()
    (tmp_path / 's' / 'a.jpg').write_bytes(photos[0].read_bytes())
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')}

    def place(value):
        if isinstance(value, list):
            return [place(each) for each in value]
        return value.format(tmp_path) if isinstance(value, str) else value

    with pytest.raises(InputError, match=said):
        named.infer(**{name: place(value) for name, value in given.items()})
    now = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')}
    assert now == before


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        (dict(model_config=CONFIG), 'a config is given, .*and no checkpoint'),
        (dict(model_name='iniknet', model_ckpt='none.pth'), 'none.pth does not exist'),
        (dict(model_name='iniknet', device='abacus'), '^device abacus cannot be used'),
    ],
)
@pytest.mark.filterwarnings('ignore:.*is overridden by')
def test_what_is_wrong_with_a_network_is_named(options, said):
    with pytest.raises(InputError, match=said):
        MMagicInferencer(**options)
