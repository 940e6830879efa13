import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

SIDE = 256


@pytest.fixture
def spectra(request, monkeypatch):
    monkeypatch.syspath_prepend(request.config.rootpath / 'benchmarks')
    import spectra

    return spectra


def test_power_of_a_wave_is_in_its_ring(spectra):
    # Along x, eight periods in a window; another colour has none.
    wave = 127 + 100 * np.sin(2 * np.pi * 8 / 64 * np.arange(SIDE))
    crop = np.zeros((SIDE, SIDE, 3))
    crop[..., 0] = wave
    power = spectra.powers(crop)
    assert power.shape == (4, 4, len(spectra.MIDDLES), 3)
    strongest = spectra.MIDDLES[power[..., 0].argmax(-1)]
    step = spectra.MIDDLES[1] - spectra.MIDDLES[0]
    np.testing.assert_allclose(strongest, 8 / 64, atol=step)
    assert power[..., 1:].max() == 0


def test_half_frequency_is_the_first_below_one_half(spectra):
    transfer = np.ones((2, len(spectra.MIDDLES)))
    transfer[0, 3] = 0.49
    transfer[0, 7] = 0.1
    np.testing.assert_array_equal(
        spectra.half_frequency(transfer), [spectra.MIDDLES[3], 0.5]
    )


def test_a_known_blur_is_found(spectra):
    random = np.random.default_rng(0)
    sharp = random.uniform(0, 255, (SIDE, SIDE, 3))
    blurred = gaussian_filter(sharp, (2, 2, 0), mode='wrap')
    # A Gaussian falls to one half at sqrt(ln 2 / 2) / (π σ).
    expected = np.sqrt(np.log(2) / 2) / (2 * np.pi)
    transfer = np.sqrt(spectra.powers(blurred) / spectra.powers(sharp))
    found = spectra.half_frequency(np.moveaxis(transfer, 2, -1))
    step = spectra.MIDDLES[1] - spectra.MIDDLES[0]
    np.testing.assert_allclose(np.median(found), expected, atol=step)

    told = spectra.describe(iter([(blurred, sharp), (blurred, sharp)]))
    assert told['crops'] == 2
    assert told['windows'] == 2 * 16
    # All windows have f50 between 0.08 and 0.16.
    assert sum(told['shares']) == pytest.approx(1)
    assert np.argmax(told['shares']) == np.digitize(expected, spectra.CLASSES)
    assert told['quantiles']['brightness, input over target'][1] == pytest.approx(
        1, abs=1e-2
    )
