"""Photo files that come back as they were, but for their pixels."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, JpegImagePlugin
from PIL.PngImagePlugin import PngInfo

from mmagic_inik.errors import InputError
from mmagic_inik.photos import read_photo
from mmagic_inik.restoration import encode_photo, open_photo, write_whole

ICC = b'profile' * 20
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">title</x:xmpmeta>'


def noise(shape, dtype=np.uint8, seed=0):
    high = np.iinfo(dtype).max + 1
    return np.random.default_rng(seed).integers(0, high, shape, dtype)


def exif(orientation=1):
    tags = Image.Exif()
    tags[274] = orientation
    tags[271] = 'Maker'
    tags.get_ifd(0x8769)[33434] = 0.008  # exposure time
    tags.get_ifd(0x8769)[37500] = b'maker note \0\1\2'
    tags.get_ifd(0x8825)[1] = 'N'
    return tags


def rewrite(path, change):
    """Open a file, put changed pixels into it, and the photo as read before."""
    photo = open_photo(path)
    path.write_bytes(encode_photo(photo, change(photo.pixels)))
    return photo


def inverted(pixels):
    return np.iinfo(pixels.dtype).max - pixels


def png16(pixels, chunks=b''):
    """A 16-bit PNG by hand."""
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    head = struct.pack('>IIBBBBB', *pixels.shape[1::-1], 16, color_type, 0, 0, 0)
    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in pixels)
    data = chunk(b'IHDR', head) + chunks + chunk(b'IDAT', zlib.compress(rows))
    return b'\x89PNG\r\n\x1a\n' + data + chunk(b'IEND', b'')


def chunk(kind, data):
    check = struct.pack('>I', zlib.crc32(kind + data))
    return struct.pack('>I', len(data)) + kind + data + check


# Name → how Pillow saves it; all lossless.
EIGHT_BIT = {
    'png': {},
    'bmp': {},
    'tif': {},
    'tif-lzw': {'compression': 'tiff_lzw'},
    'tif-deflate': {'compression': 'tiff_adobe_deflate'},
    'webp': {'lossless': True, 'exact': True},
}


def modes_of(kind):
    alpha = {'webp': ['RGBA'], 'bmp': []}.get(kind, ['LA', 'RGBA'])
    return ['RGB', *alpha] if kind == 'webp' else ['L', 'RGB', *alpha]


@pytest.mark.parametrize(
    ('kind', 'mode'), [(kind, mode) for kind in EIGHT_BIT for mode in modes_of(kind)]
)
def test_lossless_eight_bit_files(tmp_path, kind, mode):
    pixels = noise((9, 14, len(mode)))
    path = tmp_path / f'a.{kind.split("-")[0]}'
    options = dict(EIGHT_BIT[kind])
    options |= {} if kind == 'webp' else {'dpi': (150, 150)}
    Image.fromarray(pixels.squeeze()).save(path, **options)
    before = Image.open(path)
    before.load()
    photo = rewrite(path, inverted)
    assert photo.remarks == []
    with Image.open(path) as after:
        assert (after.format, after.mode) == (before.format, mode)
        assert after.info.get('dpi') == before.info.get('dpi')
        assert after.info.get('compression') == before.info.get('compression')
        result = np.asarray(after).reshape(pixels.shape)
    colors = len(mode.rstrip('A'))
    np.testing.assert_array_equal(result[..., :colors], 255 - pixels[..., :colors])
    np.testing.assert_array_equal(result[..., colors:], pixels[..., colors:])


@pytest.mark.parametrize('channels', [1, 2, 3, 4], ids=['L', 'LA', 'RGB', 'RGBA'])
def test_sixteen_bit_png(tmp_path, channels):
    pixels = noise((9, 14, channels), np.uint16)
    path = tmp_path / 'a.png'
    path.write_bytes(png16(pixels))
    rewrite(path, inverted)
    assert path.read_bytes()[24:26] == png16(pixels)[24:26]  # depth and colour type
    alpha = channels in (2, 4)
    result = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).reshape(9, 14, -1)
    if alpha:
        np.testing.assert_array_equal(result[..., 3], pixels[..., -1])
    color = result[..., 2::-1] if channels > 2 else result[..., :1]
    expected = 65535 - pixels[..., : channels - alpha]
    np.testing.assert_array_equal(color, expected)


@pytest.mark.parametrize('compression', [1, 5, 8], ids=['none', 'lzw', 'deflate'])
@pytest.mark.parametrize('channels', [1, 3, 4], ids=['L', 'RGB', 'RGBA'])
def test_sixteen_bit_tiff(tmp_path, channels, compression):
    pixels = noise((300, 140, channels), np.uint16)
    path = tmp_path / 'a.tif'
    order = [[0], [2, 1, 0], [2, 1, 0, 3]][(channels > 1) + (channels > 3)]
    options = [cv2.IMWRITE_TIFF_COMPRESSION, compression]
    cv2.imwrite(str(path), pixels[..., order], options)
    assert rewrite(path, inverted).remarks == []
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        assert page.compression == compression
        assert page.bitspersample == 16
        assert page.samplesperpixel == channels
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).reshape(300, 140, -1)
    result = stored[..., order]
    np.testing.assert_array_equal(result[..., :3], 65535 - pixels[..., :3])
    np.testing.assert_array_equal(result[..., 3:], pixels[..., 3:])


@pytest.mark.parametrize('byteorder', ['<', '>'])
@pytest.mark.parametrize('bigtiff', [False, True], ids=['tiff', 'bigtiff'])
def test_tags_of_a_sixteen_bit_tiff(tmp_path, byteorder, bigtiff):
    pixels = noise((9, 14, 4), np.uint16)
    path = tmp_path / 'a.tif'
    tifffile.imwrite(
        path,
        pixels,
        photometric='rgb',
        extrasamples=['unassalpha'],
        byteorder=byteorder,
        bigtiff=bigtiff,
        resolution=(300, 301),
        resolutionunit='inch',
        iccprofile=ICC,
        software='camera',
        description='a photo',
        extratags=[(700, 'B', len(XMP), XMP, True), (33432, 's', 0, 'me', True)],
        metadata=None,
    )
    rewrite(path, inverted)
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        assert page.tags.valueof(282) == (300, 1)
        assert page.tags.valueof(283) == (301, 1)
        assert page.tags.valueof(34675) == ICC
        assert page.tags.valueof(700) == XMP
        assert page.tags.valueof(33432) == 'me'
        assert page.tags.valueof(270) == 'a photo'
        assert page.extrasamples == (2,)
        expected = np.dstack([65535 - pixels[..., :3], pixels[..., 3]])
        np.testing.assert_array_equal(page.asarray(), expected)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('kind', ['png8', 'png16', 'tif8', 'tif16', 'jpg', 'webp'])
def test_turned_photos_are_shown_as_before(tmp_path, kind, orientation):
    dtype = np.uint16 if kind.endswith('16') else np.uint8
    # Blocks survive JPEG.
    pixels = np.kron(noise((4, 6, 1), dtype), np.ones((16, 16, 3), dtype))
    path = tmp_path / f'a.{kind.rstrip("168")}'
    if kind == 'png16':
        raw = exif(orientation).tobytes().removeprefix(b'Exif\0\0')
        path.write_bytes(png16(pixels, chunk(b'eXIf', raw)))
    elif kind == 'tif16':
        tag = [(274, 'H', 1, orientation, True)]
        tifffile.imwrite(path, pixels, photometric='rgb', extratags=tag)
    else:
        options = {'lossless': True} if kind == 'webp' else {}
        Image.fromarray(pixels).save(path, exif=exif(orientation), **options)
    shown = read_photo(path)
    seen = []
    rewrite(path, lambda given: seen.append(given) or inverted(given))
    error = np.abs(read_photo(path) - (255 - shown.astype(float)))
    assert error.max() <= (6 if kind == 'jpg' else 1e-3)
    # The network saw it upright; it was grey, and is.
    assert seen[0].shape == shown.shape[:2]
    if kind != 'png16':
        with tifffile.TiffFile(path) if kind == 'tif16' else Image.open(path) as file:
            if kind == 'tif16':
                assert file.pages.first.shape[:2] == pixels.shape[:2]
                assert file.pages.first.tags.valueof(274) == orientation
            else:
                assert file.size == pixels.shape[1::-1] or kind == 'tif8'
                assert file.getexif()[274] == orientation


def test_transparency_of_turned_photos(tmp_path):
    pixels = noise((6, 11, 4))
    for name, orientation in (('a.png', 6), ('b.tif', 8)):
        path = tmp_path / name
        Image.fromarray(pixels).save(path, exif=exif(orientation))
        rewrite(path, inverted)
        cv2_view = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)  # as stored
        if name == 'a.png':
            np.testing.assert_array_equal(cv2_view[..., 3], pixels[..., 3])
            np.testing.assert_array_equal(cv2_view[..., 2::-1], 255 - pixels[..., :3])
        else:
            stored = tifffile.imread(path)
            np.testing.assert_array_equal(stored[..., 3], pixels[..., 3])
            np.testing.assert_array_equal(stored[..., :3], 255 - pixels[..., :3])


def metadata(path):
    """All that Pillow reads beside pixels."""
    with Image.open(path) as image:
        image.load()
        tags = image.getexif()
        found = {'exif': dict(tags)}
        for number in (0x8769, 0x8825):
            found[number] = dict(tags.get_ifd(number))
        found['exif'] = {k: v for k, v in found['exif'].items() if k in (271, 274, 282)}
        for key in ('icc_profile', 'dpi', 'comment', 'Title', 'gamma', 'progressive'):
            found[key] = image.info.get(key)
        found['xmp'] = image.info.get('xmp', b'')
        return found


@pytest.mark.parametrize('kind', ['png', 'jpg', 'webp', 'tif', 'tif-lzw'])
def test_metadata_is_kept(tmp_path, kind):
    path = tmp_path / f'a.{kind.split("-")[0]}'
    # Pillow cannot write compressed TIFFs with EXIF directories.
    tags = exif() if kind == 'tif-lzw' else exif().tobytes()
    options = dict(exif=tags, icc_profile=ICC)
    if kind.startswith('tif'):
        options |= dict(
            dpi=(200, 200), compression='raw' if kind == 'tif' else 'tiff_lzw'
        )
    elif kind != 'png':
        options |= dict(xmp=XMP)
    else:
        text = PngInfo()
        text.add_text('Title', 'a photo')
        text.add_itxt('XML:com.adobe.xmp', XMP.decode())
        options |= dict(pnginfo=text, dpi=(200, 200))
    if kind == 'jpg':
        options |= dict(dpi=(200, 200), comment='a comment', progressive=True)
    Image.fromarray(noise((20, 30, 3))).save(path, **options)
    before = metadata(path)
    rewrite(path, inverted)
    after = metadata(path)
    assert after == before
    assert after['icc_profile'] == ICC
    assert after['exif'][271] == 'Maker'
    assert kind == 'tif-lzw' or after[0x8769][37500] == b'maker note \0\1\2'
    assert after['xmp'] == XMP or kind.startswith('tif')


def test_exif_of_a_jpeg_is_kept_to_the_byte(tmp_path):
    path = tmp_path / 'a.jpg'
    Image.fromarray(noise((20, 30, 3))).save(path, exif=exif(6))
    with Image.open(path) as image:
        before = image.info['exif']
    iptc = b'Photoshop 3.0\x008BIM\x04\x04keywords'
    data = path.read_bytes()
    segment = b'\xff\xed' + struct.pack('>H', len(iptc) + 2) + iptc
    path.write_bytes(data[:2] + segment + data[2:])
    rewrite(path, inverted)
    with Image.open(path) as image:
        assert image.info['exif'] == before
    assert segment in path.read_bytes()


@pytest.mark.parametrize('subsampling', [0, 1, 2], ids=['444', '422', '420'])
@pytest.mark.parametrize('quality', [30, 75, 98])
@pytest.mark.parametrize('mode', ['RGB', 'L'])
def test_quality_of_a_jpeg_is_kept(tmp_path, mode, quality, subsampling):
    path = tmp_path / 'a.jpg'
    pixels = noise((40, 50, 3) if mode == 'RGB' else (40, 50))
    Image.fromarray(pixels).save(path, quality=quality, subsampling=subsampling)
    before = Image.open(path)
    shown = read_photo(path)
    rewrite(path, lambda given: given)
    with Image.open(path) as after:
        assert after.mode == mode
        assert after.quantization == before.quantization
        sampling = JpegImagePlugin.get_sampling
        assert sampling(after) == sampling(before)
    error = np.abs(read_photo(path).astype(float) - shown).mean()
    assert error < (12 if mode == 'RGB' and subsampling else 3)


def test_progressive_jpeg_of_noise_fits_its_buffer(tmp_path):
    path = tmp_path / 'a.jpg'
    Image.fromarray(noise((400, 600, 3))).save(path, quality=75, subsampling=0)
    # Pillow itself fails on that at the best quality.
    best = io.BytesIO()
    Image.fromarray(noise((8, 8, 3))).save(best, 'JPEG', quality=100)
    tables = Image.open(best).quantization
    photo = open_photo(path)
    photo.options.update(progressive=True, qtables=list(tables.values()))
    path.write_bytes(encode_photo(photo, photo.pixels))
    assert read_photo(path).shape == (400, 600, 3)


def test_cmyk_becomes_rgb_without_its_profile(tmp_path):
    path = tmp_path / 'a.jpg'
    image = Image.new('CMYK', (30, 20), (0, 255, 255, 0))
    image.save(path, quality=95, icc_profile=ICC, dpi=(99, 99))
    photo = rewrite(path, lambda given: given)
    assert photo.remarks == [
        'its CMYK colours become RGB',
        'its colour profile is left out',
    ]
    with Image.open(path) as after:
        assert after.mode == 'RGB'
        assert 'icc_profile' not in after.info
        np.testing.assert_allclose(np.asarray(after)[5, 5], (255, 0, 0), atol=3)


def test_lossy_webp_says_its_quality(tmp_path):
    path = tmp_path / 'a.webp'
    pixels = np.kron(noise((4, 4, 4)), np.ones((8, 8, 1), np.uint8))
    Image.fromarray(pixels).save(path, quality=60)
    photo = rewrite(path, inverted)
    np.testing.assert_array_equal(np.asarray(Image.open(path))[..., 3], pixels[..., 3])
    assert photo.remarks == ['lossy WebP does not tell its quality: written with 95']
    assert b'VP8 ' in path.read_bytes()


def test_palette_becomes_rgb_and_keeps_its_transparent_colour(tmp_path):
    path = tmp_path / 'a.png'
    image = Image.fromarray(noise((6, 7, 3))).quantize(16)
    image.save(path, transparency=3)
    with Image.open(path) as before:
        rgba = np.asarray(before.convert('RGBA'))
    photo = rewrite(path, inverted)
    assert photo.remarks == ['its palette colours become RGB']
    with Image.open(path) as after:
        assert after.mode == 'RGBA'
        result = np.asarray(after)
    np.testing.assert_array_equal(result[..., 3], rgba[..., 3])
    np.testing.assert_array_equal(result[..., :3], 255 - rgba[..., :3])
    assert (rgba[..., 3] == 0).any()


def test_tiff_of_another_compression_says_so(tmp_path):
    path = tmp_path / 'a.tif'
    Image.fromarray(noise((40, 50, 3))).save(path, compression='packbits')
    photo = rewrite(path, inverted)
    assert photo.remarks == ['its compression packbits becomes Deflate']
    with Image.open(path) as after:
        assert after.info['compression'] == 'tiff_adobe_deflate'


def test_fourth_sample_that_is_no_alpha_is_left_out(tmp_path):
    path = tmp_path / 'a.tif'
    pixels = noise((20, 30, 4))
    tifffile.imwrite(path, pixels, photometric='rgb', extrasamples=['unspecified'])
    photo = rewrite(path, inverted)
    assert photo.remarks == ['its samples that are no colours are left out']
    np.testing.assert_array_equal(tifffile.imread(path), 255 - pixels[..., :3])
    with tifffile.TiffFile(path) as file:
        assert 338 not in file.pages.first.tags


def test_grey_in_three_colours_stays_grey(tmp_path):
    path = tmp_path / 'a.webp'
    grey = noise((8, 9))
    Image.fromarray(grey).save(path, lossless=True)
    photo = rewrite(path, inverted)
    assert photo.pixels.shape == (8, 9)
    np.testing.assert_array_equal(read_photo(path), np.dstack([255 - grey] * 3))


@pytest.mark.parametrize('kind', ['png', 'webp', 'tif', 'tif16'])
def test_several_pages_are_refused(tmp_path, kind):
    path = tmp_path / f'a.{kind[:4].rstrip("16")}'
    if kind == 'tif16':
        deep = noise((2, 8, 9), np.uint16)
        tifffile.imwrite(path, deep, photometric='minisblack')
    else:
        first, second = (Image.fromarray(noise((8, 9, 3), seed=n)) for n in (0, 1))
        first.save(path, save_all=True, append_images=[second])
    with pytest.raises(InputError, match=r'a\.\w+ has 2 (pages|moving pictures), and'):
        open_photo(path)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('planar', ['contig', 'separate'])
def test_transparency_of_turned_sixteen_bit_tiffs(tmp_path, planar, orientation):
    pixels = noise((6, 11, 4), np.uint16)
    path = tmp_path / 'a.tif'
    tifffile.imwrite(
        path,
        np.moveaxis(pixels, 2, 0) if planar == 'separate' else pixels,
        photometric='rgb',
        planarconfig=planar,
        extrasamples=['unassalpha'],
        extratags=[(274, 'H', 1, orientation, True)],
    )
    photo = rewrite(path, inverted)
    said = [] if planar == 'contig' else ['its planes of colours become one']
    assert photo.remarks == said
    expected = np.dstack([65535 - pixels[..., :3], pixels[..., 3]])
    np.testing.assert_array_equal(tifffile.imread(path), expected)


@pytest.mark.parametrize('compression', [None, 'zlib'])
@pytest.mark.parametrize('channels', [1, 3, 4], ids=['L', 'RGB', 'RGBA'])
@pytest.mark.parametrize('dtype', [np.float16, np.float32])
def test_numbers_with_a_fraction_are_kept(tmp_path, dtype, channels, compression):
    pixels = np.random.default_rng(0).random((6, 11, channels)).astype(dtype)
    pixels[0, 0] = 3.5
    pixels[1, 1] = -0.25
    path = tmp_path / 'a.tif'
    tifffile.imwrite(
        path,
        pixels.squeeze(),
        photometric='rgb' if channels > 1 else 'minisblack',
        extrasamples=['unassalpha'] if channels == 4 else None,
        compression=compression,
        extratags=[(274, 'H', 1, 6, True), (315, 's', 0, 'me', True)],
    )
    photo = rewrite(path, lambda given: given * given)
    assert photo.remarks == [
        '3 % of its numbers lie outside [0, 1]: the network saw them clipped, and the '
        'excess is put back'
    ]
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        result = page.asarray().reshape(pixels.shape)
        assert page.dtype == dtype
        assert page.compression == (8 if compression else 1)
        assert page.tags.valueof(274) == 6
        assert page.tags.valueof(315) == 'me'
    inside = np.clip(pixels, 0, 1).astype(np.float32)
    expected = (inside**2 + (pixels - inside)).astype(dtype)
    expected[..., 3:] = pixels[..., 3:]
    np.testing.assert_allclose(
        result, expected, rtol=2e-3 if dtype == np.float16 else 1e-6
    )


@pytest.mark.parametrize('first', [True, False], ids=['photo first', 'thumbnail first'])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_the_photo_beside_its_thumbnail(tmp_path, dtype, first):
    pixels, path = noise((40, 60, 3), dtype), tmp_path / 'a.tif'
    small = pixels[:10, :15]
    with tifffile.TiffWriter(path) as file:
        for page in (pixels, small) if first else (small, pixels):
            name = [(315, 's', 0, 'small' if page is small else 'photo', True)]
            reduced = int(page is small)
            options = dict(photometric='rgb', subfiletype=reduced, extratags=name)
            file.write(page, metadata=None, **options)
    photo = rewrite(path, inverted)
    assert photo.remarks == ['its thumbnail is left out']
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 1
        assert file.pages.first.tags.valueof(315) == 'photo'
        np.testing.assert_array_equal(file.pages.first.asarray(), inverted(pixels))


@pytest.mark.parametrize('compression', ['jpeg', 'group4'])
def test_tiff_of_a_compression_that_loses_says_so(tmp_path, compression):
    image = Image.fromarray(np.kron(noise((4, 6)), np.ones((16, 16), np.uint8)))
    image = image.convert('1') if compression == 'group4' else image
    image.save(tmp_path / 'a.tif', compression=compression)
    photo = rewrite(tmp_path / 'a.tif', inverted)
    assert photo.remarks[0] == f'its compression {compression} becomes Deflate'
    with Image.open(tmp_path / 'a.tif') as after:
        assert after.info['compression'] == 'tiff_adobe_deflate'
        assert after.mode == 'L'
        # JPEG's tables are gone with it.
        assert 347 not in after.tag_v2


@pytest.mark.parametrize('kind', ['GIF', 'PNG', 'WEBP', 'AVIF'])
def test_what_moves_is_refused(tmp_path, kind):
    path = tmp_path / f'a.{kind.lower()}'
    first, second = (Image.fromarray(noise((16, 24, 3), seed=n)) for n in (0, 1))
    first.save(path, kind, save_all=True, append_images=[second], duration=100)
    what = 'no known image format' if kind == 'GIF' else 'has 2 moving pictures, and'
    with pytest.raises(InputError, match=what):
        open_photo(path)


def test_pictures_behind_a_jpeg_are_left_out(tmp_path):
    path = tmp_path / 'a.jpg'
    first, second = (Image.fromarray(noise((16, 24, 3), seed=n)) for n in (0, 1))
    first.save(path, 'MPO', save_all=True, append_images=[second], exif=exif())
    photo = rewrite(path, lambda given: given)
    assert photo.remarks == ['of its 2 pictures the first is written']
    with Image.open(path) as after:
        assert after.format == 'JPEG'
        assert after.getexif()[271] == 'Maker'
    assert b'MPF\0' not in path.read_bytes()


def test_files_whose_transparency_would_be_lost_are_refused(tmp_path):
    path = tmp_path / 'a.png'
    path.write_bytes(png16(noise((5, 6), np.uint16), chunk(b'tRNS', b'\0\7')))
    with pytest.raises(InputError, match='save it with an alpha channel'):
        open_photo(path)


def test_damaged_metadata_is_one_sentence(tmp_path):
    path = tmp_path / 'a.tif'
    Image.fromarray(noise((8, 9, 3))).save(path, exif=exif().tobytes())
    photo = open_photo(path)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        at = file.pages.first.tags[34665].valueoffset
    data[at : at + 4] = struct.pack('<I', len(data) + 100)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r'a\.tif cannot be written as it was'):
        encode_photo(photo, photo.pixels)
    path.unlink()
    with pytest.raises(InputError, match=r'a\.tif cannot be read again'):
        encode_photo(photo, photo.pixels)


@pytest.mark.parametrize('error', [OSError(28, 'No space left'), KeyboardInterrupt()])
def test_nothing_is_left_of_a_file_that_was_not_finished(tmp_path, monkeypatch, error):
    target = tmp_path / 'sub' / 'a.png'
    write_whole(target, b'old')

    def stop(path, content):
        with path.open('wb') as file:
            file.write(content[:2])
        raise error

    monkeypatch.setattr(Path, 'write_bytes', stop)
    wanted = InputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(wanted, match='No space left|^$'):
        write_whole(target, b'new')
    assert [p.name for p in target.parent.iterdir()] == ['a.png']
    assert target.read_bytes() == b'old'
