"""Photos that are arrays, restored, in as much memory as there is."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from mmagic.registry import MODELS
from mmengine.config import Config
from torch import nn

from mmagic_inik.errors import InputError
from mmagic_inik.models.restorer import MultiScaleRestorer
from mmagic_inik.models.tiling import tile_count, tile_side
from mmagic_inik.restoration import load_restorer, restore, tile_size
from mmagic_inik.restoration.memory import free_memory

ROOT = Path(__file__).parents[1]
TINY = str(ROOT / 'configs' / 'iniknet_demo.py')


def noise(shape, dtype=np.uint8, seed=0):
    high = np.iinfo(dtype).max + 1
    return np.random.default_rng(seed).integers(0, high, shape, dtype)


class Scaled(nn.Module):
    """Network of a single weight."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, image):
        return self.factor * image


def restorer_of(network):
    return MultiScaleRestorer(network, nn.Identity()).eval()


@pytest.fixture
def tiny(tmp_path):
    """The demo's network with random weights."""
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(TINY).model)
    nn.init.normal_(model.generator.head.mixing, std=0.1)
    torch.save(model.state_dict(), tmp_path / 'weights.pth')
    return load_restorer(TINY, str(tmp_path / 'weights.pth'))


@pytest.mark.parametrize('shape', [(37, 50, 3), (33, 41), (1, 1), (2, 60, 3)], ids=str)
@pytest.mark.parametrize(
    ('dtype', 'white'),
    [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)],
    ids=['uint8', 'uint16', 'float32'],
)
def test_numbers_are_scaled_clipped_and_rounded(shape, dtype, white):
    image = noise(shape, np.uint16)
    image = (image / 65535 * white).astype(dtype)
    kept = image.copy()
    restored = restore(image, restorer_of(Scaled(1.3)))
    assert restored.dtype == dtype
    assert restored.shape == shape
    assert restored.flags.c_contiguous
    np.testing.assert_array_equal(image, kept)
    exact = np.clip(image.astype(np.float64) * 1.3, 0, white)
    unit = 1e-6 if dtype == np.float32 else 0.5 + white * 1e-6
    assert np.abs(restored - exact).max() <= unit


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16], ids=['uint8', 'uint16'])
def test_untouched_numbers_come_back_exactly(dtype):
    values = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(-1, 256)
    np.testing.assert_array_equal(restore(values, restorer_of(Scaled())), values)


def test_array_is_restored_as_by_the_model(tiny):
    image = noise((50, 37, 3))
    with torch.no_grad():
        y = torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 255
        expected = tiny(y)[0].clamp(0, 1).permute(1, 2, 0).numpy() * 255
    restored = restore(image, tiny, dtype='float32')
    assert np.abs(restored - expected).max() <= 0.5 + 1e-3
    assert np.abs(restored.astype(int) - image).mean() > 1


def test_tiles_and_dtypes_are_handed_on(tiny):
    image = np.repeat(np.repeat(noise((24, 24, 3)), 8, 0), 8, 1)
    whole = restore(image, tiny, tile=None, dtype='float32').astype(int)
    calls = []
    tiled = restore(
        *(image, tiny, 96, 64, 'float32'), progress=lambda *n: calls.append(n)
    )
    assert calls == [(n, 16) for n in range(1, 17)]
    assert np.abs(tiled - whole).max() <= 1
    half = restore(image, tiny, tile=None, dtype='bfloat16')
    assert 0 < np.abs(half - whole).max() < 12


@pytest.mark.parametrize(
    ('image', 'message'),
    [
        (np.zeros((4, 4), np.int32), 'uint8, uint16, float32, got int32'),
        (np.zeros((4, 4, 4), np.uint8), r'got \(4, 4, 4\)'),
        (np.zeros((0, 4), np.uint8), 'no pixels'),
        (np.full((4, 4), 1.5, np.float32), r'must be in \[0, 1\], got 1.5'),
        (np.full((4, 4), np.nan, np.float32), 'got nan'),
    ],
    ids=['int32', 'alpha', 'empty', 'above one', 'nan'],
)
def test_arrays_that_are_refused(image, message):
    with pytest.raises(ValueError, match=message):
        restore(image, restorer_of(Scaled()))


def test_a_tile_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="'auto' or None, got '128'"):
        restore(noise((4, 4)), restorer_of(Scaled()), tile='128')


