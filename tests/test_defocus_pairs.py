import logging
import pickle
import random
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmagic.registry import DATASETS, MODELS, TRANSFORMS
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.logging import MMLogger
from natsort import natsorted

from mmagic_inik.datasets import (
    DefocusPairDataset,
    LoadDefocusPair,
    defocus_pairs,
    photo_size,
)
from mmagic_inik.errors import InputError

CONFIG = Path(__file__).parents[1] / 'configs/_base_/datasets/dpdd.py'
LAYOUTS = {
    'train': [
        ('train_c/source', 'train_c/target'),
        ('train/inputC', 'train/target'),
        ('train/input', 'train/target'),
        ('input', 'target'),
    ],
    'val': [
        ('val_c/source', 'val_c/target'),
        ('val/inputC', 'val/target'),
        ('val/input', 'val/target'),
        ('test/inputC', 'test/target'),
        ('test/input', 'test/target'),
        ('input', 'target'),
    ],
    'test': [
        ('test_c/source', 'test_c/target'),
        ('test/inputC', 'test/target'),
        ('test/input', 'test/target'),
        ('input', 'target'),
    ],
}


def _write(path, size=(6, 4), value=None):
    """A photograph of size (width, height): noise, or one value everywhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (*size[::-1], 3)
    pixels = (
        np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        if value is None
        else np.full(shape, value, np.uint8)
    )
    done, data = cv2.imencode(path.suffix, pixels)
    assert done
    path.write_bytes(data.tobytes())
    return path


def _pairs(root, folders=('input', 'target'), names=('a.png',)):
    for folder in folders:
        for name in names:
            _write(root / folder / name)


def _found(root, split='train', **options):
    data = DefocusPairDataset(str(root), split, **options)
    return [
        tuple(str(Path(item[key]).relative_to(root)) for key in ('img_path', 'gt_path'))
        for item in data
    ]


@pytest.mark.parametrize(
    ('split', 'folders'),
    [(split, folders) for split, known in LAYOUTS.items() for folders in known],
    ids=lambda x: x if isinstance(x, str) else x[0].replace('/', '-'),
)
def test_layouts(tmp_path, split, folders):
    _pairs(tmp_path, folders, ('1.png', '2.png'))
    assert _found(tmp_path, split) == [
        (f'{folders[0]}/{name}', f'{folders[1]}/{name}') for name in ('1.png', '2.png')
    ]


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
def test_first_layout_wins(tmp_path, split):
    for n, folders in enumerate(LAYOUTS[split]):
        _pairs(tmp_path, folders, [f'{n}.png'])
    assert _found(tmp_path, split)[0][0] == f'{LAYOUTS[split][0][0]}/0.png'


def test_splits_do_not_mix(tmp_path):
    _pairs(tmp_path, ('train_c/source', 'train_c/target'))
    with pytest.raises(InputError, match='has no known layout; for test one of these'):
        _found(tmp_path, 'test')


def test_original_names_pair_by_order(tmp_path):
    # As in DPDD: source and target of a scene are one or two numbers apart.
    inputs = ['1P0A0917.png', '1P0A0933.png', '1P0A0960.png']
    targets = ['1P0A0916.png', '1P0A0931.png', '1P0A0961.png']
    _pairs(tmp_path, ['train_c/source'], inputs)
    _pairs(tmp_path, ['train_c/target'], targets)
    assert _found(tmp_path) == [
        (f'train_c/source/{i}', f'train_c/target/{t}')
        for i, t in zip(inputs, targets, strict=True)
    ]


@pytest.mark.parametrize('folders', [('input', 'target'), LAYOUTS['train'][0]])
def test_natural_order(tmp_path, folders):
    _pairs(tmp_path, folders, ['img10.png', 'img2.png', 'img1.png'])
    found = [Path(img).name for img, _ in _found(tmp_path)]
    assert found == ['img1.png', 'img2.png', 'img10.png']


def test_extensions_may_differ(tmp_path):
    _pairs(tmp_path, ['input'], ['a.jpg', 'b.c.PNG', 'd.tif'])
    _pairs(tmp_path, ['target'], ['a.png', 'b.c.bmp', 'd.webp'])
    assert _found(tmp_path) == [
        ('input/a.jpg', 'target/a.png'),
        ('input/b.c.PNG', 'target/b.c.bmp'),
        ('input/d.tif', 'target/d.webp'),
    ]


def test_other_files_are_not_looked_at(tmp_path):
    _pairs(tmp_path)
    for name in ('.DS_Store', '._a.png', 'Thumbs.db', 'notes.txt'):
        (tmp_path / 'input' / name).write_text('no photograph')
    assert _found(tmp_path) == [('input/a.png', 'target/a.png')]


def test_options_of_the_base_class(tmp_path):
    _pairs(tmp_path, names=['a.png', 'b.png', 'c.png'])
    assert len(_found(tmp_path, indices=2)) == 2
    lazy = DefocusPairDataset(str(tmp_path / 'absent'), lazy_init=True)
    with pytest.raises(InputError, match='is not a folder'):
        lazy.full_init()
    assert lazy.metainfo['task_name'] == 'deblurring'


@pytest.mark.parametrize(
    ('folders', 'warned'),
    [(('input', 'target'), True), (('train/input', 'train/target'), False)],
    ids=['plain', 'divided'],
)
def test_undivided_data_is_announced(tmp_path, folders, warned):
    _pairs(tmp_path, folders, ['a.png', 'b.png'])
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append((record.levelname, record.msg))
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        _found(tmp_path)
    finally:
        logger.removeHandler(handler)
    expected = (
        f'{tmp_path} is not divided into train, val and test: all 2 pairs are used for '
        'train.'
    )
    assert (('WARNING', expected) in messages) == warned


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
@pytest.mark.parametrize('made', ['absent', 'file', 'unknown', 'half', 'empty'])
def test_nothing_to_find(tmp_path, made, split):
    root = tmp_path / 'my data'
    expected = {
        'absent': f'data set {root} is not a folder; ',
        'file': f'data set {root} is not a folder; ',
        'unknown': f'data set {root} has no known layout; ',
        'half': f'data set {root} has no known layout; ',
        'empty': f'{root / "input"} and {root / "target"} hold no photographs',
    }[made]
    if made == 'file':
        root.write_text('')
    elif made == 'unknown':
        _pairs(root, ['blurred', 'sharp'])
    elif made == 'half':
        _pairs(root, ['input'])
    elif made == 'empty':
        (root / 'input').mkdir(parents=True)
        (root / 'target').mkdir()
        (root / 'input/readme.txt').write_text('')
    with pytest.raises(InputError, match=re.escape(expected)) as caught:
        _found(root, split)
    message = str(caught.value)
    assert '\n' not in message
    for folders in LAYOUTS[split]:
        assert ' + '.join(folders) in message
    assert '--cfg-options data_root=PATH' in message


def test_all_problems_are_reported_at_once(tmp_path):
    names = [f'{name}.png' for name in ('good', 'size', 'cut', 'text', 'twice', 'big')]
    _pairs(tmp_path, names=names)
    root = tmp_path
    _write(root / 'input/lonely.png')
    _write(root / 'target/alone.jpg')
    _write(root / 'target/size.png', (8, 4))
    _write(root / 'input/twice.jpg')
    data = (root / 'target/cut.png').read_bytes()
    (root / 'target/cut.png').write_bytes(data[:-20])
    (root / 'input/text.png').write_text('not a photograph')
    (root / 'target/big.png').unlink()
    (root / 'target/big.png').mkdir()
    with pytest.raises(InputError) as caught:
        _found(root)
    start, *problems = re.split(': |; (?!replace)', str(caught.value))
    assert start == f'{root} has files that cannot be used'
    cannot = 'cannot be read as a photograph'
    expected = [
        f'{root}/input/lonely.png has no target',
        f'{root}/target/alone.jpg has no input',
        f'{root}/input/twice.jpg and {root}/input/twice.png share one name',
        f'{root}/input/size.png is 6x4 pixels but its target '
        f'{root}/target/size.png 8x4',
        f'{root}/target/cut.png {cannot}',
        f'{root}/input/text.png {cannot}',
        f'{root}/target/big.png {cannot}',
    ]
    for problem in expected:
        assert sum(found.startswith(problem) for found in problems) == 1, problem
    assert 'good' not in str(caught.value)


@pytest.mark.parametrize('count', [50, 51, 73])
def test_many_problems_are_counted(tmp_path, count):
    _pairs(tmp_path)
    for n in range(count):
        (tmp_path / f'input/x{n}.png').write_text('')
    with pytest.raises(InputError) as caught:
        _found(tmp_path)
    message = str(caught.value)
    assert message.count('has no target') == min(count, 50)
    assert ('more' in message) == (count > 50)
    if count > 50:
        assert message.endswith(f'; and {count - 50} more')
    # In natural order, so that a long list can be followed.
    assert message.index('x2.png') < message.index('x10.png')


def test_order_needs_as_many_of_either(tmp_path):
    _pairs(tmp_path, ['train_c/source'], ['1.png', '3.png', '5.png'])
    _pairs(tmp_path, ['train_c/target'], ['2.png', '4.png'])
    source, target = (tmp_path / 'train_c' / name for name in ('source', 'target'))
    expected = f'{source} holds 3 and {target} 2 photographs'
    with pytest.raises(InputError, match=re.escape(expected)):
        _found(tmp_path)


def test_order_names_an_empty_folder(tmp_path):
    _pairs(tmp_path, ['train_c/source'], ['1.png'])
    target = tmp_path / 'train_c/target'
    target.mkdir()
    expected = f'{target.parent / "source"} holds 1 and {target} 0 photographs'
    with pytest.raises(InputError, match=re.escape(expected)):
        _found(tmp_path)


def test_pairs_by_order_are_checked(tmp_path):
    _write(tmp_path / 'val_c/source/1.png', (6, 4))
    _write(tmp_path / 'val_c/target/2.png', (4, 6))
    expected = r'1\.png is 6x4 pixels but its target .*2\.png 4x6; replace or remove'
    with pytest.raises(InputError, match=expected):
        _found(tmp_path, 'val')


@pytest.mark.parametrize(
    ('option', 'expected'),
    [
        ({'preset': 'dppd'}, r"preset must be in \('dpdd'.*, got 'dppd'"),
        (
            {'split': 'Train'},
            r"split must be in \('train', 'val', 'test'\), got 'Train'",
        ),
    ],
    ids=['preset', 'split'],
)
def test_unknown_option(tmp_path, option, expected):
    _pairs(tmp_path)
    with pytest.raises(ValueError, match=expected):
        DefocusPairDataset(str(tmp_path), **option)


def _paths(root, **values):
    return {
        f'{key}_path': str(_write(root / f'{key}.png', value=value))
        for key, value in values.items()
    }


@pytest.mark.parametrize('use_cache', [False, True], ids=['read', 'cache'])
def test_load_pair(tmp_path, use_cache):
    paths = _paths(tmp_path, img=10, gt=20)
    # OpenCV writes BGR.
    cv2.imwrite(paths['img_path'], np.full((4, 6, 3), (1, 2, 3), np.uint8))
    load = TRANSFORMS.build(dict(type='LoadDefocusPair', use_cache=use_cache))
    results = load(dict(paths))
    assert results['img'].shape == (4, 6, 3)
    assert results['img'][0, 0].tolist() == [3, 2, 1]
    assert (results['gt'] == 20).all()
    assert results['img_channel_order'] == results['gt_channel_order'] == 'RGB'
    assert results['ori_img_shape'] == results['ori_gt_shape'] == (4, 6, 3)
    assert results['scale'] == 1
    assert results['img_path'] == paths['img_path']


@pytest.mark.parametrize('use_cache', [False, True], ids=['read', 'cache'])
def test_changed_images_are_not_given_out(tmp_path, use_cache):
    paths = _paths(tmp_path, img=10, gt=20)
    load = LoadDefocusPair(use_cache)
    for _ in range(3):
        results = load(dict(paths))
        assert (results['img'] == 10).all()
        assert (results['gt'] == 20).all()
        results['img'] += 1
        results['gt'][:] = 0


@pytest.mark.parametrize('use_cache', [False, True], ids=['read', 'cache'])
def test_cache_saves_reading(tmp_path, use_cache):
    paths = _paths(tmp_path, img=10, gt=20)
    load = LoadDefocusPair(use_cache)
    load(dict(paths))
    _paths(tmp_path, img=30, gt=40)
    results = load(dict(paths))
    assert results['img'][0, 0, 0] == (10 if use_cache else 30)
    assert results['gt'][0, 0, 0] == (20 if use_cache else 40)


@pytest.mark.parametrize('use_cache', [False, True], ids=['read', 'cache'])
def test_load_pair_reaches_spawned_workers(tmp_path, use_cache):
    paths = _paths(tmp_path, img=10, gt=20)
    load = pickle.loads(pickle.dumps(LoadDefocusPair(use_cache)))
    assert load(dict(paths))['gt'][0, 0, 0] == 20


def test_load_pair_of_different_size(tmp_path):
    paths = _paths(tmp_path, img=10)
    paths['gt_path'] = str(_write(tmp_path / 'gt.png', (6, 5)))
    expected = r'img\.png is 6x4 pixels but its target .*gt\.png 6x5; replace'
    with pytest.raises(InputError, match=expected):
        LoadDefocusPair()(paths)


def test_load_pair_names_a_damaged_file(tmp_path):
    paths = _paths(tmp_path, img=10, gt=None)
    data = Path(paths['gt_path']).read_bytes()
    Path(paths['gt_path']).write_bytes(data[:-30])
    with pytest.raises(InputError, match=r'gt\.png cannot be read as a photograph'):
        LoadDefocusPair()(paths)


def _loader(root, which):
    config = Config.fromfile(CONFIG)[f'{which}_dataloader'].dataset
    config.data_root = str(root)
    return DATASETS.build(config)


def _symmetries(image):
    """The eight images of a square that flips and rotations lead to."""
    return [
        np.rot90(x, turns).tobytes()
        for x in (image, image[:, ::-1])
        for turns in range(4)
    ]


@pytest.mark.parametrize('depth', [8, 16])
def test_train_pipeline_gives_aligned_crops_in_all_orientations(tmp_path, depth):
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    stored = noise if depth == 8 else noise.astype(np.uint16) * 257
    for folder in ('input', 'target'):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / 'a.png'), stored[..., ::-1])
    data = _loader(tmp_path, 'train')
    np.random.seed(0)
    random.seed(0)
    orientations = _symmetries(noise)
    seen = set()
    for _ in range(48):
        item = data[0]
        crop = item['inputs'].numpy()
        assert crop.shape == (3, 256, 256)
        assert np.array_equal(crop, item['data_samples'].gt_img.numpy())
        pixels = np.moveaxis(crop, 0, 2).astype(np.uint8)
        seen.add(orientations.index(pixels.tobytes()))
    assert seen == set(range(8))


def test_train_pipeline_crops_everywhere(tmp_path):
    # Red and green tell where a pixel came from, blue tells input from target.
    y, x = np.indices((260, 300))
    for folder, blue in (('input', 0), ('target', 255)):
        (tmp_path / folder).mkdir()
        image = np.dstack([np.full(x.shape, blue), y // 2, x // 2]).astype(np.uint8)
        cv2.imwrite(str(tmp_path / folder / 'a.png'), image)
    data = _loader(tmp_path, 'train')
    np.random.seed(0)
    random.seed(0)
    corners = set()
    for _ in range(30):
        item = data[0]
        ours = item['inputs'].numpy()
        theirs = item['data_samples'].gt_img.numpy()
        assert ours.shape == theirs.shape == (3, 256, 256)
        np.testing.assert_array_equal(ours[:2], theirs[:2])
        assert (ours[2] == 0).all()
        assert (theirs[2] == 255).all()
        # Flips and transposition leave the least coordinates as they are.
        corners.add((int(ours[0].min()), int(ours[1].min())))
    left, top = map(set, zip(*corners, strict=True))
    assert top == {0, 1, 2}
    assert len(left) > 10
    assert max(left) <= 22


def test_small_photo_is_named_by_the_crop(tmp_path):
    _pairs(tmp_path)
    with pytest.raises(ValueError, match=r'smaller than patch size.*\s.*a\.png'):
        _loader(tmp_path, 'train')[0]


@pytest.mark.parametrize('which', ['val', 'test'])
def test_test_pipeline_keeps_the_whole_photo(tmp_path, which):
    _pairs(tmp_path, LAYOUTS[which][0], ['a.png', 'b.png'])
    data = _loader(tmp_path, which)
    assert len(data) == 2
    for item, name in zip(data, ('a.png', 'b.png'), strict=True):
        stored = cv2.imread(str(tmp_path / LAYOUTS[which][0][0] / name))
        np.testing.assert_array_equal(
            item['inputs'].numpy(), np.moveaxis(stored[..., ::-1], 2, 0)
        )
        assert Path(item['data_samples'].img_path).name == name
        assert item['data_samples'].gt_channel_order == 'RGB'


def test_cached_photos_survive_the_train_pipeline(tmp_path):
    # MMagic flips in place, which must not reach the cache.
    paths = _paths(tmp_path, img=None, gt=None)
    pipeline = Config.fromfile(CONFIG).train_pipeline
    pipeline[0].use_cache = True
    pipeline[1].gt_patch_size = 4
    transforms = Compose(pipeline)
    before = transforms.transforms[0](dict(paths))['img']
    for _ in range(10):
        transforms(dict(paths))
    np.testing.assert_array_equal(transforms.transforms[0](dict(paths))['img'], before)


def test_a_target_of_many_inputs_is_looked_at_once(tmp_path, monkeypatch):
    looked = []

    def look(path):
        looked.append(path.name)
        return photo_size(path)

    monkeypatch.setattr(defocus_pairs, 'photo_size', look)
    _pairs(tmp_path, ['input'], ['1_a.png', '1_b.png'])
    _pairs(tmp_path, ['target'], ['1.png'])
    layout = dict(pair_by='key', input_key='(.)_.', target_key='(.)')
    assert len(_found(tmp_path, layout=layout)) == 2
    assert sorted(looked) == ['1.png', '1_a.png', '1_b.png']


def test_photos_without_ground_truth_reach_the_model(tmp_path):
    root = tmp_path / 'mes photos'
    sizes = {'é 1.png': (40, 33), 'b 2.png': (40, 33)}
    for name, size in sizes.items():
        _write(root / 'input' / name, size)
    config = Config.fromfile(CONFIG).test_dataloader.dataset
    config.update(data_root=str(root), layout=dict(target=None))
    data = DATASETS.build(config)
    items = [data[n] for n in range(len(data))]
    model = MODELS.build(
        dict(
            type='MultiScaleRestorer',
            generator=torch.nn.Identity(),
            loss=dict(type='MultiScaleLoss', losses=dict(mse=dict(type='MSELoss'))),
            data_preprocessor=dict(
                type='DataPreprocessor',
                mean=[0.0],
                std=[255.0],
                output_channel_order='RGB',
            ),
        )
    )
    results = model.eval().test_step(pseudo_collate(items))
    for result, name in zip(results, natsorted(sizes), strict=True):
        assert 'gt_img' not in result
        assert result.metainfo['img_path'] == str(root / 'input' / name)
        # MMagic gives BGR.
        stored = np.moveaxis(cv2.imread(str(root / 'input' / name)), 2, 0)
        np.testing.assert_allclose(result.output.pred_img.numpy(), stored, atol=1e-3)
