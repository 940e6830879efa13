"""57 kinds of files as people have them, and what must become of each."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tifffile
from PIL import Image

from mmagic_inik.errors import InputError
from mmagic_inik.photos import photo_size, read_photo
from mmagic_inik.restoration import encode_photo, make_plan, open_photo

HEIGHT, WIDTH = 32, 48
TAIL = b'film behind a still'


def picture(channels=3, dtype=np.uint8, seed=0):
    high = np.iinfo(dtype).max + 1
    colors = np.random.default_rng(seed).integers(0, high, (4, 6, channels), dtype)
    return np.kron(colors, np.ones((8, 8, 1), dtype)).squeeze()


def pillow(kind, mode='RGB', **options):
    """How Pillow saves a picture of some mode."""

    def make(path):
        for name, orientation in list(options.items()):
            if name == 'turned':
                tags = Image.Exif()
                tags[274] = orientation
                options.pop(name)
                options['exif'] = tags.tobytes()
        source = Image.fromarray(picture(4)) if mode == 'RGBA' else None
        image = source or Image.fromarray(picture())
        image = image if mode == image.mode else image.convert(mode)
        image.save(path, kind, **options)

    return make


def moving(kind):
    def make(path):
        frames = [Image.fromarray(picture(seed=n)) for n in range(3)]
        frames[0].save(path, kind, save_all=True, append_images=frames[1:])

    return make


def tiff(dtype=np.uint16, channels=3, scale=1, planar=False, **options):
    def make(path):
        pixels = picture(channels, np.uint16 if dtype == np.uint16 else np.uint8)
        pixels = pixels if dtype in (np.uint8, np.uint16) else pixels / 255 * scale
        pixels = pixels.astype(dtype)
        if planar:
            pixels = np.moveaxis(pixels, 2, 0)
        options.setdefault('photometric', 'rgb' if channels > 2 else 'minisblack')
        if channels in (2, 4):
            options['extrasamples'] = ['unassalpha']
        layout = {'planarconfig': 'separate'} if planar else {}
        tifffile.imwrite(path, pixels, **layout, **options)

    return make


def pages(*sizes, flag=0):
    """A TIFF of pages of these shares of the picture's sides."""

    def make(path):
        with tifffile.TiffWriter(path) as file:
            for share in sizes:
                page = picture()[: HEIGHT // share, : WIDTH // share]
                kind = flag if share > 1 else 0
                file.write(page, photometric='rgb', subfiletype=kind, metadata=None)

    return make


def changed(make, change):
    """A file whose bytes are changed afterwards."""

    def changed_make(path):
        make(path)
        path.write_bytes(change(path.read_bytes()))

    return changed_make


def content(data):
    return lambda path: path.write_bytes(data)


class Awkward(NamedTuple):
    """A file, and what must become of it.

    Attributes:
        name (str): Of the file.
        make (Callable): Writes it.
        refusal (str): Part of the sentence with which it is refused; else '', restored.
        remark (str): Part of what is said of it; else '', nothing.
        exact (bool): Whether pixels come out as they went in.
        turned (bool): Whether a viewer turns it by a quarter.
    """

    name: str
    make: Callable[[Path], object]
    refusal: str = ''
    remark: str = ''
    exact: bool = True
    turned: bool = False


JPEG = pillow('JPEG', quality=95, subsampling=0)
UNKNOWN = 'no known image format'
FILES = [
    Awkward('plain.jpg', JPEG, exact=False),
    Awkward('without extension', JPEG, exact=False),
    Awkward('a.jfif', JPEG, exact=False),
    Awkward('a.JPE', JPEG, exact=False),
    Awkward('a.jif', JPEG, exact=False),
    Awkward('jpeg called.png', JPEG, exact=False),
    Awkward('png called.jpg', pillow('PNG')),
    Awkward('webp called.jpeg', pillow('WEBP', lossless=True)),
    Awkward('tiff called.png', pillow('TIFF')),
    Awkward('Fenêtre à Kyōto 窓.png', pillow('PNG')),
    Awkward("it's; #1 %20 'and' \"that\".png", pillow('PNG')),
    Awkward('-rf.png', pillow('PNG')),
    Awkward('two.dots.in.name.png', pillow('PNG')),
    Awkward('x' * 200 + '.png', pillow('PNG')),
    Awkward('turned 6.jpg', pillow('JPEG', turned=6), exact=False, turned=True),
    Awkward('turned 8.png', pillow('PNG', turned=8), turned=True),
    Awkward('turned 5.tif', pillow('TIFF', turned=5), turned=True),
    Awkward('turned 7.webp', pillow('WEBP', lossless=True, turned=7), turned=True),
    Awkward('turned to nowhere.jpg', pillow('JPEG', turned=9), exact=False),
    Awkward('progressive.jpg', pillow('JPEG', progressive=True), exact=False),
    Awkward('grey.jpg', pillow('JPEG', 'L'), exact=False),
    Awkward('cmyk.jpg', pillow('JPEG', 'CMYK'), remark='its CMYK col', exact=False),
    Awkward('film behind.jpg', changed(JPEG, lambda d: d + TAIL * 999), exact=False),
    Awkward(
        'fill bytes.jpg',
        changed(JPEG, lambda d: d[:2] + b'\xff' * 9 + d[2:]),
        exact=False,
    ),
    Awkward('half.jpg', changed(JPEG, lambda d: d[: len(d) // 2]), 'cannot be read'),
    Awkward('no end.jpg', changed(JPEG, lambda d: d[:-40]), 'cannot be read'),
    Awkward(
        'half.png', changed(pillow('PNG'), lambda d: d[: len(d) // 2]), 'cannot be'
    ),
    Awkward('half.tif', changed(pillow('TIFF'), lambda d: d[:900]), 'cannot be read'),
    Awkward('empty.jpg', content(b''), UNKNOWN),
    Awkward('text.jpg', content(b'404 Not Found'), UNKNOWN),
    Awkward('page.png', content(b'<!DOCTYPE html><html></html>'), UNKNOWN),
    Awkward('zeros.tif', content(bytes(5000)), UNKNOWN),
    Awkward('postscript.png', pillow('EPS'), UNKNOWN),
    Awkward('palette.png', pillow('PNG', 'P'), remark='palette colours', exact=False),
    Awkward('black and white.png', pillow('PNG', '1'), remark='becomes grey'),
    Awkward('transparent.png', pillow('PNG', 'RGBA')),
    Awkward('grey and clear.png', pillow('PNG', 'LA')),
    Awkward('16 bits grey.png', pillow('PNG', 'I;16')),
    Awkward('moving.png', moving('PNG'), '3 moving pictures'),
    Awkward('moving.webp', moving('WEBP'), '3 moving pictures'),
    Awkward('moving.gif', moving('GIF'), UNKNOWN),
    Awkward('lossy.webp', pillow('WEBP'), remark='written with 95', exact=False),
    Awkward('16 bits.tif', tiff()),
    Awkward('16 bits, clear.tif', tiff(channels=4)),
    Awkward('big-endian.tif', tiff(byteorder='>')),
    Awkward('big.tif', tiff(bigtiff=True, compression='zlib')),
    Awkward('planes.tif', tiff(planar=True), remark='planes of colours become one'),
    Awkward('8 bits, planes.tif', tiff(np.uint8, planar=True)),
    Awkward('half.tiff', tiff(np.float16)),
    Awkward('float.tif', tiff(np.float32, compression='zlib')),
    Awkward('brighter than white.tif', tiff(np.float32, scale=1.2), remark='put back'),
    Awkward('float to 255.tif', tiff(np.float32, scale=255), 'white must be 1'),
    Awkward(
        'photo, thumbnail.tif', pages(1, 4, flag=1), remark='thumbnail is left out'
    ),
    Awkward('thumbnail, photo.tif', pages(8, 1), remark='its thumbnail is left out'),
    Awkward('scanned pages.tif', pages(1, 1, 1), '3 pages'),
    Awkward(
        'jpeg inside.tif',
        pillow('TIFF', compression='jpeg'),
        remark='jpeg becomes',
        exact=False,
    ),
    Awkward(
        'fax.tif', pillow('TIFF', '1', compression='group4'), remark='group4 becomes'
    ),
]


def test_there_are_57():
    assert len({file.name for file in FILES}) == len(FILES) == 57


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.name[:30])
def test_awkward_file(tmp_path, file):
    path = tmp_path / 'photos' / file.name
    path.parent.mkdir()
    file.make(path)
    if file.refusal:
        with pytest.raises(InputError, match=file.refusal) as caught:
            open_photo(path)
        assert str(path) in str(caught.value)
        assert '\n' not in str(caught.value)
        return
    before, data = read_photo(path), path.read_bytes()
    (job,) = make_plan([path], tmp_path / 'out', False).jobs
    assert job.target.name == file.name
    assert photo_size(path) == before.shape[1::-1]
    assert before.shape[:2] == ((WIDTH, HEIGHT) if file.turned else (HEIGHT, WIDTH))
    photo = open_photo(path)
    said = '; '.join(photo.remarks)
    assert file.remark in said if file.remark else said == ''
    assert photo.pixels.shape[:2] == before.shape[:2]
    written = encode_photo(photo, photo.pixels)
    assert path.read_bytes() == data
    path.write_bytes(written)
    after = read_photo(path)
    assert after.dtype == before.dtype
    assert after.shape == before.shape
    error = np.abs(after.astype(float) - before)
    assert error.max() <= 1e-3 if file.exact else error.mean() < 6


def test_a_folder_of_them_all_is_planned(tmp_path):
    for file in FILES:
        path = tmp_path / file.name
        file.make(path)
    plan = make_plan([tmp_path], tmp_path / 'out', False)
    # What has no photo's extension, and what is no photo at first sight.
    assert plan.describe_left_out() == [
        'left out: 1 without extension (no photos)',
        'left out: 1 .gif (256 colours, mostly moving; save what is a photo as PNG)',
    ]
    planned = {job.photo.name for job in plan.jobs}
    assert {file.name for file in FILES if not file.refusal} - planned == {
        'without extension'
    }
    assert len(plan.refused) + len(plan.jobs) == 55
