"""OpenMMLab's `mim` and MMagic's own scripts, with our configs.

`mim train PACKAGE CONFIG` looks for the config in the folder `.mim` of the package and
runs `.mim/tools/train.py` there; so do these tests, and `mim` itself where it is
installed, which its requirements keep out of the environment of this repository.
"""

import os
import runpy
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import mmagic
import modelindex
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

import mmagic_inik
from mmagic_inik.engine import load_checkpoint_file

PACKAGES = {
    module.__name__: Path(module.__file__).parent for module in (mmagic, mmagic_inik)
}
ROOT = PACKAGES['mmagic_inik'].parent


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """Two pairs of noise."""
    random, folder = np.random.default_rng(0), tmp_path_factory.mktemp('photos')
    for name in 'ab':
        noise = Image.fromarray(random.integers(0, 256, (64, 64, 3), np.uint8))
        for kind, image in (('target', noise), ('input', noise.reduce(2))):
            (folder / kind).mkdir(exist_ok=True)
            image.resize((64, 64)).save(folder / kind / f'{name}.png')
    return folder


def options(photos, iters=2):
    return [
        *('--cfg-options', f'data_root={photos}', f'train_cfg.max_iters={iters}'),
        *(f'train_cfg.val_interval={iters}', 'default_hooks.checkpoint.interval=2'),
        *('train_dataloader.batch_size=1', 'default_hooks.logger.interval=1'),
        'train_dataloader.dataset.pipeline.1.gt_patch_size=32',
    ]


def find(package, config):
    """As mim does: below the package, following links."""
    (found,) = (
        Path(folder, config)
        for folder, _, files in os.walk(PACKAGES[package], followlinks=True)
        if config in files
    )
    return found.resolve()


def run(script, *arguments):
    """What mim does with a script of this package, but in this process."""
    path = PACKAGES['mmagic_inik'] / '.mim' / 'tools' / script
    with pytest.MonkeyPatch.context() as patch:
        line = [path, find('mmagic_inik', 'iniknet_demo.py'), *arguments]
        patch.setattr(sys, 'argv', list(map(str, line)))
        patch.setenv('LOCAL_RANK', '0')
        runpy.run_path(str(path), run_name='__main__')


@pytest.fixture(scope='module')
def trained(photos, tmp_path_factory):
    """A work folder after two iterations of `mim train mmagic_inik`."""
    work = tmp_path_factory.mktemp('work')
    run('train.py', '--launcher', 'none', '--work-dir', work, *options(photos))
    return work


def test_mim_train_and_test_of_this_package(trained, photos, capfd):
    checkpoint = trained / 'iter_2.pth'
    assert load_checkpoint_file(checkpoint)['meta']['iter'] == 2
    given = ['--launcher', 'none', '--work-dir', trained]
    run('test.py', checkpoint, *given, '--cfg-options', f'data_root={photos}')
    assert ' PSNR: ' in capfd.readouterr().out


@pytest.mark.parametrize('script', ['train.py', 'test.py'])
def test_mim_sees_that_no_gpus_are_to_be_told(script, capfd):
    with pytest.raises(SystemExit):
        run(script, '-h')
    assert '--gpus' not in capfd.readouterr().out


@pytest.mark.long
def test_mmagics_own_train_script_goes_on(trained, photos, tmp_path):
    work = shutil.copytree(trained, tmp_path / 'work')
    (work / 'last_checkpoint').write_text(str(work / 'iter_2.pth'))
    script = PACKAGES['mmagic'] / '.mim' / 'tools' / 'train.py'
    command = [sys.executable, script, find('mmagic_inik', 'iniknet_demo.py')]
    command += ['--launcher', 'none', '--work-dir', work, '--resume']
    ended = subprocess.run(
        list(map(str, [*command, *options(photos, 3)])),
        capture_output=True,
        text=True,
        env=os.environ | dict(PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'),
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert 'resumed epoch: 0, iter: 2' in ended.stdout
    # The data are where the option says, which mmengine alone would not reach.
    assert 'Iter(train) [3/3]' in ended.stdout


def test_model_index_is_what_mim_expects():
    index = modelindex.load(str(PACKAGES['mmagic_inik'] / '.mim' / 'model-index.yml'))
    index.build_models_with_collections()
    assert len(index.models) > 0
    for model in index.models:
        assert model.in_collection in [one.name for one in index.collections]
        assert model.full_model.paper
        config = find('mmagic_inik', Path(model.config).name)
        assert config.samefile(PACKAGES['mmagic_inik'] / '.mim' / model.config)
        assert Config.fromfile(config).model.type == 'MultiScaleRestorer'
        assert (ROOT / model.weights).is_file()
        for result in model.results:
            # What MMagic reads of each of its own.
            assert result.task
            assert all(isinstance(value, float) for value in result.metrics.values())


@pytest.fixture
def mim():
    """The command, where it is installed and finds this package."""
    if find_spec('mim') is None:
        pytest.skip('openmim is not installed')
    from mim.utils import get_installed_path

    if not Path(get_installed_path('mmagic_inik')).is_dir():
        pytest.skip('mim finds no package that is installed with pip install -e')

    def mim(*arguments):
        command = [sys.executable, '-m', 'mim', *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd='/')

    return mim


@pytest.mark.parametrize('package', PACKAGES)
def test_mim_itself(mim, photos, tmp_path, package):
    config = 'iniknet_demo.py'
    config = config if package == 'mmagic_inik' else find('mmagic_inik', config)
    common = ['--work-dir', tmp_path / 'work']
    trained = mim('train', package, config, *common, *options(photos))
    assert 'Training finished successfully.' in trained.stdout, trained.stderr
    common += ['--checkpoint', tmp_path / 'work' / 'iter_2.pth']
    common += ['--cfg-options', f'data_root={photos}']
    tested = mim('test', package, config, *common)
    assert 'Testing finished successfully.' in tested.stdout, tested.stderr
    if package == 'mmagic_inik':
        shown = mim('search', package, '--field', 'weight', 'dpdd-60/psnr')
        assert 'iniknet_small_synthetic.pth' in shown.stdout
