"""`pip install .` alone restores: the wheel, its entry point and what it declares."""

import os
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from PIL import Image
from skimage import data

from mmagic_inik.restoration import load_restorer, restore

ROOT = Path(__file__).parents[1]


def distributions(requirements):
    """What is installed of these and of what they need, extras left out."""
    found, waiting = {}, list(requirements)
    while waiting:
        requirement = Requirement(waiting.pop())
        wanted = not requirement.marker or requirement.marker.evaluate({'extra': ''})
        if wanted and requirement.name not in found:
            found[requirement.name] = metadata.distribution(requirement.name)
            waiting += found[requirement.name].requires or []
    return found.values()


def link(distribution, site):
    """Let an environment have a package of this one; nothing is downloaded."""
    tops = {file.parts[0] for file in distribution.files or []}
    for top in tops - {'..', '__pycache__'}:
        place = site / top
        if not place.exists():
            place.symlink_to(distribution.locate_file(top))


@pytest.fixture(scope='module')
def light(tmp_path_factory):
    """A fresh environment with our wheel and nothing that it does not declare.

    The wheel is made of the sdist, as `python -m build` does it.
    """
    folder = tmp_path_factory.mktemp('light')
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check']
    build = [sys.executable, '-m', 'build', '--no-isolation', '--outdir', folder]
    # From a copy: setuptools builds in the source tree.
    source = folder / 'source'
    source.mkdir()
    listed = ['git', 'ls-files', '-z', '--', 'mmagic_inik', 'configs', 'tools']
    listed += ['setup.py', 'pyproject.toml', 'README.md', 'LICENSE', 'model-index.yml']
    files = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True).stdout
    copy = ['xargs', '-0', 'cp', '-P', '--parents', '-t', source]
    subprocess.run(copy, cwd=ROOT, input=files, check=True)
    subprocess.run([*build, source], check=True, capture_output=True)
    assert len(list(folder.glob('*.tar.gz'))) == 1
    (built,) = folder.glob('*.whl')
    venv.create(folder / 'venv', with_pip=False)
    python = folder / 'venv' / 'bin' / 'python'
    install = [*pip, '--python', python, 'install', '-q', '--no-deps', built]
    subprocess.run(install, check=True)
    (site,) = (folder / 'venv' / 'lib').glob('python*/site-packages')
    (ours,) = metadata.distributions(name='mmagic_inik', path=[str(site)])
    for distribution in distributions(ours.requires):
        link(distribution, site)
    return python.parent


def add_extra(light, name):
    """What an extra brings, in the same environment."""
    (site,) = (light.parent / 'lib').glob('python*/site-packages')
    (ours,) = metadata.distributions(name='mmagic_inik', path=[str(site)])
    wanted = [r for r in ours.requires if f"extra == '{name}'" in r.replace('"', "'")]
    assert wanted
    for distribution in distributions([r.split(';')[0] for r in wanted]):
        link(distribution, site)


def run(light, *command, **options):
    environment = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    return subprocess.run(
        [light / command[0], *map(str, command[1:])],
        env=environment,
        capture_output=True,
        text=True,
        **options,
    )


@pytest.mark.long
def test_a_photo_is_restored_to_the_same_bytes(light, tmp_path):
    photo = tmp_path / 'photo.jpg'
    Image.fromarray(data.chelsea()[100:200, 100:227]).save(photo)
    arguments = [photo, '--device', 'cpu', '--out']
    ended = run(light, 'mmagic-inik', 'restore', *arguments, tmp_path / 'light')
    assert ended.returncode == 0, ended.stderr
    command = [sys.executable, ROOT / 'tools/restore.py', *arguments, tmp_path / 'full']
    subprocess.run(command, check=True)
    restored = [(tmp_path / n / photo.name).read_bytes() for n in ('light', 'full')]
    assert restored[0] == restored[1] != photo.read_bytes()
    program = 'import importlib.util as u; assert not u.find_spec("mmengine")'
    assert run(light, 'python', '-c', program).returncode == 0


def test_tools_and_configs_are_where_mim_looks(light, tmp_path):
    program = 'import mmagic_inik; print(mmagic_inik.__file__)'
    package = Path(
        run(light, 'python', '-c', program, cwd=tmp_path).stdout.strip()
    ).parent
    assert package.is_relative_to(light.parent)
    for file in ('configs/iniknet_dpdd.py', 'configs/_base_/runtime.py'):
        assert (package / '.mim' / file).read_bytes() == (ROOT / file).read_bytes()
    for file in ('tools/train.py', 'tools/test.py', 'tools/dist_train.sh'):
        assert (package / '.mim' / file).is_file()
    assert (package / '.mim' / 'model-index.yml').is_file()


def test_command_lists_its_tools_and_refuses_others(light):
    assert 'restore' in run(light, 'mmagic-inik').stdout
    failed = run(light, 'mmagic-inik', 'train')
    assert failed.returncode == 1
    assert failed.stderr.startswith('mmagic-inik: no tool train; choose of restore')


@pytest.mark.parametrize('tool', ['train', 'check_dataset', 'complexity', 'visualize'])
def test_tools_that_need_mmagic_say_so(light, tool):
    (tools,) = (light.parent / 'lib').glob(
        'python*/site-packages/mmagic_inik/.mim/tools'
    )
    failed = run(light, 'python', tools / f'{tool}.py', 'something')
    assert failed.returncode == 1
    assert failed.stderr == (
        f'{tool}.py needs the full set-up, in which mmengine is installed; run make '
        "env, or pip install 'mmagic_inik[mmagic]'\n"
    )


def test_page_says_what_it_needs(light):
    failed = run(light, 'mmagic-inik', 'app')
    assert failed.returncode == 1
    assert failed.stderr == (
        "app: the page needs NiceGUI; install it with pip install 'mmagic_inik[app]'\n"
    )
    (package,) = (light.parent / 'lib').glob('python*/site-packages/mmagic_inik')
    # What it is made of is no Python alone.
    for file in ('page.css', 'viewer.js', 'intake.js'):
        assert (package / 'app' / file).is_file()


@pytest.mark.long
def test_a_model_is_exported_and_run_with_the_extra(light, tmp_path):
    model, photo = tmp_path / 'model.onnx', tmp_path / 'photo.png'
    refused = run(light, 'mmagic-inik', 'export', 'shipped', model)
    assert refused.stderr == (
        "export: tools/export.py needs the package onnx; pip install 'mmagic_inik"
        "[export]'\n"
    )
    add_extra(light, 'export')
    ended = run(light, 'mmagic-inik', 'export', 'shipped', model)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count('largest difference from PyTorch') == 3
    pixels = data.chelsea()[100:140, 100:153]
    Image.fromarray(pixels).save(photo)
    options = ['--engine', 'onnxruntime', '--checkpoint', model, '--device', 'cpu']
    command = ['mmagic-inik', 'restore', photo, '--out', tmp_path / 'out', *options]
    ended = run(light, *command)
    assert ended.returncode == 0, ended.stderr
    given = np.asarray(Image.open(tmp_path / 'out' / 'photo.png')).astype(int)
    expected = restore(pixels, load_restorer(), dtype='float32')
    assert np.abs(given - expected).max() <= 1
    openvino = run(light, *command, '--engine', 'openvino', '--force')
    assert (
        "the package openvino; pip install 'mmagic_inik[openvino]'" in openvino.stderr
    )
