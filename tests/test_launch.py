import pytest
from mmengine.config import DictAction

from mmagic_inik.errors import InputError
from mmagic_inik.launch import _keep_paths_whole, spread_data_root

CONFIG = 'configs/iniknet_dpdd.py'


def test_data_root_reaches_every_data_set():
    given = [CONFIG, '--cfg-options', 'randomness.seed=1', 'data_root=/photos', '--amp']
    assert spread_data_root(given) == [
        CONFIG,
        '--cfg-options',
        'randomness.seed=1',
        'train_dataloader.dataset.data_root=/photos',
        'val_dataloader.dataset.data_root=/photos',
        'test_dataloader.dataset.data_root=/photos',
        'data_root=/photos',
        '--amp',
    ]


@pytest.mark.parametrize(
    'arguments',
    [[], ['--help'], [CONFIG, '--amp'], ['--cfg-options', 'data_root=x']],
    ids=['none', 'help', 'other options', 'no config'],
)
def test_other_command_lines_stay(arguments):
    assert spread_data_root(arguments) == arguments


def test_data_sets_on_their_own_root_keep_it(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(
        "data_root = 'here'\n"
        'train_dataloader = dict(dataset=dict(data_root=data_root))\n'
        "test_dataloader = dict(dataset=dict(data_root='there'))\n"
    )
    spread = spread_data_root([str(config), '--cfg-options', 'data_root=new'])
    assert 'train_dataloader.dataset.data_root=new' in spread
    assert 'test_dataloader.dataset.data_root=new' not in spread


def test_options_may_come_before_the_config():
    given = ['--work-dir', 'w', CONFIG, '--cfg-options', 'data_root=new']
    assert 'val_dataloader.dataset.data_root=new' in spread_data_root(given)


def test_absent_config_is_named():
    with pytest.raises(InputError, match='config absent.py does not exist'):
        spread_data_root(['absent.py'])


def test_paths_pass_options_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(DictAction, '_parse_iterable', DictAction._parse_iterable)
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a, b').mkdir()
    _keep_paths_whole()
    parse = DictAction._parse_iterable
    assert parse('/my photos/2024') == '/my photos/2024'
    assert parse('"/my photos"') == '/my photos'
    assert parse('a, b') == 'a, b'
    # Everything else is mmengine's.
    assert parse('1e-3') == 1e-3
    assert parse('[a/b,c]') == ['a/b', 'c']
    assert parse('None') is None
    assert parse('1,2') == [1, 2]
