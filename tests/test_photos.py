import io
import re
import struct
import tracemalloc
import warnings
import zlib

import cv2
import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image

from mmagic_inik import photo_formats
from mmagic_inik.errors import InputError
from mmagic_inik.photos import EXTENSIONS, photo_size, read_photo

HEIGHT, WIDTH = 5, 7
# EXIF orientation → what a viewer does to the stored pixels.
TURNS = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: lambda x: np.rot90(x, 1),
}


def _pixels(dtype=np.uint8, shape=(HEIGHT, WIDTH, 3)):
    rng = np.random.default_rng(0)
    return rng.integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def _exif(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    return exif


def _png(pixels, color_type, orientation=None):
    """A 16-bit PNG by hand, for what no installed library writes."""

    def chunk(kind, data):
        check = struct.pack('>I', zlib.crc32(kind + data))
        return struct.pack('>I', len(data)) + kind + data + check

    head = struct.pack('>IIBBBBB', *pixels.shape[1::-1], 16, color_type, 0, 0, 0)
    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in pixels)
    exif = b''
    if orientation:
        exif = chunk(b'eXIf', _exif(orientation).tobytes().removeprefix(b'Exif\0\0'))
    return b''.join(
        [
            b'\x89PNG\r\n\x1a\n',
            chunk(b'IHDR', head),
            exif,
            chunk(b'IDAT', zlib.compress(rows)),
            chunk(b'IEND', b''),
        ]
    )


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('a.png', {}),
        ('a.bmp', {}),
        ('a.tif', {}),
        ('a.tiff', {'compression': 'tiff_lzw'}),
        ('a.webp', {'lossless': True}),
    ],
    ids=['png', 'bmp', 'tif', 'tiff-lzw', 'webp'],
)
def test_eight_bit_lossless(tmp_path, name, options):
    pixels = _pixels()
    Image.fromarray(pixels).save(tmp_path / name, **options)
    photo = read_photo(tmp_path / name)
    assert photo.dtype == np.uint8
    np.testing.assert_array_equal(photo, pixels)
    assert photo_size(tmp_path / name) == (WIDTH, HEIGHT)


@pytest.mark.parametrize('name', ['a.jpg', 'a.jpeg', 'a.jpe', 'a.jif', 'a.jfif', 'a'])
def test_jpeg(tmp_path, name):  # the last has no extension
    pixels = np.full((HEIGHT, WIDTH, 3), (200, 100, 50), np.uint8)
    Image.fromarray(pixels).save(tmp_path / name, 'JPEG', quality=100, subsampling=0)
    photo = read_photo(tmp_path / name)
    assert photo.dtype == np.uint8
    np.testing.assert_allclose(photo, pixels, atol=2)
    assert photo_size(tmp_path / name) == (WIDTH, HEIGHT)


def test_extensions_tested_are_those_accepted():
    assert set(EXTENSIONS) == {
        *('.png', '.bmp', '.tif', '.tiff', '.webp', '.jpg', '.jpeg'),
        *('.jpe', '.jif', '.jfif'),
        *photo_formats.EXTENSIONS,  # see test_photo_formats.py
    }


