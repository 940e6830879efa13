import itertools
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmagic.registry import DATASETS
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

from mmagic_inik.datasets import LoadSharpPhoto, SharpPhotoDataset, read_photo
from mmagic_inik.datasets.sharp_photos import read_depth
from mmagic_inik.errors import InputError

ROOT = Path(__file__).parents[1]
LOAD = [dict(type='LoadSharpPhoto')]


@pytest.fixture
def photos(tmp_path):
    """Ten photos, two of them in a sub-folder, 48 × 40."""
    random = np.random.default_rng(0)
    root = tmp_path / 'sharp photos'
    (root / 'more').mkdir(parents=True)
    for n in range(10):
        image = random.integers(0, 256, (40, 48, 3), np.uint8)
        folder = root / 'more' if n > 7 else root
        Image.fromarray(image).save(folder / f'{n}.png')
    return root


@pytest.fixture
def depths(photos, tmp_path):
    """Depth maps of all of them, millimetres: photo n is n + 1 metres away."""
    root = tmp_path / 'depth'
    (root / 'more').mkdir(parents=True)
    for path in photos.rglob('*.png'):
        depth = np.full((40, 48), 1000 * (int(path.stem) + 1), np.uint16)
        cv2.imwrite(str(root / path.relative_to(photos)), depth)
    return root


def names(dataset):
    return [Path(dataset.get_data_info(n)['gt_path']).stem for n in range(len(dataset))]


def test_every_photo_once(photos):
    dataset = SharpPhotoDataset(str(photos), pipeline=LOAD)
    assert names(dataset) == list('0123456789')
    np.testing.assert_array_equal(dataset[8]['gt'], read_photo(photos / 'more/8.png'))


def test_every_round_has_all_photos_in_an_order_of_its_own(photos):
    dataset = SharpPhotoDataset(str(photos), num_samples=53, pipeline=LOAD)
    drawn = names(dataset)
    assert len(drawn) == len(dataset) == 53
    rounds = [''.join(drawn[n : n + 10]) for n in range(0, 50, 10)]
    assert {''.join(sorted(one)) for one in rounds} == {'0123456789'}
    assert len({*rounds, '0123456789'}) == 6
    assert len(set(drawn[50:])) == 3
    assert [dataset[n]['sample_idx'] for n in (3, 13, 52, -1)] == [3, 13, 52, 52]
    # By the number alone, whatever was asked before.
    again = SharpPhotoDataset(str(photos), num_samples=900, pipeline=LOAD)
    backwards = [Path(again[n]['gt_path']).stem for n in reversed(range(53))]
    assert backwards == drawn[::-1]
    other = SharpPhotoDataset(str(photos), num_samples=53, seed=1)
    assert names(other)[:10] != drawn[:10]


def test_without_a_seed_every_round_is_in_natural_order(photos):
    dataset = SharpPhotoDataset(str(photos), num_samples=23, seed=None)
    assert names(dataset) == list('01234567890123456789012')


def test_photos_meet_ever_other_photos_in_training_batches(photos):
    config = Config.fromfile(ROOT / 'configs/iniknet_synthetic.py').train_dataloader
    config.dataset.update(data_root=str(photos), val_share=0, pipeline=[])
    config.update(batch_size=5, num_workers=0, persistent_workers=False)
    config.collate_fn = dict(type='pseudo_collate')
    batches = itertools.islice(Runner.build_dataloader(config), 40)
    companies = {frozenset(batch['gt_path']) for batch in batches}
    # In natural order there would be two of them for ever.
    assert len(companies) > 30


def test_a_loop_over_the_samples_ends(photos):
    dataset = SharpPhotoDataset(str(photos), num_samples=12, pipeline=LOAD)
    first = [sample['sample_idx'] for sample in itertools.islice(dataset, 20)]
    assert first == list(range(12))
    for n in (12, -13):
        with pytest.raises(IndexError, match=f'sample {n} of 12'):
            dataset[n]


@pytest.mark.parametrize(('share', 'kept_out'), [(0.1, 2), (0.3, 3), (0.99, 9)])
def test_splits_share_no_photo_and_leave_none_out(photos, share, kept_out):
    train, val, test = (
        names(SharpPhotoDataset(str(photos), split=split, val_share=share))
        for split in ('train', 'val', 'test')
    )
    assert val == test
    assert len(val) == kept_out
    assert sorted(train + val) == list('0123456789')
    # A sub-folder is not divided.
    assert set(val) >= set('89')


def test_no_photo_of_a_kept_out_scene_is_trained_on(tmp_path):
    # Twenty scenes in bursts of ten, and no name without a neighbour's.
    for scene in range(20):
        for n in range(10):
            image = Image.fromarray(np.full((8, 8, 3), scene, np.uint8))
            image.save(tmp_path / f'scene{scene:02}_{n}.png')
    train, val = (
        {path[:-2] for path in names(SharpPhotoDataset(tmp_path, None, split, 0.1))}
        for split in ('train', 'val')
    )
    assert len(val) == 2
    assert not train & val


def test_depth_in_metres(photos, depths):
    dataset = SharpPhotoDataset(str(photos), str(depths), pipeline=LOAD)
    depth = dataset[9]['depth']
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, np.full((40, 48), 10.0), rtol=1e-6)


def test_depth_in_another_unit(photos, depths):
    item = dict(gt_path=photos / '0.png', depth_path=depths / '0.png')
    assert LoadSharpPhoto(depth_unit=0.01)(item)['depth'][0, 0] == pytest.approx(10)


def test_cache_gives_what_was_read_first(photos):
    load = LoadSharpPhoto(use_cache=True)
    path = photos / '0.png'
    first = load(dict(gt_path=str(path)))['gt']
    path.unlink()
    assert load(dict(gt_path=str(path)))['gt'] is first


