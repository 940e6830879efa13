"""HEIC, AVIF, JPEG XL and camera raw: read, sized, and written as they were."""

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from mmagic_inik.errors import InputError
from mmagic_inik.photo_formats import kind_of, upright_exif
from mmagic_inik.photos import photo_size, read_photo
from mmagic_inik.restoration import encode_photo, make_plan, open_photo

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">title</x:xmpmeta>'
MODULES = {'heic': 'pillow_heif', 'avif': 'PIL.AvifImagePlugin', 'jxl': 'pillow_jxl'}
PILLOW = {'heic': 'HEIF', 'avif': 'AVIF', 'jxl': 'JXL'}


def blocks(channels=3, high=256, dtype=np.uint8):
    """Squares that survive lossy compression, 64 high and 96 wide."""
    colors = np.random.default_rng(0).integers(0, high, (4, 6, channels), dtype)
    return np.kron(colors, np.ones((16, 16, 1), dtype))


def exif(orientation=1):
    tags = Image.Exif()
    tags[274] = orientation
    tags[271] = 'Maker'
    tags.get_ifd(0x8769)[37500] = b'maker note'
    return tags.tobytes()


@pytest.fixture(params=MODULES)
def extension(request):
    module = pytest.importorskip(
        MODULES[request.param], reason="needs pip install 'mmagic_inik[formats]'"
    )
    if request.param == 'heic':
        module.register_heif_opener()
    return request.param


def save(path, pixels, **options):
    extension = path.suffix[1:]
    quality = {'lossless': True} if extension == 'jxl' else {'quality': 95}
    kind, image = PILLOW[extension], Image.fromarray(pixels.squeeze())
    image.save(path, kind, **quality, **options)


def rewrite(path, change):
    photo = open_photo(path)
    path.write_bytes(encode_photo(photo, change(photo.pixels)))
    return photo


def inverted(pixels):
    return np.iinfo(pixels.dtype).max - pixels


@pytest.mark.parametrize('channels', [1, 3, 4], ids=['L', 'RGB', 'RGBA'])
def test_colours_transparency_and_grey(tmp_path, extension, channels):
    pixels, path = blocks(channels), tmp_path / f'a.{extension}'
    save(path, pixels)
    assert photo_size(path) == (96, 64)
    color = pixels[..., :3] if channels > 1 else pixels[..., [0, 0, 0]]
    shown = read_photo(path).astype(int)
    assert np.abs(shown - color).mean() < 8
    photo = rewrite(path, inverted)
    assert kind_of(path, path.read_bytes()) == PILLOW[extension]
    assert np.abs(read_photo(path) - (255 - shown)).mean() < 8
    assert 'its quality' in photo.remarks[0]
    with Image.open(path) as image:
        assert image.mode == {1: 'L', 3: 'RGB', 4: 'RGBA'}[channels]
        if channels == 4:
            alpha = np.asarray(image)[..., 3].astype(int)
            assert np.abs(alpha - pixels[..., 3]).mean() < 8


@pytest.mark.parametrize('orientation', [1, 3, 6])
def test_orientation_profile_and_metadata(tmp_path, extension, orientation):
    path = tmp_path / f'a.{extension}'
    save(path, blocks(), exif=exif(orientation), icc_profile=ICC, xmp=XMP)
    size, shown = photo_size(path), read_photo(path).astype(int)
    # Of a JPEG XL, the pixels alone tell how it is shown.
    turned = orientation == 6 and extension != 'jxl'
    assert size == ((64, 96) if turned else (96, 64))
    assert shown.shape[1::-1] == size
    seen = []
    rewrite(path, lambda pixels: seen.append(pixels) or inverted(pixels))
    assert seen[0].shape == shown.shape
    assert photo_size(path) == size
    assert np.abs(read_photo(path) - (255 - shown)).mean() < 8
    with Image.open(path) as image:
        assert image.getexif()[271] == 'Maker'
        assert image.getexif().get_ifd(0x8769)[37500] == b'maker note'
        assert len(image.info['icc_profile']) > 300
        assert extension == 'jxl' or image.info['xmp'] == XMP