@pytest.mark.parametrize(
    ('dtype', 'cure'),
    [
        ('float32', 'give another checkpoint'),
        ('bfloat16', 'restore with dtype float32'),
        ('float16', 'restore with dtype bfloat16 or float32'),
    ],
)
def test_overflow_is_refused(dtype, cure):
    with pytest.raises(InputError, match=f'overflows in {dtype}; {cure}$'):
        restore(noise((4, 4)), restorer_of(Scaled(float('inf'))), dtype=dtype)


def test_network_that_changes_the_size_is_refused(tmp_path):
    config = tmp_path / 'edsr.py'
    config.write_text(
        "model = dict(type='BaseEditModel', generator=dict(type='EDSRNet',"
        ' in_channels=3, out_channels=3, mid_channels=4, num_blocks=1,'
        " upscale_factor=2), pixel_loss=dict(type='L1Loss'),"
        " data_preprocessor=dict(type='DataPreprocessor', mean=[0.], std=[255.],"
        " output_channel_order='RGB'))\n"
    )
    model = MODELS.build(Config.fromfile(str(config)).model)
    torch.save(model.state_dict(), tmp_path / 'edsr.pth')
    restorer = load_restorer(str(config), str(tmp_path / 'edsr.pth'))
    with pytest.raises(InputError, match=r'makes \(64, 80\) pixels of \(32, 40\)'):
        restore(noise((32, 40)), restorer)


def test_networks_of_mmagic_get_their_colours(tmp_path):
    config = tmp_path / 'nafnet.py'
    config.write_text(
        "model = dict(type='BaseEditModel', generator=dict(type='NAFNet',"
        ' img_channels=3, mid_channels=4, enc_blk_nums=[1], middle_blk_num=1,'
        " dec_blk_nums=[1]), pixel_loss=dict(type='PSNRLoss'),"
        " data_preprocessor=dict(type='DataPreprocessor', mean=[10., 20., 30.],"
        " std=[200., 210., 220.], output_channel_order='BGR'))\n"
    )
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(str(config)).model).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'nafnet.pth')
    image = noise((23, 40, 3))
    bgr = image[..., ::-1].astype(np.float64)
    normed = (bgr - (10, 20, 30)) / (200, 210, 220)
    with torch.no_grad():
        output = model.generator(torch.tensor(normed).permute(2, 0, 1)[None].float())
    output = output[0].permute(1, 2, 0).numpy() * (200, 210, 220) + (10, 20, 30)
    restorer = load_restorer(str(config), str(tmp_path / 'nafnet.pth'))
    restored = restore(image, restorer, dtype='float32')
    expected = np.clip(output[..., ::-1], 0, 255)
    assert np.abs(restored - expected).max() <= 0.5 + 1e-2
    assert 0 < restored.mean() < 255


class Hungry(Scaled):
    """Fails like a GPU for pieces that are too large."""

    def __init__(self, side, error):
        super().__init__()
        self.side, self.error, self.tried = side, error, []

    def forward(self, image):
        self.tried.append(max(image.shape[-2:]))
        if self.tried[-1] > self.side:
            raise self.error
        return image


