from pathlib import Path

import pytest

from mmagic_inik.datasets.holding_out import held_out
from mmagic_inik.errors import InputError


def kept_out(names, share=0.1):
    """Names that are kept out, in the order given; the order of asking is another."""
    chosen = held_out(map(Path, reversed(names)), share)
    return [name for name in names if Path(name) in chosen]


@pytest.mark.parametrize(
    ('names', 'expected'),
    [
        ([f'scene{n}_{m}.png' for n in range(20) for m in range(10)], 20),
        ([f'DIV2K_{n:04}_s{m:03}.png' for n in range(50) for m in range(40)], 200),
        ([f'{n}-x{x}-y{y}.png' for n in range(9) for x in range(3) for y in '12'], 6),
        ([f'walk {n}/{m}.jpg' for n in range(22) for m in range(100)], 200),
        ([f'video/{n}/a/{m}.jpg' for n in range(5) for m in range(12)], 12),
        ([f'd{n:02}/photo{m}.jpg' for n in range(4) for m in range(2)], 2),
        ([f'tree_{n:02}{kind}' for n in range(30) for kind in ('.jpg', '.png')], 6),
        ([f'/a b/IMG_{day}_{n}.jpg' for day in range(1, 31) for n in range(9)], 27),
    ],
    ids=['bursts', 'tiles', 'sub-images', 'folders', 'few', 'once', 'views', 'days'],
)
def test_groups_of_names_are_not_divided(names, expected):
    chosen = kept_out(names)
    assert len(chosen) == expected
    # They are the last ones, so whatever groups exist are cut at most once; and what
    # stands before the last number differs there.
    assert chosen == names[-expected:]
    first, before = (Path(names[-n]) for n in (expected, expected + 1))
    assert (first.parent, first.stem) != (before.parent, before.stem)


@pytest.mark.parametrize(
    ('share', 'expected'), [(0.01, 1), (0.1, 3), (0.5, 15), (0.99, 29)]
)
def test_names_without_groups_are_kept_out_as_one_run(share, expected):
    names = [f'img_{n}.jpg' for n in range(30)]
    assert kept_out(names, share) == names[-expected:]


def test_burst_that_no_name_tells_is_cut_once():
    # Forty bursts of five, as cameras number them.
    names = [f'IMG_{n:04}.jpg' for n in range(1000, 1200)]
    chosen = {names.index(name) for name in kept_out(names, 0.11)}
    bursts = {n // 5 for n in chosen}
    split = [b for b in bursts if not set(range(5 * b, 5 * b + 5)) <= chosen]
    assert len(chosen) == 22
    assert len(split) == 1


def test_folders_of_data_sets_give_their_share_each():
    folders = dict(bsds500=500, urban100=100, wallpapers=67)
    names = [
        f'{k}/{k[0]} ({n}).jpg' for k, size in folders.items() for n in range(size)
    ]
    chosen = kept_out(names)
    counts = {k: sum(name.startswith(k) for name in chosen) for k in folders}
    assert counts == dict(bsds500=50, urban100=10, wallpapers=7)


def test_one_large_group_is_left_to_training():
    names = [f'a{n}.jpg' for n in range(60)] + [f'z_{n}.jpg' for n in range(40)]
    names += [f'z_0_{n}.jpg' for n in range(30)]
    chosen = kept_out(names)
    assert 5 <= len(chosen) <= 30
    assert sum(name.startswith('z_0') for name in chosen) in (0, 31)


def test_accents_composed_in_two_ways_are_one_name():
    composed, apart = 'caf\u00e9', 'cafe\u0301'
    names = [f'{n}.png' for n in range(8)] + [f'{composed}_1.png', f'{apart}_2.png']
    assert set(kept_out(names, 0.2)) == set(names[-2:])


@pytest.mark.parametrize('names', [['a.png'], ['a.png', 'a.jpg']], ids=str)
def test_what_cannot_be_divided(names):
    with pytest.raises(InputError, match=r'val_share is 0.1, but a\.\w+ is the only'):
        held_out(map(Path, names), 0.1)