def test_all_problems_at_once(photos, depths):
    (photos / '0.png').write_bytes(b'')
    (depths / '1.png').unlink()
    cv2.imwrite(str(depths / '2.png'), np.ones((40, 40), np.uint16))
    with pytest.raises(InputError) as error:
        SharpPhotoDataset(str(photos), str(depths))
    for what in ('0.png cannot', '1.png cannot', '2.png is 48x40', '2.png 40x40'):
        assert what in str(error.value)


@pytest.mark.parametrize(
    ('image', 'message'),
    [
        (np.ones((40, 48), np.uint8), 'grey PNG of 16 bits'),
        (np.ones((40, 48, 3), np.uint16), 'grey PNG of 16 bits'),
        (np.zeros((40, 48), np.uint16), 'knows no depth at all'),
    ],
    ids=['8 bits', 'colour', 'empty'],
)
def test_what_is_no_depth_map(tmp_path, image, message):
    path = tmp_path / 'depth.png'
    cv2.imwrite(str(path), image)
    with pytest.raises(InputError, match=f'depth.png .*{message}'):
        read_depth(path)


def test_cut_off_depth_map(depths):
    path = depths / '0.png'
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r'0.png cannot be read'):
        read_depth(path)


def test_bad_folders(tmp_path):
    with pytest.raises(InputError, match='nowhere is not a folder'):
        SharpPhotoDataset(str(tmp_path / 'nowhere'))
    with pytest.raises(InputError, match='holds no photographs'):
        SharpPhotoDataset(str(tmp_path))


@pytest.mark.parametrize(
    'options',
    [dict(split='all'), dict(val_share=1), dict(num_samples=0), dict(seed=-1)],
)
def test_bad_arguments(photos, options):
    (name,) = options
    with pytest.raises(ValueError, match=name):
        SharpPhotoDataset(str(photos), **options)


def batches(photos, workers):
    config = Config.fromfile(ROOT / 'configs/iniknet_demo_synthetic.py')
    loader = config.train_dataloader
    loader.num_workers, loader.persistent_workers = workers, workers > 0
    loader.batch_size = 2
    loader.dataset.data_root = str(photos)
    loader.dataset.pipeline[1].crop_size = 32
    iterator = iter(Runner.build_dataloader(loader))
    return [next(iterator) for _ in range(4)]


def test_loader_gives_the_same_with_any_number_of_workers(photos):
    alone, three = batches(photos, 0), batches(photos, 3)
    for ours, theirs in zip(alone, three, strict=True):
        for a, b in zip(ours['inputs'], theirs['inputs'], strict=True):
            assert torch.equal(a, b)
    # And no two samples are alike, although there are but nine photos.
    inputs = [image for batch in alone for image in batch['inputs']]
    assert len({image.numpy().tobytes() for image in inputs}) == 8


def test_val_scenes_are_not_those_of_training(photos):
    config = Config.fromfile(ROOT / 'configs/iniknet_demo_synthetic.py')
    train, val = (
        DATASETS.build(dict(config[key].dataset, data_root=str(photos)))
        for key in ('train_dataloader', 'val_dataloader')
    )
    paths = [
        {d.get_data_info(n)['gt_path'] for n in range(min(9, len(d)))}
        for d in (train, val)
    ]
    assert not paths[0] & paths[1]
    assert train.pipeline.transforms[1].seed != val.pipeline.transforms[1].seed


@pytest.fixture
def tool(monkeypatch):
    """Runs tools/render_defocus.py here; returns the sentence it ends with, if any."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['render_defocus', *map(str, arguments)])
        try:
            runpy.run_path(str(ROOT / 'tools/render_defocus.py'), run_name='__main__')
        except SystemExit as stop:
            return stop.code
        return None

    return run


def test_tool_writes_pairs_that_load(tool, photos, depths, tmp_path):
    out = tmp_path / 'pairs'
    options = '--depth', depths, '--views', 2, '--options', 'psfs=disc'
    assert tool(photos, out, *options) is None
    dataset = DATASETS.build(
        dict(type='DefocusPairDataset', data_root=str(out), preset='folders')
    )
    assert len(dataset) == 20
    coc = np.load(out / 'coc/more/9_1.npy')
    assert coc.shape == (40, 48)
    # One depth, one blur.
    assert np.ptp(coc) == 0
    assert (out / 'target/more/9_0.png').exists()

    again = tool(photos, out)
    assert again.startswith('render_defocus: ')
    assert 'exists already' in again


@pytest.mark.parametrize('twin', ['3.jpg', '3.PNG'])
def test_tool_refuses_photos_of_one_name(tool, photos, tmp_path, twin):
    Image.new('RGB', (48, 40)).save(photos / twin)
    sentence = tool(photos, tmp_path / 'out', '--options', 'psfs=disc')
    assert sentence.startswith(f'render_defocus: {photos}/3.')
    assert 'would both become 3.png; rename' in sentence
    assert not list(tmp_path.glob('out*'))


def test_photos_do_not_share_a_depth_map(photos, depths):
    Image.new('RGB', (48, 40)).save(photos / '3.jpg')
    with pytest.raises(
        InputError, match=r'3\.jpg and .*3\.png have one depth map, .*3'
    ):
        SharpPhotoDataset(str(photos), str(depths))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('--options', 'radius=3'), 'radius'),
        (('--options', 'psfs=star'), 'psfs must be some of'),
        (('--views', '0'), '--views must be positive'),
    ],
    ids=['unknown', 'wrong', 'no views'],
)
def test_tool_refuses(tool, photos, tmp_path, arguments, message):
    assert message in tool(photos, tmp_path / 'out', *arguments)
    assert not (tmp_path / 'out').exists()
