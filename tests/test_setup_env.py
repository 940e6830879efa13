import ast
import os
import re
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


sys.path.insert(0, str(ROOT / 'tools'))
from environment import (  # noqa: E402
    CONSTRAINTS,
    SetupError,
    building,
    machine,
    steps,
    wheels,
)


@pytest.fixture(autouse=True)
def _no_download(monkeypatch):
    def refuse_to_start(*_, **__):
        raise AssertionError('a step was started before the machine was checked')

    for module in (building, wheels):
        monkeypatch.setattr(module, 'run', refuse_to_start)


def refuse(tmp_path, message):
    with pytest.raises(SetupError, match=message) as caught:
        building.build(tmp_path / 'venv')
    assert '\n' not in str(caught.value)
    assert not (tmp_path / 'venv').exists()


def test_wrong_python(tmp_path, monkeypatch):
    version = namedtuple('version', 'major minor micro')(3, 13, 1)
    monkeypatch.setattr(machine.sys, 'version_info', version)
    refuse(tmp_path, 'Python 3.11 is needed, but .* make env PYTHON=')


def test_no_compiler(tmp_path, monkeypatch):
    monkeypatch.setenv('CXX', 'no-such-compiler')
    refuse(tmp_path, "no C\\+\\+ compiler: 'no-such-compiler'.*apt install g")


def test_old_compiler(tmp_path, monkeypatch):
    compiler = tmp_path / 'c++'
    compiler.write_text('#!/bin/sh\necho unrecognized -std=c++17 >&2; exit 1\n')
    compiler.chmod(0o755)
    monkeypatch.setenv('CXX', str(compiler))
    refuse(tmp_path, r'cannot build a C\+\+17 program: unrecognized')


def test_no_headers(tmp_path, monkeypatch):
    monkeypatch.setattr(machine.sysconfig, 'get_path', lambda _: str(tmp_path))
    refuse(tmp_path, r'Python\.h is missing.*apt install python3\.11-dev')


def test_little_disk(tmp_path, monkeypatch):
    usage = namedtuple('usage', 'total used free')(100e9, 97e9, 3e9)
    monkeypatch.setattr(machine.shutil, 'disk_usage', lambda _: usage)
    refuse(tmp_path, r'has 3\.0 GB free, the environment needs \d+ GB')


def test_command_line_prints_one_line(tmp_path):
    result = subprocess.run(
        [sys.executable, ROOT / 'tools/setup_env.py', '--venv', tmp_path / 'venv'],
        env={**os.environ, 'CXX': 'no-such-compiler'},
        capture_output=True,
        text=True,
    )
    assert result.returncode != 0
    assert re.fullmatch(r'set-up: no C\+\+ compiler.*\n', result.stderr)
    assert not (tmp_path / 'venv').exists()


@pytest.mark.parametrize('path', sorted((ROOT / 'tools/environment').glob('*.py')))
def test_no_package_and_no_new_syntax_is_needed(path):
    """A Python of any kind is to be told which is needed."""
    tree = ast.parse(path.read_text(encoding='utf-8'), feature_version=(3, 8))
    imported = [n for n in ast.walk(tree) if isinstance(n, ast.Import)]
    of_modules = [
        n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and not n.level
    ]
    names = {one.name for node in imported for one in node.names}
    names |= {node.module for node in of_modules}
    assert {name.split('.')[0] for name in names} <= sys.stdlib_module_names


def test_complete_environment_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / 'venv').mkdir()
    (tmp_path / 'venv' / '.complete').write_text(building.fingerprint())
    monkeypatch.setattr(building, 'check_machine', building.run)
    building.build(tmp_path / 'venv')


def test_full_environment_serves_for_a_light_one(tmp_path, monkeypatch):
    venv = tmp_path / 'venv'
    venv.mkdir()
    stamp = venv / '.complete'
    checked = []
    monkeypatch.setattr(
        building, 'check_machine', lambda venv, light: checked.append(light)
    )
    stamp.write_text(building.fingerprint())
    building.build(venv, light=True)
    stamp.write_text(building.fingerprint(light=True))
    building.build(venv, light=True)
    assert not checked
    with pytest.raises(AssertionError, match='a step was started'):
        building.build(venv)
    assert checked == [False]


def test_light_environment_needs_no_compiler(tmp_path, monkeypatch):
    monkeypatch.setenv('CXX', 'no-such-compiler')
    steps = []
    monkeypatch.setattr(
        building, 'run', lambda title, command, *_, **__: steps.append(command)
    )
    monkeypatch.setattr(building.Path, 'replace', lambda *_: None)
    building.build(tmp_path / 'venv', light=True)
    installed = [step for step in steps if 'install' in map(str, step)]
    assert [step[-2:] for step in installed] == [['-e', ROOT]]