@pytest.mark.parametrize('channels', [1, 2, 3, 4], ids=['L', 'LA', 'RGB', 'RGBA'])
def test_sixteen_bit_png(tmp_path, channels):
    pixels = _pixels(np.uint16, (HEIGHT, WIDTH, channels))
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    (tmp_path / 'a.png').write_bytes(_png(pixels, color_type))
    color = pixels[..., :3] if channels >= 3 else pixels[..., [0, 0, 0]]
    photo = read_photo(tmp_path / 'a.png')
    assert photo.dtype == np.float32
    np.testing.assert_allclose(photo, color / 257, rtol=1e-6)
    assert photo_size(tmp_path / 'a.png') == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ('options', 'shape'),
    [
        ({'photometric': 'rgb'}, (HEIGHT, WIDTH, 3)),
        ({'photometric': 'rgb', 'byteorder': '>'}, (HEIGHT, WIDTH, 3)),
        ({'photometric': 'rgb', 'compression': 'zlib'}, (HEIGHT, WIDTH, 3)),
        ({'photometric': 'rgb', 'bigtiff': True}, (HEIGHT, WIDTH, 3)),
        ({'photometric': 'rgb', 'extrasamples': ['unassalpha']}, (HEIGHT, WIDTH, 4)),
        ({'photometric': 'minisblack'}, (HEIGHT, WIDTH)),
    ],
    ids=['little', 'big', 'zlib', 'bigtiff', 'rgba', 'grey'],
)
def test_sixteen_bit_tiff(tmp_path, options, shape):
    pixels = _pixels(np.uint16, shape)
    tifffile.imwrite(tmp_path / 'a.tif', pixels, **options)
    color = pixels[..., :3] if pixels.ndim == 3 else pixels[..., None].repeat(3, 2)
    photo = read_photo(tmp_path / 'a.tif')
    assert photo.dtype == np.float32
    np.testing.assert_allclose(photo, color / 257, rtol=1e-6)
    assert photo_size(tmp_path / 'a.tif') == (WIDTH, HEIGHT)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_colours_multiplied_by_transparency_are_not_dark(tmp_path, dtype):
    most = np.iinfo(dtype).max
    color = _pixels(dtype)
    alpha = np.full((HEIGHT, WIDTH, 1), most, dtype)
    alpha[2:4] = most // 2
    alpha[0, 0] = 0
    stored = np.rint(color * (alpha / most)).astype(dtype)
    pixels = np.concatenate([stored, alpha], 2)
    options = dict(photometric='rgb', extrasamples=['assocalpha'])
    tifffile.imwrite(tmp_path / 'a.tif', pixels, **options)
    photo = read_photo(tmp_path / 'a.tif').astype(float)
    opaque = alpha[..., 0] > 0
    # Half of the steps are left where it is half transparent.
    expected = color[opaque] / (most / 255)
    np.testing.assert_allclose(photo[opaque], expected, atol=1.6 * 255 / most)
    assert (photo[~opaque] == 0).all()


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('compression', [None, 'zlib'])
def test_planar_tiff_is_not_scrambled(tmp_path, dtype, compression):
    pixels = _pixels(dtype)
    path = tmp_path / 'a.tif'
    options = dict(photometric='rgb', planarconfig='separate', compression=compression)
    tifffile.imwrite(path, np.moveaxis(pixels, 2, 0), **options)
    scale = 257 if dtype == np.uint16 else 1
    np.testing.assert_allclose(read_photo(path), pixels / scale, rtol=1e-6)


@pytest.mark.parametrize('compression', ['jpeg', 'group4', 'packbits', 'tiff_lzw'])
def test_compressed_eight_bit_tiff(tmp_path, compression):
    image = Image.fromarray(np.full((16, 24, 3), 200, np.uint8))
    image = image.convert('1') if compression == 'group4' else image
    image.save(tmp_path / 'a.tif', compression=compression)
    photo = read_photo(tmp_path / 'a.tif')
    np.testing.assert_allclose(photo, np.asarray(image.convert('RGB')), atol=2)


@pytest.mark.parametrize('planar', ['contig', 'separate'])
@pytest.mark.parametrize('compression', [None, 'zlib'])
@pytest.mark.parametrize('dtype', [np.float16, np.float32])
def test_float_tiff(tmp_path, dtype, compression, planar):
    pixels = (_pixels() / 200 - 0.1).astype(dtype)  # beyond [0, 1] on both sides
    stored = np.moveaxis(pixels, 2, 0) if planar == 'separate' else pixels
    path = tmp_path / 'a.tif'
    options = dict(photometric='rgb', planarconfig=planar, compression=compression)
    tifffile.imwrite(path, stored, **options)
    photo = read_photo(path)
    assert photo.dtype == np.float32
    expected = np.clip(pixels.astype(np.float64), 0, 1) * 255
    np.testing.assert_allclose(photo, expected, rtol=1e-6)
    assert photo_size(path) == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ('pixels', 'why'),
    [
        (np.full((5, 7, 3), 200, np.float32), 'go up to 200, where white must be 1'),
        (np.full((5, 7, 3), np.nan, np.float32), 'some of its numbers are not finite'),
        (np.ones((5, 7, 3)), 'nor float16 or float32'),
    ],
    ids=['to 255', 'nan', 'float64'],
)
def test_float_tiff_that_is_refused(tmp_path, pixels, why):
    tifffile.imwrite(tmp_path / 'a.tif', pixels, photometric='rgb')
    with pytest.raises(InputError, match=why):
        read_photo(tmp_path / 'a.tif')