def test_cut_off_files_are_refused(tmp_path, extension):
    path = tmp_path / f'a.{extension}'
    save(path, blocks())
    data = path.read_bytes()
    for share in (0.2, 0.5, 0.8):
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(InputError, match=f'a.{extension} cannot be read as a'):
            read_photo(path)


@pytest.mark.parametrize('name', ['a.jpg', 'photo'])
def test_content_tells_not_the_name(tmp_path, extension, name):
    save(tmp_path / f'a.{extension}', blocks())
    path = (tmp_path / f'a.{extension}').rename(tmp_path / name)
    assert photo_size(path) == (96, 64)
    assert np.abs(read_photo(path).astype(int) - blocks()).mean() < 8


@pytest.mark.parametrize('bits', [10, 12])
@pytest.mark.parametrize('channels', [1, 3, 4], ids=['L', 'RGB', 'RGBA'])
def test_deep_heic(tmp_path, bits, channels):
    heif = pytest.importorskip(
        'pillow_heif', reason="needs pip install 'mmagic_inik[formats]'"
    )
    white = (1 << bits) - 1
    pixels, path = blocks(channels, white + 1, np.uint16), tmp_path / 'a.heic'
    mode = {1: 'I;16', 3: 'RGB;16', 4: 'RGBA;16'}[channels]
    stored = np.ascontiguousarray(pixels << (16 - bits))
    before = heif.options.SAVE_HDR_TO_12_BIT
    heif.options.SAVE_HDR_TO_12_BIT = bits == 12
    try:
        image = heif.from_bytes(mode, (96, 64), stored.tobytes())
        image.save(path, quality=95, exif=exif(), icc_profile=ICC, xmp=XMP)
    finally:
        heif.options.SAVE_HDR_TO_12_BIT = before
    color = pixels[..., :3] if channels > 1 else pixels[..., [0, 0, 0]]
    shown = read_photo(path)
    assert shown.dtype == np.float32
    assert np.abs(shown - color * (255 / white)).mean() < 8
    rewrite(path, inverted)
    after = heif.open_heif(path, convert_hdr_to_8bit=False)
    assert after.info['bit_depth'] == bits
    assert after.info['icc_profile'] == ICC
    assert after.info['xmp'] == XMP
    assert after.mode == mode
    assert np.abs(read_photo(path) - (255 - shown)).mean() < 8


def dng(path, orientation=6):
    """A raw file of 96×64 coloured squares, two of them of one colour."""
    colors = blocks()[:, :, 0].astype(np.uint16) * 16
    tags = [
        (33421, 'H', 2, (2, 2), True),
        (33422, 'B', 4, bytes([0, 1, 1, 2]), True),
        (271, 's', 0, 'Maker', True),
        (274, 'H', 1, orientation, True),
        (33432, 's', 0, 'me', True),
        (700, 'B', len(XMP), XMP, True),
        (50706, 'B', 4, bytes([1, 4, 0, 0]), True),
        (50708, 's', 0, 'Test Camera', True),
        (50717, 'H', 1, 4095, True),
        (50721, '2i', 9, (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1), True),
        (50728, '2I', 3, (1, 1, 1, 1, 1, 1), True),
        (50778, 'H', 1, 21, True),
    ]
    tifffile.imwrite(path, colors, photometric=32803, metadata=None, extratags=tags)
    return colors


