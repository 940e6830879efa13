import argparse
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import mmagic
import pytest
from mmengine.config import Config
from mmengine.runner import CheckpointLoader, Runner

from mmagic_inik import data_variables
from mmagic_inik.engine import spread_data_options
from mmagic_inik.engine.path_action import PathAction
from mmagic_inik.errors import InputError
from mmagic_inik.launch import find_modules_of, run_tool
from mmagic_inik.restoration import shipped

ROOT = Path(__file__).parents[1]
CONFIG = 'configs/iniknet_dpdd.py'


def test_data_root_reaches_every_data_set():
    given = {'randomness.seed': 1, 'data_root': '/photos'}
    spread = spread_data_options(Config.fromfile(CONFIG), given)
    # The user's own come last, and win.
    assert list(spread.items()) == [
        ('train_dataloader.dataset.data_root', '/photos'),
        ('val_dataloader.dataset.data_root', '/photos'),
        ('test_dataloader.dataset.data_root', '/photos'),
        *given.items(),
    ]


def test_other_options_stay():
    given = {'randomness.seed': 1, 'val_dataloader.dataset.data_root': 'x'}
    assert spread_data_options(Config.fromfile(CONFIG), given) == given


def test_data_sets_on_their_own_root_keep_it(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(
        "data_root = 'here'\n"
        'train_dataloader = dict(dataset=dict(data_root=data_root))\n'
        "test_dataloader = dict(dataset=dict(data_root='there'))\n"
    )
    spread = spread_data_options(Config.fromfile(config), {'data_root': 'new'})
    assert spread['train_dataloader.dataset.data_root'] == 'new'
    assert 'test_dataloader.dataset.data_root' not in spread


def test_a_variable_that_reaches_nothing_is_named():
    match = 'dpdd_root=/x reaches no data set of the config; .* are data_root$'
    with pytest.raises(InputError, match=match):
        spread_data_options(Config.fromfile(CONFIG), {'dpdd_root': '/x'})


def _final(arguments):
    """The config that MMagic's tools make of a command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
    parser.add_argument('--cfg-options', nargs='+', action=PathAction)
    args = parser.parse_args(arguments)
    config = Config.fromfile(args.config)
    config.merge_from_dict(args.cfg_options)
    return config


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


def test_no_target_is_none():
    given = ['configs/iniknet_folders.py', '--cfg-options', 'layout.target=None']
    assert _final(given).test_dataloader.dataset.layout == dict(target=None)


def test_preset_and_layout_reach_a_config_without_layout():
    given = [CONFIG, '--cfg-options', 'preset=rtf', 'layout.pair_by=order']
    for loader in ('train', 'val', 'test'):
        data_set = _final(given)[f'{loader}_dataloader'].dataset
        assert data_set.preset == 'rtf'
        assert data_set.layout == dict(pair_by='order')


@pytest.mark.parametrize('explicit_first', [True, False])
def test_a_data_set_named_on_its_own_wins(explicit_first):
    options = ['val_dataloader.dataset.data_root=/own', 'data_root=/all']
    config = _final([CONFIG, '--cfg-options', *options[:: 1 if explicit_first else -1]])
    assert config.val_dataloader.dataset.data_root == '/own'
    assert config.test_dataloader.dataset.data_root == '/all'


def test_lists_and_wrappers_of_data_sets_are_reached(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(
        "custom_imports = dict(imports=['mmagic_inik'])\n"
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


def test_each_set_of_all_has_its_own_root():
    given = ['configs/iniknet_all_sets.py', '--cfg-options']
    names = ['data', 'lfdof', 'realdof', 'rtf', 'cuhk']
    config = _final(given + [f'{name}_root=/{name}' for name in names])
    roots = [loader.dataset.data_root for loader in config.test_dataloader]
    assert roots == [f'/{name}' for name in names]
    assert config.train_dataloader.dataset.data_root == '/data'
    assert [x.dataset.data_root for x in config.val_dataloader] == ['/data', '/realdof']


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs MMagic's script up to its Runner: the config that this would get."""
    monkeypatch.setattr(CheckpointLoader, '_schemes', CheckpointLoader._schemes.copy())
    monkeypatch.setitem(data_variables._scope, 'every_config', False)
    monkeypatch.setattr(sys, 'path', sys.path[:])

    class ReachedError(Exception):
        """Instead of a training."""

    def stop(config):
        raise ReachedError(config)

    monkeypatch.setattr(Runner, 'from_cfg', stop)

    def run(script, *arguments):
        arguments = [*arguments, f'--work-dir={tmp_path / "work.json"}']
        monkeypatch.setattr(sys, 'argv', [script, *arguments])
        with pytest.raises(ReachedError) as caught:
            run_tool(script)
        return caught.value.args[0]

    return run


@pytest.mark.parametrize(
    'form',
    [['--cfg-options', 'data_root=new'], ['--cfg-options=data_root=new'], ['--cfg']],
    ids=['two words', 'one word', 'shortened'],
)
def test_options_may_be_written_as_argparse_takes_them(run, form):
    form = [*form, 'data_root=new'] if form == ['--cfg'] else form
    for line in ([CONFIG, *form], ['--launcher', 'none', CONFIG, *form]):
        config = run('train.py', *line)
        for loader in ('train', 'val', 'test'):
            assert config[f'{loader}_dataloader'].dataset.data_root == 'new'


@pytest.mark.parametrize('suffix', ['.yml', '.yaml', '.json', '.py'])
def test_options_reach_configs_of_every_kind(run, tmp_path, suffix):
    path = tmp_path / f'lr=1{suffix}'
    Config.fromfile(CONFIG).dump(path)
    config = run('train.py', str(path), '--cfg-options=data_root=new')
    assert config.train_dataloader.dataset.data_root == 'new'
    assert str(tmp_path) in sys.path


def test_values_of_options_are_not_taken_for_the_config(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('scores.json').write_text('{}')
    given = ['--out', 'scores.json', str(ROOT / CONFIG), 'checkpoint.pth']
    config = run('test.py', *given, '--cfg-options', 'data_root=new')
    assert config.test_dataloader.dataset.data_root == 'new'


@pytest.mark.parametrize(
    ('name', 'said'),
    [
        ('absent.py', 'config absent.py does not exist'),
        (__file__.replace('.py', '.txt'), 'does not exist'),
        ('README.md', 'config README.md does not end in .py, .yml'),
    ],
)
def test_what_is_no_config_is_named(run, monkeypatch, name, said):
    monkeypatch.setattr(sys, 'argv', ['train.py', name])
    with pytest.raises(SystemExit, match=f'^train: .*{said}'):
        run_tool('train.py')


def test_code_stays_out_whatever_the_environment_says(run, monkeypatch, capsys):
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    run('train.py', CONFIG)
    assert 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD is not needed' in capsys.readouterr().err
    assert os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] == '1'
    assert 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD' not in os.environ


def test_configs_of_others_are_merged_as_mmengine_does(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(
        "data_root = 'here'\ntrain_dataloader = dict(dataset=dict(data_root='here'))\n"
    )
    config = Config.fromfile(path)
    config.merge_from_dict(dict(data_root='new', other_root='x'))
    assert config.train_dataloader.dataset.data_root == 'here'


@pytest.mark.long
@pytest.mark.parametrize('script', ['train.py', 'test.py'])
def test_data_root_reaches_the_data_sets_of_mmagics_own_scripts(script, tmp_path):
    path = Path(mmagic.__file__).parent / '.mim' / 'tools' / script
    command = [sys.executable, path, ROOT / 'configs/iniknet_small_synthetic.py']
    if script == 'test.py':
        command.append(shipped.WEIGHTS)
    command += ['--work-dir', tmp_path, '--cfg-options', f'data_root={tmp_path}/none']
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        env=os.environ | dict(PYTHONPATH=str(ROOT)),
    )
    assert done.returncode
    assert f'{tmp_path}/none' in done.stderr.strip().splitlines()[-1]


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


def test_paths_pass_options_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a, b').mkdir()
    parser = argparse.ArgumentParser()
    parser.add_argument('--options', nargs='+', action=PathAction)
    given = dict(
        folder='/my photos/2024',
        quoted='"/my photos"',
        existing='a, b',
        # Everything else is mmengine's.
        number='1e-3',
        both='[a/b,c]',
        nothing='None',
        numbers='1,2',
    )
    texts = [f'{name}={value}' for name, value in given.items()]
    # What is given again has its last value.
    args = parser.parse_args(['--options', 'folder=3', *texts, 'number=/a b'])
    assert args.options == dict(
        folder='/my photos/2024',
        quoted='/my photos',
        existing='a, b',
        number='/a b',
        both=['a/b', 'c'],
        nothing=None,
        numbers=[1, 2],
    )
    args = parser.parse_args(['--options', 'folder=/a b', 'folder=3'])
    assert args.options == dict(folder=3)


def test_the_launcher_parses_paths_whole(run):
    config = run('train.py', CONFIG, '--cfg-options', 'data_root=/my photos/2024')
    assert config.data_root == '/my photos/2024'
