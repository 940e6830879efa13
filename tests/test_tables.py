import numpy as np

from mmagic_inik.benchmark.published import published_parameters, published_scores
from mmagic_inik.benchmark.tables import (
    Column,
    Row,
    csv_table,
    gains_table,
    markdown_table,
)


def test_published_figures():
    assert published_scores('RESTORMER', 'dpdd') == {
        'PSNR': 25.98,
        'SSIM_7x7': 0.811,
        'LPIPS_alex': 0.178,
    }
    # What was trained on LFDOF is another network.
    assert published_scores('INIKNet', 'LFDOF') == {}
    assert published_scores('INIKNet (LFDOF)', 'RTF')['PSNR'] == 27.401
    assert published_scores('mine', 'DPDD') == {}
    assert published_parameters('iniknet (LFDOF)') == 1.98
    assert published_parameters('mine') is None


def test_tables():
    columns = [
        Column('DPDD', ('PSNR', 'MAE', 'LPIPS_alex'), 2),
        Column('A|B', ('NIQE',), 1),
    ]
    rows = [
        Row('Restormer', 26_126_644, {'DPDD': dict(PSNR=25.9, MAE=0.03, LPIPS_alex=1)}),
        Row('mine', None, {'A|B': dict(NIQE=3.14159)}),
    ]
    assert markdown_table(rows, columns) == (
        '| model | parameters (M) | DPDD: PSNR / MAE / LPIPS_alex | A\\|B: NIQE |\n'
        '| --- | --- | --- | --- |\n'
        '| Restormer | 26.13 (26.10) | 25.900 / 0.0300 / 1.0000 '
        '(25.980 / – / 0.178) | – |\n'
        '| mine | – | – | 3.142 |\n'
    )
    lines = csv_table(rows, columns).splitlines()
    assert lines[0] == 'model,parameters,data,images,score,value,paper'
    assert lines[1] == 'Restormer,26126644,DPDD,2,PSNR,25.9,25.98'
    assert lines[2] == 'Restormer,26126644,DPDD,2,MAE,0.03,'
    assert lines[-1] == 'mine,,A|B,1,NIQE,3.14159,'
    assert len(lines) == 9


def test_gains_name_the_harmed_image():
    before = {'a.png': 20.0, 'b.png': 30.0, 'c.png': 10.0}
    after = {'x|y': {'a.png': 22.5, 'b.png': 29.0, 'c.png': 10.0}}
    assert gains_table('D', before, after) == (
        '| D: gain in PSNR (dB) | mean | images better | worst | best |\n'
        '| --- | --- | --- | --- | --- |\n'
        '| x\\|y | +0.500 | 1 of 3 | -1.00 (b.png) | +2.50 (a.png) |\n'
    )


def test_gains_without_number_are_left_out():
    before = {'a.png': np.inf, 'b.png': 30.0, 'c.png': 10.0}
    after = {'x': {'a.png': 40.0, 'b.png': 29.0, 'c.png': np.inf}}
    assert gains_table('D', before, after).endswith(
        '| x | -1.000 | 0 of 1 | -1.00 (b.png) | -1.00 (b.png) |\n'
    )
    none = gains_table('D', before, {'x': dict.fromkeys(before, np.inf)})
    assert none.endswith('| x | – | – | – | – |\n')
