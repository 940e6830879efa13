"""Layouts, presets and pairing rules, by the data sets that they lead to."""

import glob
import logging
import re
import shutil
import unicodedata
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.logging import MMLogger

from mmagic_inik.datasets import DefocusPairDataset
from mmagic_inik.datasets.layouts import PRESETS, Layout, make_layout, photos_of
from mmagic_inik.errors import InputError


def _write(root, *names, size=(6, 4)):
    """Photographs of noise, none like another."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = zlib.crc32(name.encode())
        shape = (*size[::-1], 3)
        pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
        done, data = cv2.imencode(path.suffix, pixels)
        assert done
        path.write_bytes(data.tobytes())


def _found(root, split='train', **options):
    data = DefocusPairDataset(str(root), split, **options)
    return [
        tuple(
            Path(item[key]).relative_to(root).as_posix()
            for key in ('img_path', 'gt_path')
            if key in item
        )
        for item in data
    ]


@pytest.fixture
def warnings_logged():
    messages = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.msg)
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


@pytest.mark.parametrize('parent', ['', 'dd_dp_dataset_png/'])
@pytest.mark.parametrize('split', ['train', 'val', 'test'])
def test_original_dpdd_with_and_without_its_parent(tmp_path, parent, split):
    folder = f'{parent}{split}_c'
    _write(tmp_path, f'{folder}/source/1P0A1.png', f'{folder}/target/1P0A2.png')
    assert _found(tmp_path, split) == [
        (f'{folder}/source/1P0A1.png', f'{folder}/target/1P0A2.png')
    ]


def test_lfdof_has_many_inputs_to_a_target(tmp_path):
    for split in ('train', 'test'):
        for scene in ('I2', 'I10', 'with_ap'):
            _write(tmp_path, f'{split}_data/ground_truth/{scene}.png')
            for n in (1, 2):
                name = f'{split}_data/input/{scene}/{scene}_ap{n}.png'
                _write(tmp_path, name)
    expected = [
        (f'{{}}_data/input/{s}/{s}_ap{n}.png', f'{{}}_data/ground_truth/{s}.png')
        for s in ('I2', 'I10', 'with_ap')
        for n in (1, 2)
    ]
    for split, place in (('train', 'train'), ('val', 'test'), ('test', 'test')):
        assert _found(tmp_path, split, preset='lfdof') == [
            tuple(path.format(place) for path in pair) for pair in expected
        ]


def test_lfdof_is_validated_on_its_test_photos_aloud(tmp_path, warnings_logged):
    _write(tmp_path, 'test_data/input/1/1_ap0.png', 'test_data/ground_truth/1.png')
    _found(tmp_path, 'test', preset='lfdof')
    assert not warnings_logged
    _found(tmp_path, 'val', preset='lfdof')
    assert warnings_logged == [
        f'{tmp_path} has no validation photos: the best checkpoint will have been '
        'chosen on the test photos.'
    ]


def test_realdof(tmp_path):
    _write(tmp_path, 'source/01.png', 'target/01.png')
    assert _found(tmp_path, 'test', preset='realdof') == [
        ('source/01.png', 'target/01.png')
    ]


def test_rtf(tmp_path):
    for n in ('00', '01', '10'):
        _write(tmp_path, f'image/0/image_{n}.png', f'GT/sharp_{n}.png')
    assert _found(tmp_path, 'test', preset='rtf') == [
        (f'image/0/image_{n}.png', f'GT/sharp_{n}.png') for n in ('00', '01', '10')
    ]


@pytest.mark.parametrize('folder', ['', 'image/'])
def test_cuhk_has_photos_without_ground_truth(tmp_path, folder):
    names = [f'{folder}out_of_focus{n:04}.jpg' for n in (1, 2)]
    # Motion blur is of no use here, and masks are no photos.
    _write(tmp_path, *names, f'{folder}motion0001.jpg', 'gt/out_of_focus0001.png')
    for split in ('val', 'test'):
        assert _found(tmp_path, split, preset='cuhk') == [(name,) for name in names]
    with pytest.raises(InputError, match='has no ground truth to train on'):
        _found(tmp_path, 'train', preset='cuhk')


def test_folders_of_splits_come_before_undivided_ones(tmp_path):
    _write(tmp_path, 'input/a.png', 'target/a.png')
    assert _found(tmp_path, 'test', preset='folders') == [
        ('input/a.png', 'target/a.png')
    ]
    _write(tmp_path, 'test/input/b.png', 'test/target/b.png')
    assert _found(tmp_path, 'test', preset='folders')[0][0] == 'test/input/b.png'


def test_names_pair_in_sub_folders(tmp_path):
    _write(tmp_path, 'input/a/1.jpg', 'input/b/1.jpg', 'input/2.JPG')
    _write(tmp_path, 'target/a/1.png', 'target/b/1.TIF', 'target/2.png')
    assert _found(tmp_path) == [
        ('input/2.JPG', 'target/2.png'),
        ('input/a/1.jpg', 'target/a/1.png'),
        ('input/b/1.jpg', 'target/b/1.TIF'),
    ]


def test_links_to_folders_are_followed(tmp_path):
    _write(tmp_path, 'elsewhere/1.png', 'target/scene/1.png')
    (tmp_path / 'input').mkdir()
    (tmp_path / 'input/scene').symlink_to(tmp_path / 'elsewhere')
    assert _found(tmp_path) == [('input/scene/1.png', 'target/scene/1.png')]


@pytest.mark.parametrize('pair_by', ['name', 'key'])
def test_accents_composed_in_two_ways_are_one_name(tmp_path, pair_by):
    name = 'Fenêtre à Kyōto'
    composed, split = (unicodedata.normalize(form, name) for form in ('NFC', 'NFD'))
    assert composed != split
    _write(tmp_path, f'input/{composed}.png', f'target/{split}.png')
    layout = dict(pair_by=pair_by)
    if pair_by == 'key':
        layout |= dict(input_key='(.+)', target_key='(.+)')
    assert _found(tmp_path, layout=layout) == [
        (f'input/{composed}.png', f'target/{split}.png')
    ]


def test_order_is_natural(tmp_path):
    _write(tmp_path, *[f'blurred/IMG_{n}.JPG' for n in (9, 10, 100)])
    _write(tmp_path, *[f'sharp/sharp {n}.png' for n in (2, 3, 20)])
    layout = dict(input='blurred', target='sharp', pair_by='order')
    assert _found(tmp_path, layout=layout) == [
        ('blurred/IMG_9.JPG', 'sharp/sharp 2.png'),
        ('blurred/IMG_10.JPG', 'sharp/sharp 3.png'),
        ('blurred/IMG_100.JPG', 'sharp/sharp 20.png'),
    ]


def test_key_pairs_files_of_one_folder(tmp_path):
    _write(tmp_path, 'day/1_blur.png', 'day/1_sharp.png', 'day/2_blur_b.png')
    _write(tmp_path, 'day/2_sharp.png', 'day/2_blur.png')
    layout = dict(
        input='day',
        target='day',
        pair_by='key',
        input_files='*_blur*',
        target_files='*_sharp*',
        input_key=r'(\d+)_blur.*',
        target_key=r'(\d+)_sharp',
    )
    assert _found(tmp_path, layout=layout) == [
        ('day/1_blur.png', 'day/1_sharp.png'),
        ('day/2_blur.png', 'day/2_sharp.png'),
        ('day/2_blur_b.png', 'day/2_sharp.png'),
    ]


def test_key_reports_what_has_no_partner(tmp_path):
    _write(tmp_path, 'input/1_a.png', 'input/2_a.png', 'input/odd.png')
    _write(tmp_path, 'target/1.png', 'target/3.png', 'target/x/1.png')
    layout = dict(pair_by='key', input_key='(.+)_a', target_key='(.+)')
    with pytest.raises(InputError) as caught:
        _found(tmp_path, layout=layout)
    for part in (
        f'{tmp_path}/input/2_a.png has no target',
        f'{tmp_path}/input/odd.png has no target',
        f'{tmp_path}/target/3.png has no input',
        f'{tmp_path}/target/1.png and {tmp_path}/target/x/1.png share one name',
    ):
        assert str(caught.value).count(part) == 1
    assert '1_a.png' not in str(caught.value)


@pytest.mark.parametrize('pair_by', ['name', 'key'])
def test_nothing_that_pairs_is_one_sentence_with_the_cure(tmp_path, pair_by):
    _write(tmp_path, *[f'input/a{n}.png' for n in range(3)])
    _write(tmp_path, *[f'target/b{n}.png' for n in range(3)])
    layout = dict(pair_by=pair_by)
    if pair_by == 'key':
        layout |= dict(input_key='x(.)', target_key='(.+)')
    expected = (
        f'nothing in {tmp_path}/input pairs with anything in {tmp_path}/target by '
        f'{pair_by}; choose another layout.pair_by (name, order, key, manifest)'
    )
    with pytest.raises(InputError, match=re.escape(expected) + '$'):
        _found(tmp_path, layout=layout)


MANIFEST = """\ufeff# input, target
photos/b.png, sharp/1.png