@pytest.mark.parametrize('first', [True, False], ids=['photo first', 'thumbnail first'])
@pytest.mark.parametrize('flagged', [True, False], ids=['flagged', 'small'])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
def test_the_photo_beside_its_thumbnail(tmp_path, dtype, flagged, first):
    pixels = _pixels(np.uint8).astype(dtype)
    pixels = pixels / np.float32(255) if dtype == np.float32 else pixels
    small = pixels[:2, :3]
    path = tmp_path / 'a.tif'
    with tifffile.TiffWriter(path) as file:
        for page in (pixels, small) if first else (small, pixels):
            reduced = int(flagged and page is small)
            file.write(page, photometric='rgb', subfiletype=reduced, metadata=None)
    scale = {np.uint8: 1, np.uint16: 1 / 257, np.float32: 255}[dtype]
    np.testing.assert_allclose(read_photo(path), pixels * scale, rtol=1e-6)
    assert photo_size(path) == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ('photometric', 'shape'),
    [('miniswhite', (HEIGHT, WIDTH)), ('separated', (HEIGHT, WIDTH, 4))],
    ids=['negative', 'cmyk'],
)
def test_sixteen_bit_tiff_of_other_colours_is_refused(tmp_path, photometric, shape):
    # OpenCV would return a negative, or inks for colours.
    pixels = _pixels(np.uint16, shape)
    tifffile.imwrite(tmp_path / 'a.tif', pixels, photometric=photometric)
    with pytest.raises(InputError, match=r'a\.tif .*neither RGB nor grey'):
        read_photo(tmp_path / 'a.tif')


@pytest.mark.parametrize('extension', ['.png', '.jpg', '.bmp', '.tif', '.webp'])
def test_grey_becomes_rgb(tmp_path, extension):
    grey = np.full((HEIGHT, WIDTH), 77, np.uint8)
    path = tmp_path / f'a{extension}'
    Image.fromarray(grey).save(path)
    np.testing.assert_array_equal(read_photo(path), np.full((HEIGHT, WIDTH, 3), 77))


@pytest.mark.parametrize('extension', ['.png', '.tif', '.webp'])
def test_transparency_is_dropped_not_blended(tmp_path, extension):
    pixels = _pixels()
    alpha = np.full((HEIGHT, WIDTH, 1), 3, np.uint8)
    path = tmp_path / f'a{extension}'
    options = {'lossless': True, 'exact': True} if extension == '.webp' else {}
    Image.fromarray(np.dstack([pixels, alpha])).save(path, **options)
    np.testing.assert_array_equal(read_photo(path), pixels)


@pytest.mark.parametrize('extension', ['.png', '.bmp', '.tif'])
def test_palette(tmp_path, extension):
    colors = np.array([[250, 0, 0], [0, 130, 0], [10, 20, 240]], np.uint8)
    index = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH) % 3
    image = Image.fromarray(index, 'L').convert('P')
    image.putpalette(colors.tobytes())
    image.putdata(index.ravel().tolist())
    image.save(tmp_path / f'a{extension}')
    photo = read_photo(tmp_path / f'a{extension}')
    np.testing.assert_array_equal(photo, colors[index])


def test_palette_with_transparent_color(tmp_path):
    image = Image.new('P', (2, 1))
    image.putpalette([9, 8, 7, 60, 50, 40])
    image.putdata([0, 1])
    image.save(tmp_path / 'a.png', transparency=0)
    np.testing.assert_array_equal(
        read_photo(tmp_path / 'a.png'), [[[9, 8, 7], [60, 50, 40]]]
    )


