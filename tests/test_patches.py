"""What is changed of other packages stands in one file, and names its versions."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import mmagic.registry
import mmengine.config
import pytest
from mmagic.apis import mmagic_inferencer
from mmengine.analysis import complexity_analysis

import mmagic_inik
from mmagic_inik import patches

PACKAGE = Path(mmagic_inik.__file__).parent
# The process's own command line, and a setting that Pillow documents.
SETTINGS = {'sys.argv', 'ImageFile.MAXBLOCK'}


def _names(tree):
    """What a module calls what it imports from other packages."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((a.asname or a.name).split('.')[0] for a in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (a.asname or a.name for a in node.names)


def _root(node):
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return getattr(node, 'id', None)


def _changed(code):
    """Attributes of other packages, and methods of whatever class, that are set."""
    tree = ast.parse(code)
    foreign = set(_names(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            is_method = node.attr.startswith('__') and _root(node) != 'self'
            if is_method or _root(node) in foreign:
                yield ast.unparse(node)
        elif isinstance(node, ast.Call) and _root(node.func) == 'setattr':
            yield from {_root(node.args[0])} & foreign


@pytest.mark.parametrize(
    'change',
    [
        'mmengine.config.Config.merge = ours',
        'Config.merge, x = ours, 3',
        'del Config.merge',
        'Config.count += 1',
        'setattr(Config, name, ours)',
        'something.__init__ = ours',
    ],
)
def test_changes_are_found(change):
    imports = 'import mmengine\nfrom mmengine.config import Config\n'
    assert list(_changed(imports + change))
    assert not list(_changed(imports + 'self.config = Config.of(mmengine.x)'))


def test_other_packages_are_changed_in_one_file():
    found = {
        (path.relative_to(PACKAGE).as_posix(), name)
        for path in PACKAGE.rglob('*.py')
        for name in set(_changed(path.read_text('utf-8'))) - SETTINGS
    }
    assert {path for path, _ in found} == {'patches.py'}


@pytest.mark.parametrize(
    ('change', 'of', 'package', 'version'),
    [
        ('add_locations', 'mmagic.registry', 'mmengine', '0.11.0'),
        ('let_options_reach_data_sets', 'mmengine.config', 'mmengine', '1.0.0'),
        (
            'count_baddbmm',
            'mmengine.analysis.complexity_analysis',
            'mmengine',
            '0.9.1',
        ),
        ('add_inferencer', 'mmagic.apis.mmagic_inferencer', 'mmagic', '1.3.0'),
    ],
)
def test_another_version_is_refused_in_a_sentence(
    monkeypatch, change, of, package, version
):
    monkeypatch.setattr(import_module(f'{package}.version'), '__version__', version)
    listed = list(mmagic_inferencer.MMagicInferencer.inference_supported_models)
    before = [
        mmengine.config.Config.merge_from_dict,
        mmagic_inferencer.Inferencers.__init__,
        complexity_analysis._DEFAULT_SUPPORTED_FLOP_OPS.copy(),
    ]
    arguments = [import_module(of)]
    if change == 'add_locations':
        arguments.append(dict(HOOKS=['nowhere']))
    match = rf'^mmagic_inik knows .* and {version} is installed; install MM\w+ \d\.\d+'
    with pytest.raises(ImportError, match=match):
        getattr(patches, change)(*arguments)
    assert before == [
        mmengine.config.Config.merge_from_dict,
        mmagic_inferencer.Inferencers.__init__,
        complexity_analysis._DEFAULT_SUPPORTED_FLOP_OPS,
    ]
    assert listed == mmagic_inferencer.MMagicInferencer.inference_supported_models
    assert 'nowhere' not in mmagic.registry.HOOKS._locations


def test_versions_are_those_that_setup_allows():
    setup = (PACKAGE.parent / 'setup.py').read_text('utf-8')
    assert "'mmengine>=0.10.5,<0.11'" in setup
    assert "'mmagic>=1.2,<1.3'" in setup
    assert dict(mmengine='0.10.', mmagic='1.2.') == patches._MADE_FOR


@pytest.mark.long
@pytest.mark.parametrize('first', ['data_variables', 'engine', 'registry', 'launch'])
def test_any_module_may_be_the_one_that_brings_mmengine(first):
    program = f"""
import mmagic_inik.{first}
from mmengine.config import Config
config = Config(dict(a=1))
config.merge_from_dict(dict(a=2))
assert config.a == 2
"""
    subprocess.run([sys.executable, '-c', program], check=True)