@pytest.mark.parametrize(
    'error',
    [
        torch.OutOfMemoryError('CUDA out of memory.'),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
    ids=['cuda', 'cpu'],
)
def test_smaller_tiles_after_out_of_memory(error, monkeypatch):
    monkeypatch.setattr(tile_size, 'MOST_TILE', 512)
    network = Hungry(260, error)
    image = noise((600, 640))
    restored = restore(image, restorer_of(network), overlap=32)
    np.testing.assert_array_equal(restored, image)
    # Memory is measured on 256; tiles of 512 make two pieces of 336 of the longer side,
    # tiles of 256 three of 240.
    assert sorted(set(network.tried), reverse=True) == [336, 256, 240]
    for tile, what in ((512, 'a tile of 512 pixels'), (None, 'pixels at once')):
        with pytest.raises(InputError, match=what):
            restore(image, restorer_of(network), tile=tile, overlap=32)


def test_other_errors_of_a_network_are_raised():
    network = Hungry(0, RuntimeError('broken'))
    with pytest.raises(RuntimeError, match='broken'):
        restore(noise((40, 40)), restorer_of(network))


def test_tile_follows_memory(monkeypatch):
    restorer = restorer_of(Scaled())
    cpu = torch.device('cpu')
    tile_size._measured[restorer] = {(cpu, 'float32'): 1000.0}

    def choose(mib, height=3000, width=4000, overlap=128, kept=0):
        # Half of what is free is taken.
        monkeypatch.setattr(tile_size, 'free_memory', lambda device: 2 * mib * 2**20)
        shape = height, width
        return tile_size.choose_tile(restorer, *shape, overlap, 'float32', kept)

    # 1000 t² + 36 · 2000 t = 1048.576·10⁶ at t = 988.6
    assert choose(1000, 2000, 2000) == 976
    # ... = 948.576·10⁶ at t = 938.6
    assert choose(1000, 2000, 2000, kept=10**8) == 928
    assert choose(1036, 1024, 1024) is None
    assert choose(1035, 1024, 1024) == 1008
    # No less than 4 overlaps where that much is free, else 2.
    assert choose(170) == 512
    assert choose(1) == 256
    assert choose(1, overlap=16) == 128
    assert choose(1, 200, 256) is None
    monkeypatch.setattr(tile_size, '_MOST_ON_CPU', 1e12)
    assert choose(100_000) == 2048


# Width and height in pixels: cameras, medium format, panoramas, the largest read.
LARGE = {
    '24 MP': (6000, 4000),
    '60 MP': (9504, 6336),
    '78 MP': (10200, 7650),
    '80 MP': (10320, 7752),
    '100 MP': (11648, 8736),
    '100 MP panorama': (25000, 4000),
    '100 MP tall panorama': (4000, 25000),
    '150 MP': (14204, 10652),
    '178 MP': (15472, 11534),
}


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('gigabytes', [4, 8, 22])
@pytest.mark.parametrize('size', LARGE.values(), ids=LARGE)
def test_large_photos_are_planned_in_bounded_memory_and_time(
    monkeypatch, size, gigabytes, bits
):
    width, height = size
    # What the shipped network takes for a pixel.
    restorer, cpu, per_pixel = restorer_of(Scaled()), torch.device('cpu'), 4700
    tile_size._measured[restorer] = {(cpu, 'float32'): per_pixel}
    monkeypatch.setattr(tile_size, 'free_memory', lambda device: gigabytes * 1e9)
    kept = 3 * height * width * 3 * bits // 8
    chosen = tile_size.choose_tile(restorer, height, width, 64, 'float32', kept)
    padded = [-(-side // 16) * 16 for side in (height, width)]
    pieces = tile_count(*padded, chosen, 64)
    computed = pieces * np.prod([tile_side(side, chosen, 64) for side in padded])
    taken = per_pixel * chosen**2 + 36 * width * chosen + kept
    assert taken <= gigabytes * 1e9
    # Half of what is free is left to others, so that pieces may have to be small.
    most = {4: 1.85, 8: 1.55, 22: 1.3}[gigabytes]
    assert computed <= most * width * height


def test_pieces_of_a_restored_array_are_those_of_the_tensor(tiny):
    image = np.kron(noise((19, 25, 3)), np.ones((8, 8, 1), np.uint8))[:150, :199]
    y = torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        expected = tiny.restore(y, tile=96, overlap=32)
    expected = expected.clamp(0, 1).mul(255).round()[0].permute(1, 2, 0).numpy()
    restored = restore(image, tiny, dtype='float32', tile=96, overlap=32)
    np.testing.assert_array_equal(restored, expected)


def test_copies_of_a_large_photo_are_few():
    image = noise((1500, 2000, 3))
    tracemalloc.start()
    try:
        restore(image, restorer_of(Scaled()), tile=128, overlap=0)
        # Of NumPy's: the result, and a row of pieces in float32 at a time.
        row = 4 * 128 / 1500
        assert tracemalloc.get_traced_memory()[1] < (1 + 2 * row) * image.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs an NVIDIA GPU')
def test_photo_in_memory_is_restored_on_a_gpu(tiny):
    image = np.kron(noise((60, 60, 3)), np.ones((8, 8, 1), np.uint8))
    expected = restore(image, tiny, tile=None).astype(int)
    tiny.cuda()
    for tile in ('auto', 256):
        assert np.abs(restore(image, tiny, tile=tile) - expected).max() <= 1
    assert free_memory(torch.device('cuda')) > 0