def test_cmyk_jpeg(tmp_path):
    image = Image.new('CMYK', (WIDTH, HEIGHT), (0, 255, 255, 0))
    image.save(tmp_path / 'a.jpg', quality=100)
    red = np.full((HEIGHT, WIDTH, 3), (255, 0, 0))
    np.testing.assert_allclose(read_photo(tmp_path / 'a.jpg'), red, atol=2)
    assert photo_size(tmp_path / 'a.jpg') == (WIDTH, HEIGHT)


@pytest.mark.parametrize('orientation', TURNS)
@pytest.mark.parametrize('kind', ['png8', 'png16', 'tiff8', 'tiff16'])
def test_exif_orientation(tmp_path, kind, orientation):
    pixels = _pixels(np.uint16 if kind.endswith('16') else np.uint8)
    path = tmp_path / ('a.png' if kind.startswith('png') else 'a.tif')
    if kind == 'png16':
        path.write_bytes(_png(pixels, 2, orientation))
    elif kind == 'tiff16':
        tag = [(274, 'H', 1, orientation, True)]
        tifffile.imwrite(path, pixels, photometric='rgb', extratags=tag)
    else:
        Image.fromarray(pixels).save(path, exif=_exif(orientation))
    expected = TURNS[orientation](pixels / (257 if kind.endswith('16') else 1))
    photo = read_photo(path)
    assert photo.shape == expected.shape
    np.testing.assert_allclose(photo, expected, rtol=1e-6)
    assert photo_size(path) == expected.shape[1::-1]


def test_exif_orientation_of_jpeg(tmp_path):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, :16] = 255
    Image.fromarray(pixels).save(tmp_path / 'a.jpg', exif=_exif(6))
    np.testing.assert_allclose(
        read_photo(tmp_path / 'a.jpg'), np.rot90(pixels, -1), atol=2
    )
    assert photo_size(tmp_path / 'a.jpg') == (16, 32)


@pytest.mark.parametrize(
    'name', ['IMG.PNG', 'two words.Png', 'Fenêtre à Kyōto 窓.png', "it's; #1 %20.png"]
)
@pytest.mark.parametrize('depth', [8, 16])
def test_names(tmp_path, name, depth):
    pixels = _pixels(np.uint8 if depth == 8 else np.uint16)
    done, data = cv2.imencode('.png', pixels[..., ::-1])
    assert done
    (tmp_path / name).write_bytes(data.tobytes())
    expected = pixels / (1 if depth == 8 else 257)
    for path in (tmp_path / name, str(tmp_path / name)):
        np.testing.assert_allclose(read_photo(path), expected, rtol=1e-6)
        assert photo_size(path) == (WIDTH, HEIGHT)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('extension', ['.png', '.tif'])
def test_one_pixel(tmp_path, extension, dtype):
    pixels = np.array([[[1, 100, 200]]], dtype)
    tifffile.imwrite(tmp_path / 'a.tif', pixels, photometric='rgb')
    cv2.imwrite(str(tmp_path / 'a.png'), pixels[..., ::-1])
    path = tmp_path / f'a{extension}'
    expected = pixels / (257 if dtype == np.uint16 else 1)
    np.testing.assert_allclose(read_photo(path), expected, rtol=1e-6)
    assert photo_size(path) == (1, 1)


@pytest.mark.parametrize('name', ['a.png', 'a.jpg', 'a.tif', 'deep.png', 'grey.png'])
def test_result_is_writable(tmp_path, name):
    pixels = _pixels(np.uint16 if name == 'deep.png' else np.uint8)
    if name == 'grey.png':
        pixels = pixels[..., 0]
    cv2.imwrite(str(tmp_path / name), pixels)
    photo = read_photo(tmp_path / name)
    photo[0, 0] = (1, 2, 3)
    assert photo[0, 0].tolist() == [1, 2, 3]
    assert photo.flags.c_contiguous


def _valid(kind):
    """Bytes of a 60×40 photograph of noise."""
    extension, depth = kind.split('-')
    pixels = _pixels(np.uint16 if depth == '16' else np.uint8, (40, 60, 3))
    done, data = cv2.imencode(f'.{extension}', pixels)
    assert done
    return data.tobytes()


