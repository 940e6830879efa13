import io

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2xyz, xyz2rgb

from mmagic_inik.datasets.tone import (
    add_noise,
    compress,
    linear_to_srgb,
    srgb_to_linear,
)

EVERY = np.arange(256, dtype=np.uint8)


@pytest.mark.parametrize('dtype', [np.uint8, np.float32, np.float64])
def test_every_pixel_comes_back(dtype):
    light = srgb_to_linear(EVERY.astype(dtype))
    assert light.dtype == np.float32
    assert light[0] == 0
    assert light[255] == 1
    assert (np.diff(light) > 0).all()
    pixels = linear_to_srgb(light)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, EVERY)


def test_eight_and_sixteen_bits_mean_the_same():
    np.testing.assert_allclose(
        srgb_to_linear(EVERY), srgb_to_linear(EVERY.astype(np.float32)), rtol=1e-6
    )
    between = srgb_to_linear(np.array([100.0, 100.5, 101.0], np.float32))
    assert between[0] < between[1] < between[2]


@pytest.mark.parametrize(
    ('pixel', 'light'),
    [
        # By hand: 10 / 255 / 12.92 on the line, ((c + 0.055) / 1.055)^2.4 on the curve.
        (10, 0.00303527),
        (127.5, 0.21404114),
        (188, 0.50288646),
    ],
)
def test_tone_curve_at_known_values(pixel, light):
    assert srgb_to_linear(np.array(float(pixel))) == pytest.approx(light, rel=1e-5)
    assert linear_to_srgb(np.array(light)) == pytest.approx(pixel, abs=0.5)


def test_tone_curve_as_in_scikit_image():
    greys = EVERY[:, None].repeat(3, 1)
    # The luminance Y of a grey is its linear light.
    expected = rgb2xyz(greys)[:, 1]
    np.testing.assert_allclose(srgb_to_linear(EVERY), expected, atol=1e-5)
    light = np.linspace(0, 1, 1001)
    white = rgb2xyz(np.ones(3))
    exact = xyz2rgb(light[:, None] * white)[:, 1] * 255
    # Rounded to the nearest; the table knows light to 1/65535, a 39th of a pixel there.
    assert np.abs(linear_to_srgb(light) - exact).max() < 0.5 + 1 / 20


def test_shapes_and_range():
    light = np.array([[-0.5, 0, 0.5], [1, 1.5, 100]], np.float32)
    assert linear_to_srgb(light).tolist() == [[0, 0, 188], [255, 255, 255]]


@pytest.mark.parametrize(('shot', 'read'), [(0.02, 0), (0, 0.003), (0.01, 0.005)])
@pytest.mark.parametrize('level', [0.0, 0.25, 1.0, 2.0])
def test_variance_of_noise(shot, read, level):
    light = np.full((200, 250), level, np.float32)
    noise = add_noise(np.random.default_rng(0), light, shot, read).astype(float) - level
    variance = shot**2 * level + read**2
    # 50000 samples: four standard deviations of the estimate are 2.6 %.
    assert noise.var() == pytest.approx(variance, rel=0.03, abs=1e-12)
    assert abs(noise.mean()) <= 4 * (variance / 50000) ** 0.5 + 1e-9


def test_noise_is_independent_and_leaves_its_input():
    light = np.full((100, 100, 3), 0.5, np.float32)
    noise = add_noise(np.random.default_rng(0), light, 0.02, 0.0) - 0.5
    assert (light == 0.5).all()
    colors = np.corrcoef(noise.reshape(-1, 3).T)
    assert np.abs(colors - np.eye(3)).max() < 0.05
    assert abs(np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]) < 0.03
    same = add_noise(np.random.default_rng(0), light, 0, 0)
    np.testing.assert_array_equal(same, light)


def test_negative_ripples_are_no_light():
    light = np.full(10000, -1e-6, np.float32)
    noisy = add_noise(np.random.default_rng(0), light, 0.02, 0.0)
    np.testing.assert_array_equal(noisy, light)


@pytest.mark.parametrize('quality', [20, 75, 100])
def test_compression_is_jpeg(quality):
    y, x = np.indices((40, 50))
    smooth = np.stack([3 * x, 5 * y, x + y + 60], 2).astype(np.uint8)
    image = compress(smooth, quality)
    assert image.shape == smooth.shape
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    file = io.BytesIO()
    Image.fromarray(smooth).save(file, 'JPEG', quality=quality)
    expected = np.asarray(Image.open(file)).astype(int)
    # Two builds of libjpeg; colours not exchanged.
    assert np.abs(image - expected).mean() < 1
    assert (image != smooth).any()