def test_other_pins_make_another_environment(tmp_path, monkeypatch):
    before = building.fingerprint()
    changed = tmp_path / 'constraints.txt'
    shutil.copy(CONSTRAINTS, changed)
    with changed.open('a') as file:
        file.write('more==1\n')
    monkeypatch.setattr(building, 'CONSTRAINTS', changed)
    assert building.fingerprint() != before


def test_wheel_cache_is_keyed_by_python_torch_and_cuda(tmp_path, monkeypatch):
    monkeypatch.setenv('MMAGIC_INIK_CACHE', str(tmp_path))
    monkeypatch.setattr(
        wheels.subprocess, 'check_output', lambda *_, **__: '9.8.7 13.0\n'
    )
    built = []

    def compile_wheel(title, command, log, **environment):
        if 'download' in command:
            folder = Path(command[command.index('-d') + 1])
            sources = folder / 'mmcv-2.1.0/mmcv/ops/csrc/pytorch/cpu'
            sources.mkdir(parents=True)
            for path in ('pybind.cpp', 'nms.cpp', 'cpu/nms.cpp', 'cpu/psamask.cpp'):
                (sources.parent / path).write_text(path)
            shutil.make_archive(str(folder / 'mmcv'), 'gztar', folder, 'mmcv-2.1.0')
            shutil.rmtree(folder / 'mmcv-2.1.0')
            return
        sources = command[-1] / 'mmcv/ops/csrc/pytorch'
        compiled = {str(path.relative_to(sources)) for path in sources.rglob('*.cpp')}
        assert compiled == {
            'pybind.cpp',
            'merged.cpp',
            'cpu/psamask.cpp',
            'cpu/merged.cpp',
        }
        assert (sources / 'cpu/merged.cpp').read_text() == '#include "nms.inc"\n'
        assert (sources / 'cpu/nms.inc').read_text() == 'cpu/nms.cpp'
        built.append(environment)
        folder = Path(command[command.index('-w') + 1])
        (folder / 'mmcv-2.1.0-cp311.whl').write_text('')

    monkeypatch.setattr(wheels, 'run', compile_wheel)
    first = wheels.mmcv_wheel('python', tmp_path / 'log')
    assert first.parent.name == 'cp311-torch9.8.7-cuda13.0-mmcv2.1.0'
    assert built[0]['MMCV_WITH_OPS'] == '1'
    assert wheels.mmcv_wheel('python', tmp_path / 'log') == first
    assert len(built) == 1


def test_setup_py_is_short_and_bounds_every_pin(monkeypatch):
    """The pins lie within the bounds, and setup.py needs no torch."""
    source = (ROOT / 'setup.py').read_text()
    assert 'import torch' not in source
    import setuptools
    from packaging.requirements import Requirement

    monkeypatch.chdir(ROOT)
    given = {}
    monkeypatch.setattr(setuptools, 'setup', given.update)
    exec(
        compile(source, ROOT / 'setup.py', 'exec'), {'__file__': str(ROOT / 'setup.py')}
    )
    pins = {}
    for line in (ROOT / 'requirements' / 'constraints.txt').read_text().splitlines():
        name, _, version = line.split('#')[0].strip().partition('==')
        pins[name.lower().replace('_', '-')] = version
    extras = given['extras_require']
    for text in [*given['install_requires'], *extras['mmagic']]:
        requirement = Requirement(text)
        pin = pins[requirement.name.lower().replace('_', '-')]
        assert requirement.specifier.contains(pin), text


def test_a_step_is_one_line(tmp_path, monkeypatch, capsys):
    log = tmp_path / 'log'
    steps.run('a step', ['sh', '-c', 'echo much'], log)
    assert re.fullmatch(r'  a step \d s\n', capsys.readouterr().out)
    assert 'much' in log.read_text()


def test_a_step_has_a_bar_on_a_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('sys.stdout.isatty', lambda: True, raising=False)
    steps.run('a step', ['sleep', '1.2'], tmp_path / 'log', minutes=0.04)
    shown = capsys.readouterr().out
    assert re.match(r'\r  \[#{8,10}\.+\] a step: 1 s of about 2', shown)
    assert re.search(r'\r  \[#{20}\] a step: \d s\x1b\[K\n$', shown)
    assert shown.count('\n') == 1


def test_a_failing_step_shows_its_end(tmp_path, monkeypatch, capsys):
    log = tmp_path / 'log'
    with pytest.raises(SetupError, match=f'whole output is in {log}'):
        steps.run('a step', ['sh', '-c', 'echo why; exit 3'], log)
    assert 'why' in capsys.readouterr().err