@pytest.mark.parametrize('share', [0.001, 0.01, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(
    'kind', ['png-8', 'png-16', 'jpg-8', 'tif-8', 'tif-16', 'bmp-8', 'webp-8']
)
def test_cut_off_file_is_not_read(tmp_path, kind, share):
    data = _valid(kind)
    path = tmp_path / f'cut off.{kind.split("-")[0]}'
    path.write_bytes(data)
    assert read_photo(path).shape == (40, 60, 3)
    path.write_bytes(data[: int(share * len(data))])
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # Pillow's about what it misses
        with pytest.raises(InputError, match=re.escape(f'{path} cannot be read')):
            read_photo(path)


@pytest.mark.parametrize('missing', [1, 4, 8, 12, 13, 100])
@pytest.mark.parametrize('kind', ['png-8', 'png-16'])
def test_end_of_png_is_checked_without_decoding(tmp_path, kind, missing):
    path = tmp_path / 'cut.png'
    path.write_bytes(_valid(kind)[:-missing])
    with pytest.raises(InputError, match=r'cut\.png .*the end of the file is missing'):
        photo_size(path)


@pytest.mark.parametrize('missing', [2, 100, 1000])
def test_cut_off_jpeg_shows_in_its_size(tmp_path, missing):
    path = tmp_path / 'cut.jpg'
    path.write_bytes(_valid('jpg-8')[:-missing])
    with pytest.raises(InputError, match=r'cut\.jpg cannot be read as a photograph'):
        photo_size(path)


@pytest.mark.parametrize('kind', ['png-8', 'png-16', 'jpg-8'])
@pytest.mark.parametrize('behind', [b'\n', b'\0' * 16], ids=['newline', 'zeros'])
def test_bytes_behind_the_end_are_ignored(tmp_path, kind, behind):
    path = tmp_path / f'a.{kind.split("-")[0]}'
    path.write_bytes(_valid(kind) + behind)
    assert read_photo(path).shape == (40, 60, 3)
    assert photo_size(path) == (60, 40)


@pytest.mark.parametrize('kind', ['png-8', 'png-16'])
def test_damage_inside_a_png_is_not_read(tmp_path, kind):
    data = bytearray(_valid(kind))
    data[len(data) // 2] ^= 0xFF
    path = tmp_path / 'bad.png'
    path.write_bytes(data)
    with pytest.raises(InputError, match=r'bad\.png cannot be read as a photograph'):
        read_photo(path)


@pytest.mark.parametrize('look', [read_photo, photo_size])
@pytest.mark.parametrize(
    ('content', 'why'),
    [
        (b'', 'its content is no known image format'),
        (b'hello\n', 'its content is no known image format'),
        (b'\x89PNG\r\n\x1a\n', 'cannot be read'),
        (b'II*\x00', 'cannot be read'),
        (b'\xff\xd8\xff', 'cannot be read'),
    ],
    ids=['empty', 'text', 'png-signature', 'tiff-signature', 'jpeg-signature'],
)
def test_no_photograph(tmp_path, look, content, why):
    path = tmp_path / 'no photo.png'
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # Pillow's about what it misses
        with pytest.raises(InputError, match=rf'no photo\.png .*{why}'):
            look(path)


@pytest.mark.parametrize('look', [read_photo, photo_size])
@pytest.mark.parametrize(
    ('name', 'why'),
    [('absent.png', 'No such file or directory'), ('folder.png', 'Is a directory')],
    ids=['absent', 'folder'],
)
def test_no_file(tmp_path, look, name, why):
    (tmp_path / 'folder.png').mkdir()
    path = tmp_path / name
    with pytest.raises(InputError, match=why) as caught:
        look(path)
    assert str(caught.value).count(str(path)) == 1


def _real_photo():
    """A detail with structure at all scales, (72, 96, 3)."""
    return np.ascontiguousarray(skimage.data.astronaut()[100:172, 200:296])


def _stored(kind):
    """Bytes of a photograph as one of many kinds, and its pixels in RGB [0, 255]."""
    pixels = _real_photo()
    extension, _, variant = kind.partition('-')
    if variant == '16':
        deep = pixels.astype(np.uint16) * 257
        done, data = cv2.imencode(f'.{extension}', deep[..., ::-1])
        assert done
        return data.tobytes(), pixels
    image, options = Image.fromarray(pixels), {}
    if variant == 'grey16':
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
        pixels = pixels[..., [0, 0, 0]]
    elif variant == 'grey':
        image = image.convert('L')
    elif variant == 'palette':
        image = image.quantize(200)
    elif variant == 'rgba':
        image.putalpha(100)
    elif variant == 'cmyk':
        image = image.convert('CMYK')
    elif variant == 'lossless':
        options = dict(lossless=True)
    elif variant == 'progressive':
        options = dict(progressive=True, quality=90)
    elif variant in ('tiff_lzw', 'tiff_deflate'):
        options = dict(compression=variant)
    file = io.BytesIO()
    image.save(file, Image.registered_extensions()[f'.{extension}'], **options)
    if variant in ('grey', 'palette'):
        pixels = np.asarray(image.convert('RGB'))
    return file.getvalue(), pixels


KINDS = {
    # Kind → greatest mean error of what the coding itself loses.
    **dict.fromkeys(['png', 'png-16', 'png-grey', 'png-grey16', 'png-palette'], 0),
    **dict.fromkeys(['png-rgba', 'tif', 'tif-16', 'tif-tiff_lzw'], 0),
    **dict.fromkeys(['tif-tiff_deflate', 'bmp', 'bmp-grey', 'webp-lossless'], 0),
    **dict.fromkeys(['jpg', 'jpg-progressive', 'jpg-grey', 'jpg-cmyk', 'webp'], 6),
}
# The others hold no checksum over everything, so that a flip may go unseen.
TELLS_EVERY_FLIP = [kind for kind in KINDS if kind.startswith('png')]


@pytest.mark.parametrize('name', ['a{}', 'wrong.{}'], ids=['right', 'wrong-extension'])
@pytest.mark.parametrize('kind', KINDS)
def test_undamaged_kinds_keep_their_pixels(tmp_path, kind, name):
    data, pixels = _stored(kind)
    extension = f'.{kind.split("-")[0]}' if name == 'a{}' else 'png'
    path = tmp_path / name.format(extension)
    path.write_bytes(data)
    photo = read_photo(path)
    assert photo.shape == pixels.shape
    error = np.abs(photo.astype(float) - pixels)
    assert error.mean() <= KINDS[kind]
    assert photo_size(path) == pixels.shape[1::-1]


def _load(path, data):
    """What is read from mutilated data; None if it was refused as it should be."""
    path.write_bytes(data)
    refusal = None
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # Pillow's about what it misses
        try:
            photo = read_photo(path)
        except InputError as error:
            refusal = str(error)
    if refusal is not None:
        assert str(path) in refusal
        assert '\n' not in refusal
        return None
    assert photo.ndim == 3
    assert photo.shape[2] == 3
    assert np.isfinite(photo).all()
    return photo


@pytest.mark.parametrize('kind', KINDS)
def test_cut_off_anywhere_is_refused_or_complete(tmp_path, kind):
    data, _ = _stored(kind)
    whole = _load(tmp_path / 'whole', data)
    random = np.random.default_rng(0)
    read = 0
    for length in [*range(0, 40), *random.integers(40, len(data), 20)]:
        photo = _load(tmp_path / 'cut', data[:length])
        if photo is not None:
            # What is missing was not of the picture.
            np.testing.assert_array_equal(photo, whole)
            read += 1
    # Nearly all cuts take a part of the picture away.
    assert read <= 2


@pytest.mark.parametrize('kind', KINDS)
def test_flipped_bits_are_refused_or_read_in_bounded_memory(tmp_path, kind):
    data, _ = _stored(kind)
    whole = _load(tmp_path / 'whole', data)
    random = np.random.default_rng(0)
    tracemalloc.start()
    try:
        for n in range(40):
            flipped = bytearray(data)
            # Half of them in the header, where sizes stand.
            at = random.integers(len(data) if n % 2 else min(100, len(data)))
            flipped[at] ^= 1 << random.integers(8)
            photo = _load(tmp_path / 'flipped', flipped)
            if kind in TELLS_EVERY_FLIP and photo is not None:
                np.testing.assert_array_equal(photo, whole)
        assert tracemalloc.get_traced_memory()[1] < 1 << 30
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize('kind', TELLS_EVERY_FLIP)
def test_flips_near_the_end_of_a_png_are_refused(tmp_path, kind):
    # Pillow stops at the last pixel, before the checksums.
    data, _ = _stored(kind)
    for at in range(len(data) - 400, len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 1 << (at % 8)
        assert _load(tmp_path / 'a.png', flipped) is None


@pytest.mark.parametrize('kind', ['jpg', 'jpg-progressive', 'jpg-grey', 'jpg-cmyk'])
def test_jpeg_with_a_part_lost_is_refused(tmp_path, kind):
    # libjpeg would fill up with grey and say nothing.
    data, _ = _stored(kind)
    begin = data.index(b'\xff\xda')
    for at in range(begin + 100, len(data) - 400, 37):
        assert _load(tmp_path / 'a.jpg', data[:at] + b'\xff\xd9') is None
        photo = _load(tmp_path / 'b.jpg', data[:at] + data[at + 256 :])
        assert photo is None or kind == 'jpg-progressive'


def test_jpeg_that_ffmpeg_does_not_know_is_read(tmp_path):
    pixels = _real_photo()
    image = Image.fromarray(pixels).convert('CMYK')
    image.save(tmp_path / 'a.jpg', quality=95, subsampling=1)
    assert np.abs(read_photo(tmp_path / 'a.jpg').astype(float) - pixels).mean() < 6


@pytest.mark.parametrize('kind', ['png', 'png-16', 'bmp', 'jpg', 'tif-16'])
def test_claim_of_a_billion_pixels_is_one_clear_error(tmp_path, kind):
    data = bytearray(_stored(kind)[0])
    if kind.startswith('png'):
        data[16:24] = struct.pack('>II', 40000, 40000)
        data[29:33] = struct.pack('>I', zlib.crc32(data[12:29]))
    elif kind == 'bmp':
        data[18:26] = struct.pack('<ii', 40000, 40000)
    elif kind == 'jpg':
        at = data.index(b'\xff\xc0')
        data[at + 5 : at + 9] = struct.pack('>HH', 40000, 40000)
    else:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            tags = [file.pages[0].tags[name] for name in ('ImageWidth', 'ImageLength')]
        for tag in tags:
            data[tag.valueoffset : tag.valueoffset + 2] = struct.pack('<H', 40000)
    path = tmp_path / 'bomb'
    path.write_bytes(data)
    with pytest.raises(InputError, match='more (pixels )?than a photograph has'):
        read_photo(path)


def test_deep_tiff_with_its_directory_in_front_is_checked_for_its_end(tmp_path):
    pixels = _pixels(np.uint16, (40, 60, 3))
    path = tmp_path / 'cut.tif'
    tifffile.imwrite(path, pixels, photometric='rgb')
    whole = path.read_bytes()
    path.write_bytes(whole[:-2000])
    with pytest.raises(InputError, match='the end of the file is missing'):
        read_photo(path)


@pytest.mark.parametrize('dtype', [np.int16, np.float64, np.uint32])
def test_other_numbers_than_unsigned_are_refused(tmp_path, dtype):
    path = tmp_path / 'a.tif'
    tifffile.imwrite(path, _pixels(np.uint8).astype(dtype), photometric='rgb')
    with pytest.raises(InputError, match='no 8- or 16-bit image data'):
        read_photo(path)


def test_postscript_is_not_run(tmp_path):
    path = tmp_path / 'a.png'
    Image.fromarray(_pixels()).save(path, 'EPS')
    with pytest.raises(InputError, match='its content is no known image format'):
        read_photo(path)