"photos/a, b.png",sharp/2.png
  # the same scene again
photos/c.png,{root}/sharp/2.png
"""


def test_manifest(tmp_path):
    names = ['photos/b.png', 'photos/a, b.png', 'photos/c.png']
    _write(tmp_path, *names, 'sharp/1.png', 'sharp/2.png', 'photos/unlisted.png')
    (tmp_path / 'list.csv').write_text(MANIFEST.format(root=tmp_path), 'utf-8')
    targets = ['sharp/1.png', 'sharp/2.png', 'sharp/2.png']
    expected = list(zip(names, targets, strict=True))
    for layout in (dict(manifest='list.csv'), dict(manifest=f'{tmp_path}/list.csv')):
        assert _found(tmp_path, layout=layout) == expected
    # Relative to the file, wherever the root is.
    (tmp_path / 'train').mkdir()
    lines = [f'../{i},../{t}' for i, t in expected if ', ' not in i]
    (tmp_path / 'train/list.csv').write_text('\n'.join(lines))
    data = DefocusPairDataset(str(tmp_path), layout=dict(manifest='{split}/list.csv'))
    assert [Path(item['img_path']).name for item in data] == ['b.png', 'c.png']


def test_manifest_of_inputs_alone(tmp_path):
    _write(tmp_path, 'a.png', 'b.png')
    (tmp_path / 'list.csv').write_text('b.png\na.png\n')
    layout = dict(manifest='list.csv')
    assert _found(tmp_path, 'test', layout=layout) == [('b.png',), ('a.png',)]
    with pytest.raises(InputError, match='has no ground truth to train on'):
        _found(tmp_path, 'train', layout=layout)


@pytest.mark.parametrize(
    ('content', 'problems'),
    [
        (
            'a.png,b.png\na.png,b.png,c\n,b.png\nx.png,y.png\n',
            [
                'line 2 is not `input,target` or `input`: a.png,b.png,c',
                'line 3 is not `input,target` or `input`: ,b.png',
                'line 4: {root}/x.png is no file',
                'line 4: {root}/y.png is no file',
            ],
        ),
        (
            'a.png,b.png\nb.png\n',
            ['list.csv has lines with and lines without a target'],
        ),
        ('# nothing\n\n', ['list.csv lists no photographs']),
        ('a.png,b.png\na.png,big.png', ['a.png is 6x4 pixels but its target']),
    ],
    ids=['lines', 'mixed', 'empty', 'sizes'],
)
def test_bad_manifest_is_reported_by_lines(tmp_path, content, problems):
    _write(tmp_path, 'a.png', 'b.png')
    _write(tmp_path, 'big.png', size=(8, 8))
    (tmp_path / 'list.csv').write_text(content)
    with pytest.raises(InputError) as caught:
        _found(tmp_path, layout=dict(manifest='list.csv'))
    for problem in problems:
        assert str(caught.value).count(problem.format(root=tmp_path)) == 1


def test_manifest_that_is_no_text(tmp_path):
    (tmp_path / 'list.csv').write_bytes(b'\xff\xfe\x00photo')
    with pytest.raises(
        InputError, match=r'list\.csv cannot be read .*save it as UTF-8'
    ):
        _found(tmp_path, layout=dict(manifest='list.csv'))


def test_absolute_folders_need_no_root(tmp_path):
    _write(tmp_path, 'a/1.png', 'b/1.png')
    layout = dict(input=f'{tmp_path}/a', target=f'{tmp_path}/b')
    data = DefocusPairDataset('not there', layout=layout)
    assert [item['gt_path'] for item in data] == [f'{tmp_path}/b/1.png']
    layout['target'] = f'{tmp_path}/c'
    with pytest.raises(InputError, match=f'{tmp_path}/c, which the layout names, does'):
        DefocusPairDataset('not there', layout=layout)


@pytest.mark.parametrize(
    ('share', 'kept_out'),
    [(0.01, 1), (0.1, 1), (0.25, 2), (0.5, 5), (0.99, 9)],
)
def test_val_share_divides_whole_targets(tmp_path, share, kept_out, warnings_logged):
    for n in range(1, 11):
        _write(tmp_path, f'target/{n}.png', f'input/{n}_a.png', f'input/{n}_b.png')
    options = dict(
        layout=dict(pair_by='key', input_key='(.+)_.', target_key='(.+)'),
        val_share=share,
    )
    train, test = (_found(tmp_path, s, **options) for s in ('train', 'test'))
    assert not warnings_logged
    val = _found(tmp_path, 'val', **options)
    assert val == test
    assert len(train) + len(val) == 20
    # The last in natural order: 10 comes after 9.
    last = {f'target/{n}.png' for n in range(11 - kept_out, 11)}
    assert {target for _, target in val} == last
    assert not last & {target for _, target in train}
    # As of a data set that has no validation photos.
    assert len(warnings_logged) == 1
    assert 'the best checkpoint will have been chosen on the test photos' in str(
        warnings_logged
    )


@pytest.mark.parametrize('manifest', [False, True])
def test_val_share_keeps_equal_targets_together(tmp_path, manifest):
    names = [f'{n}.png' for n in range(20)]
    for n, name in enumerate(names):
        for half in ('input', 'target'):
            (tmp_path / half).mkdir(exist_ok=True)
            image = np.full((8, 8, 3), n + 1 if half == 'target' else 0, np.uint8)
            cv2.imwrite(str(tmp_path / half / name), image)
    # Photo 3 again as the last but one.
    shutil.copy(tmp_path / 'target/3.png', tmp_path / 'target/18.png')
    options = {}
    if manifest:
        lines = [f'input/{n},target/{n}' for n in names]
        lines += ['input/19.png,input/../target/19.png', 'input/2.png,target/19.png']
        (tmp_path / 'list.csv').write_text('\n'.join(lines))
        options = dict(layout=dict(manifest='list.csv'))
    train, val = (
        _found(tmp_path, s, val_share=0.1, **options) for s in ('train', 'val')
    )
    pixels = [
        {cv2.imread(str(tmp_path / target))[0, 0, 0] for _, target in split}
        for split in (train, val)
    ]
    assert not pixels[0] & pixels[1]
    assert len(train) + len(val) == 20 + 2 * manifest


def test_manifest_names_accents_in_another_form(tmp_path):
    composed, apart = 'caf\u00e9', 'cafe\u0301'
    _write(tmp_path, f'{apart}/{composed} 1.png', f'{apart}/{apart} 2.png')
    line = f'{composed}/{apart} 1.png,{composed}/{composed} 2.png'
    (tmp_path / 'list.csv').write_text(line, encoding='utf-8')
    data = DefocusPairDataset(str(tmp_path), layout=dict(manifest='list.csv'))
    assert len(data) == 1
    assert Path(data[0]['img_path']).is_file()
    assert Path(data[0]['gt_path']).is_file()


def test_loops_of_links_are_not_followed_round(tmp_path):
    _write(tmp_path, 'input/a.png', 'input/sub/b.png', 'elsewhere/c.png')
    _write(tmp_path, 'target/a.png', 'target/sub/b.png', 'target/linked/c.png')
    (tmp_path / 'input/linked').symlink_to(tmp_path / 'elsewhere')
    # Two loops: 40 levels of either way.
    for name in ('loop', 'sub/loop'):
        (tmp_path / 'input' / name).symlink_to(tmp_path / 'input')
    assert _found(tmp_path) == [
        (f'input/{name}', f'target/{name}')
        for name in ('a.png', 'linked/c.png', 'sub/b.png')
    ]


@pytest.mark.parametrize(
    ('pattern', 'found'),
    [
        ('**/*', 'a.png b/c.png b/d/e.png'),
        ('**', 'a.png b/c.png b/d/e.png'),
        ('*.png', 'a.png'),
        ('*/*', 'b/c.png'),
        ('b/**', 'b/c.png b/d/e.png'),
        ('b/**/e*', 'b/d/e.png'),
        ('**/d/*', 'b/d/e.png'),
        ('*/**/*.png', 'b/c.png b/d/e.png'),
        ('**/.f/*', 'b/.f/g.png'),
    ],
)
def test_patterns_find_what_glob_does(tmp_path, pattern, found):
    for name in ('a.png', 'b/c.png', 'b/d/e.png', 'b/.f/g.png', 'b/.hidden.png'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    layout = Layout(str(tmp_path), None, input_files=pattern)
    photos, _ = photos_of(tmp_path, layout)
    names = [str(path.relative_to(tmp_path)) for path in photos]
    assert names == found.split()
    expected = glob.glob(pattern, root_dir=tmp_path, recursive=True)
    assert set(names) == {name for name in expected if name.endswith('.png')}


def test_val_share_divides_no_burst(tmp_path):
    # A tenth of the targets ends in the midst of the last one.
    names = [f'scene{n}_{m}.png' for n in range(5) for m in range(6)]
    _write(tmp_path, *[f'{half}/{n}' for half in ('input', 'target') for n in names])
    train, val = (_found(tmp_path, s, val_share=0.1) for s in ('train', 'val'))
    assert [target for _, target in val] == [f'target/{n}' for n in names[-6:]]
    assert len(train) == 24


def test_val_share_leaves_divided_data_alone(tmp_path):
    for split in ('train', 'val'):
        _write(tmp_path, *[f'{split}/{k}/{split}.png' for k in ('input', 'target')])
    for split in ('train', 'val'):
        found = _found(tmp_path, split, preset='folders', val_share=0.5)
        assert found == [(f'{split}/input/{split}.png', f'{split}/target/{split}.png')]


def test_one_target_cannot_be_divided(tmp_path):
    _write(tmp_path, 'input/a.png', 'target/a.png')
    expected = rf'val_share is 0\.1, but {tmp_path}/target/a\.png is the only photo, or'
    with pytest.raises(InputError, match=expected):
        _found(tmp_path, val_share=0.1)


@pytest.mark.parametrize('share', [-0.1, 1, 1.5])
def test_impossible_share(share):
    with pytest.raises(InputError, match=re.escape('val_share must be in [0, 1), got')):
        DefocusPairDataset('.', val_share=share, lazy_init=True)


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (
            dict(inputs='a'),
            'layout.inputs is unknown; a layout has input, target, pair',
        ),
        (dict(pair_by='names'), "layout.pair_by is 'names'; choose one of name, order"),
        (
            dict(pair_by='key'),
            'layout.input_key goes with layout.pair_by=key, but they are None',
        ),
        (
            dict(input_key='(a)', target_key='(a)'),
            "layout.input_key goes with layout.pair_by=key, but they are '(a)' and",
        ),
        (
            dict(pair_by='manifest'),
            'layout.manifest goes with layout.pair_by=manifest, but they are None',
        ),
        (
            dict(pair_by='key', input_key='a', target_key='(a)'),
            "layout.input_key 'a' has 0 groups; put one",
        ),
        (
            dict(pair_by='key', input_key='(a)', target_key='(a)(b)'),
            "layout.target_key '(a)(b)' has 2 groups; put one",
        ),
        (
            dict(pair_by='key', input_key='(a', target_key='(a)'),
            "layout.input_key '(a' is no regular expression",
        ),
    ],
    ids=[
        *('unknown', 'pair_by', 'no-key', 'idle-key', 'no-manifest', 'no-group'),
        *('groups', 'regex'),
    ],
)
def test_layout_that_makes_no_sense(options, expected):
    with pytest.raises(InputError, match=re.escape(expected)):
        make_layout(options)


def test_layout_overrides_the_defaults_key_by_key():
    assert make_layout(dict(pair_by='order')) == Layout('input', 'target', 'order')
    assert make_layout(dict(manifest='a.csv')).pair_by == 'manifest'


def test_presets_are_sound():
    for layouts in PRESETS.values():
        for layout in layouts:
            options = {
                key: value
                for key, value in layout._asdict().items()
                if value != Layout._field_defaults[key]
            }
            assert make_layout(options) == layout