def test_camera_raw_becomes_a_tiff_of_sixteen_bits(tmp_path):
    pytest.importorskip('rawpy', reason="needs pip install 'mmagic_inik[formats]'")
    path = tmp_path / 'a.DNG'
    stored = dng(path)
    assert photo_size(path) == (64, 96)
    shown = read_photo(path)
    assert shown.dtype == np.float32
    assert shown.shape == (96, 64, 3)
    # Brighter squares are brighter, turned by a quarter.
    centres = np.rot90(stored, -1)[8::16, 8::16].ravel()
    order = np.argsort(centres, kind='stable')
    levels = shown.mean(2)[8::16, 8::16].ravel()[order]
    assert (np.diff(levels) > -3).all()
    assert levels[-1] - levels[0] > 100
    (job,) = make_plan([path], tmp_path / 'out', False).jobs
    assert job.target == tmp_path / 'out' / 'a.tif'
    photo = open_photo(path)
    assert photo.remarks == ['camera raw, developed to sRGB, becomes a TIFF of 16 bits']
    (tmp_path / 'a.tif').write_bytes(encode_photo(photo, photo.pixels))
    np.testing.assert_allclose(read_photo(tmp_path / 'a.tif'), shown, atol=1e-2)
    with tifffile.TiffFile(tmp_path / 'a.tif') as file:
        tags = file.pages.first.tags
        assert file.pages.first.bitspersample == 16
        assert tags.valueof(271) == 'Maker'
        assert tags.valueof(33432) == 'me'
        assert tags.valueof(700) == XMP
        assert tags.valueof(274) == 1
        # Nothing says that it is a DNG.
        assert not [tag.code for tag in tags if tag.code >= 50000 or tag.code == 33422]


def test_damaged_camera_raw_is_refused(tmp_path):
    pytest.importorskip('rawpy', reason="needs pip install 'mmagic_inik[formats]'")
    path = tmp_path / 'a.nef'
    path.write_bytes(b'II*\0' + bytes(100))
    for look in (read_photo, photo_size):
        with pytest.raises(InputError, match=r'a\.nef cannot be read as a photograph'):
            look(path)


@pytest.mark.parametrize('order', '<>')
@pytest.mark.parametrize('front', [b'', b'Exif\0\0'], ids=['bare', 'marked'])
def test_exif_is_told_that_pixels_are_upright(order, front):
    head = (b'II' if order == '<' else b'MM') + struct.pack(f'{order}HI', 42, 8)
    entries = [(271, 2, 4, b'abc\0'), (274, 3, 1, struct.pack(f'{order}HH', 6, 0))]
    data = struct.pack(f'{order}H', 2)
    for tag, kind, count, value in entries:
        data += struct.pack(f'{order}HHI', tag, kind, count) + value
    before = front + head + data + bytes(4) + b'maker note'
    after = upright_exif(before)
    tags = Image.Exif()
    tags.load(after)
    assert tags[274] == 1
    assert tags[271] == 'abc'
    assert len(after) == len(before)
    changed = [n for n, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert len(changed) == 1


def test_other_formats_are_left_to_pillow(tmp_path):
    for kind in ('PNG', 'JPEG', 'TIFF', 'WEBP', 'BMP'):
        file = io.BytesIO()
        Image.fromarray(blocks()).save(file, kind)
        assert kind_of(tmp_path / 'a.png', file.getvalue()) is None


def test_check_dataset_names_them(tmp_path, extension):
    from mmagic_inik.datasets.inspection import check_pair

    path = tmp_path / f'a.{extension}'
    save(path, blocks())
    (photo,) = check_pair((path, None)).photos
    name = {'heic': 'HEIC', 'avif': 'AVIF', 'jxl': 'JPEG XL'}[extension]
    assert (photo.kind, photo.size) == (f'{name} 8-bit', '96x64')


@pytest.mark.parametrize('xmp', [b'', XMP], ids=['without XMP', 'with XMP'])
def test_xmp_of_jpeg_xl_is_not_lost_without_a_word(tmp_path, xmp):
    pytest.importorskip('pillow_jxl', reason='needs the extra formats')
    path = tmp_path / 'a.jxl'
    options = dict(exif=exif(), xmp=xmp) if xmp else dict(exif=exif())
    save(path, blocks(), **options)
    assert any('XMP is left out' in r for r in open_photo(path).remarks) == bool(xmp)
