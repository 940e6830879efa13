import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmagic_inik.benchmark.galleries import case_of, check_gallery_names
from mmagic_inik.errors import InputError


def test_names_that_become_one_file_are_refused():
    check_gallery_names(['A', 'B'], ['x', 'y'])
    sentence = (
        'A+B on set and a b on set would have one gallery, gallery_set_a_b.png; rename '
        'one of --model or --data'
    )
    with pytest.raises(InputError, match=re.escape(sentence)):
        check_gallery_names(['A+B', 'a b'], ['set'])
    # Of one network on two sets, too.
    with pytest.raises(InputError, match='net on x y and net on x/y would have'):
        check_gallery_names(['net'], ['x y', 'x/y'])


@pytest.mark.parametrize('with_target', [False, True])
def test_a_case_is_rgb_in_whole_numbers(with_target):
    # Blue of BGR, beyond what a picture holds.
    bgr = torch.tensor([300.0, 2.6, -1.0]).view(3, 1, 1)
    sample = dict(input=bgr, output=dict(pred_img=bgr / 2))
    if with_target:
        sample['gt_img'] = bgr
    metric = SimpleNamespace(scores=('PSNR', 'SSIM_7x7'))
    before, after = dict(PSNR=20, SSIM_7x7=0.5), dict(PSNR=30, SSIM_7x7=0.75)
    case = case_of(sample, 'best', metric, before, after)
    expected = [[0, 3, 255], [0, 1, 150], [0, 3, 255]][: 3 if with_target else 2]
    np.testing.assert_array_equal(np.squeeze(case.images), expected)
    assert case.images[0].dtype == np.uint8
    assert case.titles[:2] == [
        'input\nPSNR 20.000, SSIM_7x7 0.5000',
        'restored\nPSNR 30.000, SSIM_7x7 0.7500',
    ]
    assert case.titles[2:] == ['target\n'] * with_target
