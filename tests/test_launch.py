import pytest

from mmagic_inik.launch import spread_data_root

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
    [[], ['--help'], [CONFIG, '--amp'], ['absent.py', '--cfg-options', 'data_root=x']],
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
