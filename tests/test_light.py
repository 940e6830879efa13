"""What works without MMagic, and what is not imported before it is needed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from mmagic_inik.models import INIKNet
from mmagic_inik.models.base_module import BaseModule

ROOT = Path(__file__).parents[1]
# As if only what the light installation brings were there.
WITHOUT = """
import sys
from importlib.machinery import PathFinder
class Without:
    find_distributions = staticmethod(PathFinder.find_distributions)
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] not in {
            'mmagic', 'mmengine', 'mmcv', 'scipy', 'skimage', 'sklearn', 'matplotlib',
            'lpips', 'torchvision', 'diffusers', 'transformers', 'pandas', 'yaml',
        }:
            return PathFinder.find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Without()
"""


def run(program, *arguments, check=True):
    # A plain interpreter would have the script's folder, not ours, on its path.
    ended = subprocess.run(
        [sys.executable, '-c', program, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | dict(PYTHONPATH=str(ROOT)),
    )
    assert ended.returncode == 0 or not check, ended.stderr
    return ended


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / 'photo.png'
    Image.fromarray(data.chelsea()[100:200, 100:227]).save(path)
    return path


@pytest.mark.long
def test_photo_is_restored_without_mmagic_to_the_same_bytes(tmp_path, photo):
    tool = f"""
import runpy
sys.argv = ['restore.py', {str(photo)!r}, '--device', 'cpu', '--out', sys.argv[1]]
runpy.run_path({str(ROOT / 'tools/restore.py')!r}, run_name='__main__')
"""
    run(WITHOUT + tool, tmp_path / 'light')
    run('import sys, mmagic.registry' + tool, tmp_path / 'full')
    light, full = (tmp_path / name / 'photo.png' for name in ('light', 'full'))
    assert light.read_bytes() == full.read_bytes()
    with Image.open(light) as restored:
        assert np.abs(np.asarray(restored).astype(int) - Image.open(photo)).mean() > 0.5


@pytest.mark.parametrize(
    ('program', 'what'),
    [
        (
            'from mmagic_inik.restoration import load_restorer\n'
            "load_restorer('mine.py', 'mine.pth')",
            'config mine.py',
        ),
        (
            'from mmagic_inik.models import TappedBackbone\n'
            "TappedBackbone(dict(type='NAFNet'), 'intro')",
            "'NAFNet'",
        ),
    ],
    ids=['config', 'network of MMagic'],
)
def test_what_needs_mmagic_says_so(program, what):
    failed = run(WITHOUT + program, check=False)
    last = failed.stderr.splitlines()[-1]
    assert f'{what} needs the full set-up, in which mmagic is installed' in last


@pytest.mark.parametrize(
    'program',
    [
        'import mmagic_inik',
        'from mmagic_inik import restoration\n'
        "sys.argv = ['restore.py', '--help']\n"
        'import runpy\n'
        'try:\n'
        f"    runpy.run_path({str(ROOT / 'tools/restore.py')!r}, run_name='__main__')\n"
        'except SystemExit: pass',
    ],
    ids=['package', 'help of restore.py'],
)
def test_nothing_heavy_is_imported_early(program):
    heavy = "{'torch', 'mmengine', 'mmagic', 'scipy', 'matplotlib'}"
    ended = run(f'import sys\n{program}\nprint({heavy} & set(sys.modules))')
    assert ended.stdout.splitlines()[-1] == 'set()'


@pytest.mark.long
@pytest.mark.parametrize('first', ['mmagic_inik', 'mmagic.apis'])
def test_mmagic_knows_our_parts_in_either_order(first):
    program = f"""
import {first}
import mmagic.apis
import mmagic.registry as of_mmagic
import mmagic_inik
assert 'iniknet' in mmagic.apis.MMagicInferencer.inference_supported_models
found = of_mmagic.MODELS.get('INIKNet'), of_mmagic.HOOKS.get('StrictCheckpointHook')
from mmagic_inik.models import INIKNet
assert found[0] is INIKNet
assert found[1].__module__.startswith('mmagic_inik.engine.')
"""
    run(program)


def test_parts_are_initialised_by_their_configs():
    part = BaseModule(dict(type='Constant', layer='Conv2d', val=2.0, bias=3.0))
    part.inner = BaseModule()
    part.inner.conv = torch.nn.Conv2d(1, 1, 1)
    part.init_weights()
    assert part.is_init
    assert part.inner.is_init
    assert part.inner.conv.weight.item() == 2
    assert part.inner.conv.bias.item() == 3
    assert issubclass(INIKNet, BaseModule)
