import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from mmengine.config import Config, DictAction

from mmagic_inik.errors import InputError
from mmagic_inik.launch import (
    find_modules_of,
    keep_paths_whole,
    spread_data_options,
)

CONFIG = 'configs/iniknet_dpdd.py'


def test_data_root_reaches_every_data_set():
    given = [CONFIG, '--cfg-options', 'randomness.seed=1', 'data_root=/photos', '--amp']
    assert spread_data_options(given) == [
        CONFIG,
        '--cfg-options',
        'train_dataloader.dataset.data_root=/photos',
        'val_dataloader.dataset.data_root=/photos',
        'test_dataloader.dataset.data_root=/photos',
        'randomness.seed=1',
        'data_root=/photos',
        '--amp',
    ]


@pytest.mark.parametrize(
    'arguments',
    [[], ['--help'], [CONFIG, '--amp'], ['--cfg-options', 'data_root=x']],
    ids=['none', 'help', 'other options', 'no config'],
)
def test_other_command_lines_stay(arguments):
    assert spread_data_options(arguments) == arguments


def test_data_sets_on_their_own_root_keep_it(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(
        "data_root = 'here'\n"
        'train_dataloader = dict(dataset=dict(data_root=data_root))\n'
        "test_dataloader = dict(dataset=dict(data_root='there'))\n"
    )
    spread = spread_data_options([str(config), '--cfg-options', 'data_root=new'])
    assert 'train_dataloader.dataset.data_root=new' in spread
    assert 'test_dataloader.dataset.data_root=new' not in spread


def _final(arguments):
    """The config that MMagic's tools make of a command line."""
    arguments = spread_data_options(arguments)
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    args = parser.parse_args(arguments)
    config = Config.fromfile(args.config)
    config.merge_from_dict(args.cfg_options)
    return config


@pytest.fixture
def whole_paths(monkeypatch):
    for name in ('_parse_iterable', '__call__'):
        monkeypatch.setattr(DictAction, name, DictAction.__dict__[name])
    keep_paths_whole()


@pytest.mark.usefixtures('whole_paths')
def test_a_strangers_folders_reach_every_data_set():
    config = _final(
        [
            'configs/iniknet_folders.py',
            '--cfg-options',
            'data_root=/my photos',
            'layout.input=out of focus, 2024',
            'layout.target=/a/sharp',
            'layout.pair_by=key',
            'layout.input_key=(.+)',
            r'layout.target_key=(.+)_\d{1,2}',
            'val_share=0.2',
        ]
    )
    for loader in ('train', 'val', 'test'):
        data_set = config[f'{loader}_dataloader'].dataset
        assert data_set.data_root == '/my photos'
        assert data_set.layout == dict(
            input='out of focus, 2024',
            target='/a/sharp',
            pair_by='key',
            input_key='(.+)',
            target_key=r'(.+)_\d{1,2}',
        )
        assert data_set.val_share == 0.2
        assert data_set.split == loader


@pytest.mark.usefixtures('whole_paths')
def test_no_target_is_none():
    given = ['configs/iniknet_folders.py', '--cfg-options', 'layout.target=None']
    assert _final(given).test_dataloader.dataset.layout == dict(target=None)


@pytest.mark.usefixtures('whole_paths')
def test_preset_and_layout_reach_a_config_without_layout():
    given = [CONFIG, '--cfg-options', 'preset=rtf', 'layout.pair_by=order']
    for loader in ('train', 'val', 'test'):
        data_set = _final(given)[f'{loader}_dataloader'].dataset
        assert data_set.preset == 'rtf'
        assert data_set.layout == dict(pair_by='order')


@pytest.mark.parametrize('explicit_first', [True, False])
@pytest.mark.usefixtures('whole_paths')
def test_a_data_set_named_on_its_own_wins(explicit_first):
    options = ['val_dataloader.dataset.data_root=/own', 'data_root=/all']
    config = _final([CONFIG, '--cfg-options', *options[:: 1 if explicit_first else -1]])
    assert config.val_dataloader.dataset.data_root == '/own'
    assert config.test_dataloader.dataset.data_root == '/all'


@pytest.mark.usefixtures('whole_paths')
def test_lists_and_wrappers_of_data_sets_are_reached(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(
        "data_root = 'here'\n"
        "other_root = 'there'\n"
        'val_share = 0.1\n'
        'own = dict(data_root=data_root, val_share=val_share)\n'
        "wrapped = dict(type='RepeatDataset', dataset=own)\n"
        'both = [dict(dataset=own), dict(dataset=dict(data_root=other_root))]\n'
        'train_dataloader = dict(dataset=wrapped)\n'
        'val_dataloader = both\n'
        "joined = [own, dict(data_root='elsewhere', val_share=val_share)]\n"
        "test_dataloader = dict(dataset=dict(type='ConcatDataset', datasets=joined))\n"
    )
    final = _final(
        [
            str(config),
            '--cfg-options',
            'data_root=/a b',
            'other_root=/c',
            'val_share=0.3',
        ]
    )
    new = dict(data_root='/a b', val_share=0.3)
    assert final.train_dataloader.dataset.dataset == new
    assert [loader.dataset for loader in final.val_dataloader] == [
        new,
        dict(data_root='/c'),
    ]
    assert final.test_dataloader.dataset.datasets == [
        new,
        dict(data_root='elsewhere', val_share=0.1),
    ]


@pytest.mark.usefixtures('whole_paths')
def test_each_set_of_all_has_its_own_root():
    given = ['configs/iniknet_all_sets.py', '--cfg-options']
    names = ['data', 'lfdof', 'realdof', 'rtf', 'cuhk']
    config = _final(given + [f'{name}_root=/{name}' for name in names])
    roots = [loader.dataset.data_root for loader in config.test_dataloader]
    assert roots == [f'/{name}' for name in names]
    assert config.train_dataloader.dataset.data_root == '/data'
    assert [x.dataset.data_root for x in config.val_dataloader] == ['/data', '/realdof']


def test_options_may_come_before_the_config():
    given = ['--work-dir', 'w', CONFIG, '--cfg-options', 'data_root=new']
    assert 'val_dataloader.dataset.data_root=new' in spread_data_options(given)


def test_absent_config_is_named():
    with pytest.raises(InputError, match='config absent.py does not exist'):
        spread_data_options(['absent.py'])


@pytest.fixture
def search_path(monkeypatch):
    monkeypatch.setattr(sys, 'path', sys.path[:])
    return sys.path


@pytest.mark.usefixtures('search_path')
def test_modules_are_found_beside_the_config_then_here(tmp_path, monkeypatch):
    for folder, names in (
        ('beside', ('in_both', 'only_beside')),
        ('here', ('in_both', 'only_here', 'tifffile')),
    ):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / f'{name}.py').touch()
    monkeypatch.chdir(tmp_path / 'here')
    find_modules_of('../beside/config.py')
    # Wherever the process goes, the names mean the same.
    monkeypatch.chdir(tmp_path)
    for name, folder in (
        ('in_both', 'beside'),
        ('only_beside', 'beside'),
        ('only_here', 'here'),
    ):
        path = Path(find_spec(name).origin)
        assert path.samefile(tmp_path / folder / f'{name}.py')
    # What is installed keeps its name.
    monkeypatch.delitem(sys.modules, 'tifffile', raising=False)
    assert not Path(find_spec('tifffile').origin).is_relative_to(tmp_path)


@pytest.mark.parametrize('config', [None, 'config.py', './config.py'])
def test_a_folder_is_searched_once(search_path, tmp_path, monkeypatch, config):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        find_modules_of(config)
    assert search_path.count(str(tmp_path)) == 1


@pytest.mark.usefixtures('whole_paths')
def test_paths_pass_options_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a, b').mkdir()
    parse = DictAction._parse_iterable
    assert parse('/my photos/2024') == '/my photos/2024'
    assert parse('"/my photos"') == '/my photos'
    assert parse('a, b') == 'a, b'
    # Everything else is mmengine's.
    assert parse('1e-3') == 1e-3
    assert parse('[a/b,c]') == ['a/b', 'c']
    assert parse('None') is None
    assert parse('1,2') == [1, 2]
