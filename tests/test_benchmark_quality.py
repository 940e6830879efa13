"""Runs the real tool on made photos."""

import csv
import hashlib
import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from mmagic.apis import init_model
from PIL import Image
from skimage.data import astronaut
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mmagic_inik.benchmark import quality, report
from mmagic_inik.benchmark.complexity import complexity
from mmagic_inik.benchmark.contenders import build_contender
from mmagic_inik.benchmark.peers import PEERS, Peer, find_checkpoint, peer_configs
from mmagic_inik.benchmark.published import (
    published_parameters,
    published_seconds,
)
from mmagic_inik.benchmark.records import ImageRecords
from mmagic_inik.benchmark.scoring import open_test_set
from mmagic_inik.datasets import read_photo
from mmagic_inik.launch import run_tool

ROOT = Path(__file__).parents[1]
DEMO = str(ROOT / 'configs' / 'iniknet_demo.py')


@pytest.fixture(scope='module')
def main():
    path = ROOT / 'tools' / 'benchmark_quality.py'
    spec = importlib.util.spec_from_file_location('benchmark_quality', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture
def galleries():
    """For tests that look at pictures, whose drawing takes longer than the scores."""


@pytest.fixture(autouse=True)
def _no_galleries(request, monkeypatch):
    if 'galleries' not in request.fixturenames:
        monkeypatch.setattr(quality, 'write_galleries', lambda *_: None)


@pytest.fixture(autouse=True, scope='module')
def _one_thread():
    """Images are so small that threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Four pairs of 50 × 70 pixels, in a folder with space, comma and colon."""
    root = tmp_path_factory.mktemp('data') / 'my photos, no: 1'
    for index, name in enumerate('abcd'):
        crop = Image.fromarray(astronaut()[90 * index :][:70, 180:230])
        for kind, image in (
            ('target', crop),
            ('input', crop.reduce(2).resize(crop.size)),
        ):
            (root / kind).mkdir(parents=True, exist_ok=True)
            image.save(root / kind / f'photo {name}.png')
    return root


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory):
    """Two sets of random weights of the demo's network, which change the image."""
    paths = []
    for seed in range(2):
        torch.manual_seed(seed)
        state = init_model(DEMO, device='cpu').state_dict()
        weight = state['generator.head.mixing']
        weight += 0.1 * torch.randn(weight.shape)
        paths.append(tmp_path_factory.mktemp('weights') / f'iniknet {seed}.pth')
        torch.save(state, paths[-1])
    return paths


def _rows(out):
    with (out / 'per_image.csv').open(encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


def _table(out):
    """Mean scores by model and data set, from table.csv."""
    with (out / 'table.csv').open(encoding='utf-8', newline='') as file:
        return {
            (r['model'], r['data'], r['score']): float(r['value'])
            for r in csv.DictReader(file)
        }


def _arguments(data, checkpoint, out, *more):
    return [
        *('--model', 'Tiny, INIKNet', DEMO, str(checkpoint)),
        *('--data', 'My set', 'dpdd', str(data)),
        *('--metrics', 'PSNR', 'SSIM_7x7'),
        *('--device', 'cpu', '--out', str(out), *map(str, more)),
    ]


def _restored(checkpoint, path):
    """What the network makes of a photo, (H, W, 3) RGB, not clipped."""
    model = init_model(DEMO, str(checkpoint), device='cpu')
    y = torch.from_numpy(read_photo(path) / np.float32(255)).permute(2, 0, 1)[None]
    with torch.no_grad():
        return model(y)[0].permute(1, 2, 0).numpy()


def test_numbers_are_those_of_test_py_and_of_scikit_image(
    main, data, checkpoints, tmp_path, monkeypatch, capfd
):
    out = tmp_path / 'out'
    main(_arguments(data, checkpoints[0], out))
    printed = capfd.readouterr().out
    assert (out / 'table.md').read_text(encoding='utf-8') in printed
    ours = _table(out)

    arguments = ['test.py', DEMO, str(checkpoints[0]), '--out', 'metrics.json']
    options = ['--work-dir', 'work', '--cfg-options', f'data_root={data}']
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.setattr(sys, 'argv', arguments + options)
    run_tool('test.py')
    for score, value in json.loads(Path('metrics.json').read_text()).items():
        assert ours['Tiny, INIKNet', 'My set', score] == pytest.approx(value, abs=1e-6)

    scores = []
    for path in sorted((data / 'input').iterdir()):
        sharp = read_photo(data / 'target' / path.name) / 255
        for x in (read_photo(path) / 255, _restored(checkpoints[0], path).clip(0, 1)):
            x = x.astype(np.float64)
            scores.append(
                (
                    peak_signal_noise_ratio(sharp, x, data_range=1),
                    structural_similarity(sharp, x, channel_axis=2, data_range=1),
                )
            )
    for model, means in (
        ('input (untouched)', np.mean(scores[::2], 0)),
        ('Tiny, INIKNet', np.mean(scores[1::2], 0)),
    ):
        for score, mean in zip(('PSNR', 'SSIM_7x7'), means, strict=True):
            assert ours[model, 'My set', score] == pytest.approx(mean, abs=1e-5)
    gain = np.mean(scores[1::2], 0)[0] - np.mean(scores[::2], 0)[0]
    assert f'| Tiny, INIKNet | {gain:+.3f} | ' in printed


def test_table_states_protocol_and_contenders(
    main, galleries, data, checkpoints, tmp_path
):
    main(_arguments(data, checkpoints[0], tmp_path, '--limit', 2))
    table = (tmp_path / 'table.md').read_text(encoding='utf-8')
    assert '| model | parameters (M) | My set: PSNR / SSIM_7x7 |\n' in table
    assert '\n| input (untouched) | – | ' in table
    number = sum(p.numel() for p in init_model(DEMO, device='cpu').parameters())
    assert f'\n| Tiny, INIKNet | {number / 1e6:.2f} | ' in table
    for part in (
        'My set (the first of 4): 2 images; RGB, whole images, target as stored, '
        'predictions clipped, not rounded; PSNR in dB',
        f'Tiny, INIKNet: {DEMO} with iniknet 0.pth (sha256 ',
        'gets RGB, sides reflected to multiples of 16 and cropped back',
        f'torch {torch.__version__}, MMagic 1.2',
        '; commit ',
    ):
        assert part in table
    assert 'In brackets' not in table
    assert [r['image'] for r in _rows(tmp_path)] == 2 * [
        'input/photo a.png',
        'input/photo b.png',
    ]
    picture = Image.open(tmp_path / 'gallery_My_set_Tiny_INIKNet.png')
    assert np.asarray(picture).std() > 10


def test_papers_figures_stand_beside_ours(main, data, checkpoints, tmp_path):
    arguments = _arguments(data, checkpoints[0], tmp_path, '--limit', 1)
    arguments[1], arguments[5] = 'iniknet', 'dpdd'
    main(arguments)
    table = (tmp_path / 'table.md').read_text(encoding='utf-8')
    assert ' (1.98) |' in table
    assert ' (26.055 / 0.803) |' in table
    assert 'In brackets: figures of the INIKNet paper, by its own protocol' in table


def test_a_killed_run_goes_on(main, data, checkpoints, tmp_path, monkeypatch, capsys):
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    main(_arguments(data, checkpoints[0], whole))
    main(_arguments(data, checkpoints[0], killed))
    table = (whole / 'table.md').read_text()
    rows = (killed / 'per_image.csv').read_bytes().splitlines(keepends=True)
    # Killed in the middle of the seventh of eight rows.
    (killed / 'per_image.csv').write_bytes(b''.join(rows[:7]) + rows[7][:-30])
    (killed / 'table.md').unlink()

    done = []
    append = ImageRecords.append

    def counting(self, run, image, *row):
        done.append(image)
        return append(self, run, image, *row)

    monkeypatch.setattr(ImageRecords, 'append', counting)
    main(_arguments(data, checkpoints[0], killed))
    assert done == ['input/photo c.png', 'input/photo d.png']
    assert (killed / 'table.md').read_text() == table
    assert (killed / 'table.csv').read_bytes() == (whole / 'table.csv').read_bytes()
    assert len(_rows(killed)) == 8
    capsys.readouterr()
    main(_arguments(data, checkpoints[0], killed))
    assert len(done) == 2
    assert 'computed anew' not in capsys.readouterr().out


@pytest.mark.parametrize('change', ['checkpoint', 'protocol', 'photo'])
def test_what_has_changed_is_computed_anew(
    main, data, checkpoints, tmp_path, capsys, change
):
    photos, out = tmp_path / 'photos', tmp_path / 'out'
    shutil.copytree(data, photos)
    main(_arguments(photos, checkpoints[0], out))
    before = _table(out)
    capsys.readouterr()
    checkpoint, more = checkpoints[0], []
    if change == 'checkpoint':
        checkpoint = checkpoints[1]
    elif change == 'protocol':
        more = ['--crop-to-multiple', '16']
    else:
        Image.new('RGB', (50, 70)).save(photos / 'input' / 'photo a.png')
    main(_arguments(photos, checkpoint, out, *more))
    printed = capsys.readouterr().out
    assert '4 rows of Tiny, INIKNet on My set are computed anew' in printed
    # Other weights leave the input what it is.
    assert ('4 rows of input (untouched)' in printed) == (change != 'checkpoint')
    after = _table(out)
    fresh = tmp_path / 'fresh'
    main(_arguments(photos, checkpoint, fresh, *more))
    assert after == _table(fresh)
    assert len(_rows(out)) == 8
    key = 'Tiny, INIKNet', 'My set', 'PSNR'
    assert after[key] != before[key]


def test_bytes_that_changed_in_place_are_noticed(
    main, data, checkpoints, tmp_path, capsys
):
    photos = tmp_path / 'photos'
    for path in data.rglob('*.png'):
        to = photos / path.relative_to(data).with_suffix('.bmp')
        to.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).save(to)
    out, given = tmp_path / 'out', (photos, checkpoints[0], tmp_path / 'out')
    main(_arguments(*given))
    before, target = _table(out), photos / 'target' / 'photo a.bmp'
    size, times = target.stat().st_size, target.stat()
    Image.open(target).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(target)
    # A copy may keep the time.
    os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert target.stat().st_size == size
    capsys.readouterr()
    main(_arguments(*given))
    assert '4 rows of Tiny, INIKNet on My set are computed anew' in (
        capsys.readouterr().out
    )
    key = 'Tiny, INIKNet', 'My set', 'PSNR'
    assert _table(out)[key] != before[key]


def test_lpips_weights_count_by_content(data, tmp_path):
    weights = tmp_path / 'alexnet.pth'
    identities = []
    for content in (b'a', b'b', b'a'):
        weights.write_bytes(content)
        options = ['LPIPS_alex'], None, {'alex': str(weights)}
        identities.append(open_test_set('D', 'dpdd', str(data), *options).identity)
    assert identities[0] == identities[2] != identities[1]


def test_old_rows_stand_under_what_computed_them(
    main, data, checkpoints, tmp_path, monkeypatch
):
    out, given = tmp_path / 'out', (data, checkpoints[0], tmp_path / 'out')
    monkeypatch.setattr(report, 'describe_commit', lambda: 'c0ffee')
    main(_arguments(*given, '--limit', 3))
    monkeypatch.setattr(report, 'describe_commit', lambda: 'decade')
    main(_arguments(*given, '--limit', 3))
    text = (out / 'table.md').read_text(encoding='utf-8')
    assert 'commit c0ffee.' in text
    assert 'decade' not in text
    main(_arguments(*given))
    text = (out / 'table.md').read_text(encoding='utf-8')
    assert 'commit c0ffee (6 of 8 rows).' in text
    assert 'commit decade (2 of 8 rows).' in text


def test_dollars_in_names_are_no_formulas(main, galleries, data, checkpoints, tmp_path):
    photos = tmp_path / 'photos'
    for half in ('input', 'target'):
        (photos / half).mkdir(parents=True)
        shutil.copy(data / half / 'photo a.png', photos / half / '$a_{$ 5$.png')
    main(_arguments(photos, checkpoints[0], tmp_path / 'out'))
    assert (tmp_path / 'out' / 'gallery_My_set_Tiny_INIKNet.png').is_file()


def test_galleries_of_one_name_are_refused(main, data, checkpoints, tmp_path):
    arguments = _arguments(data, checkpoints[0], tmp_path / 'out')
    for name in ('A+B', 'A B'):
        arguments += ['--model', name, DEMO, str(checkpoints[0])]
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == (
        'benchmark_quality: A+B on My set and A B on My set would have one gallery, '
        'gallery_My_set_A_B.png; rename one of --model or --data'
    )
    assert not (tmp_path / 'out').exists()


def test_an_infinite_score_is_named_and_hides_no_other(
    main, data, checkpoints, tmp_path
):
    photos = tmp_path / 'photos'
    shutil.copytree(data, photos)
    shutil.copy(photos / 'target/photo b.png', photos / 'input/photo b.png')
    out = tmp_path / 'out'
    main(_arguments(photos, checkpoints[0], out))
    main(_arguments(data, checkpoints[0], tmp_path / 'whole'))
    expected = [
        float(row['PSNR'])
        for row in _rows(tmp_path / 'whole')
        if row['model'] == 'input (untouched)' and 'photo b' not in row['image']
    ]
    mean = _table(out)['input (untouched)', 'My set', 'PSNR']
    assert mean == pytest.approx(np.mean(expected))
    text = (out / 'table.md').read_text(encoding='utf-8')
    sentence = 'input (untouched) on My set: PSNR without input/photo b.png (inf).'
    assert text.count(sentence) == 1
    assert 'nan' not in text


def test_a_loss_changes_no_score(checkpoints, tmp_path):
    other = tmp_path / 'other.py'
    other.write_text(
        f'_base_ = {DEMO!r}\nmodel = dict(loss=dict(losses=dict(mse=None)))'
    )
    clipped = tmp_path / 'clipped.py'
    clipped.write_text(f'_base_ = {DEMO!r}\nmodel = dict(test_cfg=dict(clip=False))')
    first, second, third = (
        build_contender('net', str(config), str(checkpoints[0]), clip=True).identity
        for config in (DEMO, other, clipped)
    )
    assert first == second != third


def test_protocol_options(main, data, checkpoints, tmp_path):
    options = ['--bit-depth', 8, '--crop-to-multiple', 32, '--limit', 1]
    main(_arguments(data, checkpoints[0], tmp_path / 'a', *options, '--no-clip'))
    main(_arguments(data, checkpoints[0], tmp_path / 'b', *options, '--round'))
    path = data / 'input' / 'photo a.png'
    sharp = read_photo(data / 'target' / path.name)[:64, :32]
    restored = _restored(checkpoints[0], path)[:64, :32].astype(np.float64)
    rounded = np.rint(restored.clip(0, 1) * 255).astype(np.uint8)
    key = 'Tiny, INIKNet', 'My set', 'PSNR'
    expected = peak_signal_noise_ratio(sharp / 255, restored, data_range=1)
    assert _table(tmp_path / 'a')[key] == pytest.approx(expected, abs=1e-4)
    expected = peak_signal_noise_ratio(sharp, rounded)
    assert _table(tmp_path / 'b')[key] == pytest.approx(expected, abs=1e-4)
    assert 'target in 8 bits, predictions not clipped, not rounded' in (
        tmp_path / 'a/table.md'
    ).read_text(encoding='utf-8')


NAFNET = """
_base_ = 'mmagic::nafnet/nafnet_c64eb11128mb1db1111_8xb8-lr1e-3-400k_gopro.py'
model = dict(generator=dict(_delete_=True, type='NAFNet', img_channels=3,
    mid_channels=4, enc_blk_nums=[1], middle_blk_num=1, dec_blk_nums=[1]))
"""
RESTORMER = """
_base_ = 'mmagic::restormer/restormer_official_dpdd-single.py'
model = dict(generator=dict(dim=8, num_blocks=[1, 1, 1, 1], num_refinement_blocks=1,
    heads=[1, 1, 1, 1]))
"""
# MMagic's loader gives BGR unless it is told otherwise.
BGR = (
    NAFNET
    + """
val_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile', key='img'), dict(type='PackInputs')]))
test_dataloader = val_dataloader
"""
)


@pytest.mark.parametrize(
    ('text', 'order', 'multiple'),
    [(NAFNET, 'RGB', 1), (BGR, 'BGR', 1), (RESTORMER, 'RGB', 8)],
    ids=['nafnet', 'bgr', 'restormer'],
)
def test_networks_of_mmagic_as_they_are(main, data, tmp_path, text, order, multiple):
    config, checkpoint = tmp_path / 'other.py', tmp_path / 'other.pth'
    config.write_text(text)
    torch.manual_seed(0)
    model = init_model(str(config), device='cpu')
    for parameter in model.parameters():
        # NAFNet starts as the identity.
        torch.nn.init.normal_(parameter, std=0.1)
    torch.save(dict(state_dict=model.state_dict(), meta=dict()), checkpoint)
    arguments = _arguments(data, checkpoint, tmp_path / 'out', '--limit', 1)
    arguments[2] = str(config)
    main(arguments)

    photo = read_photo(data / 'input' / 'photo a.png') / np.float32(255)
    sides = [(0, -side % multiple) for side in photo.shape[:2]]
    assert (multiple == 1) == (sides == [(0, 0), (0, 0)])
    y = np.pad(photo, [*sides, (0, 0)], 'reflect')[..., :: 1 if order == 'RGB' else -1]
    with torch.no_grad():
        x = model.generator(torch.from_numpy(y.copy()).permute(2, 0, 1)[None])[0]
    x = x.permute(1, 2, 0).numpy()[:70, :50, :: 1 if order == 'RGB' else -1]
    sharp = read_photo(data / 'target' / 'photo a.png') / 255
    expected = peak_signal_noise_ratio(
        sharp, x.clip(0, 1).astype(np.float64), data_range=1
    )
    value = _table(tmp_path / 'out')['Tiny, INIKNet', 'My set', 'PSNR']
    assert value == pytest.approx(expected, abs=1e-4)
    table = (tmp_path / 'out/table.md').read_text(encoding='utf-8')
    assert f'gets {order}' in table
    assert ('sides reflected to multiples of 8 ' in table) == (multiple == 8)


@pytest.mark.long
def test_lpips_weights_and_two_sets_one_without_ground_truth(
    main, galleries, data, checkpoints, tmp_path
):
    alexnet, focus = tmp_path / 'alex=net.pth', tmp_path / 'photos'
    torch.manual_seed(0)
    torch.save(torchvision.models.alexnet(weights=None).state_dict(), alexnet)
    focus.mkdir()
    for index in range(3):
        photo = astronaut()[index * 100 :][:100, :200]
        Image.fromarray(photo).save(focus / f'out_of_focus{index}.png')
    arguments = _arguments(data, checkpoints[0], tmp_path / 'out', '--limit', 3)
    arguments[arguments.index('SSIM_7x7')] = 'LPIPS_alex'
    arguments += ['--data', 'CUHK', 'cuhk', str(focus)]
    main([*arguments, '--lpips-weights', f'alex={alexnet}'])
    scores = {key[1:] for key in _table(tmp_path / 'out')}
    assert scores == {('My set', 'PSNR'), ('My set', 'LPIPS_alex'), ('CUHK', 'NIQE')}
    assert (tmp_path / 'out/gallery_CUHK_Tiny_INIKNet.png').exists()
    from mmagic_inik.evaluation.metrics import niqe

    expected = np.mean([niqe(read_photo(path)) for path in sorted(focus.iterdir())])
    value = _table(tmp_path / 'out')['input (untouched)', 'CUHK', 'NIQE']
    assert value == pytest.approx(expected, abs=1e-6)
    table = (tmp_path / 'out/table.md').read_text(encoding='utf-8')
    assert 'CUHK: 3 images; RGB, whole images, predictions clipped, not rou' in table


@pytest.mark.parametrize(
    ('position', 'value', 'message'),
    [
        (2, 'absent.py', 'config absent.py does not exist'),
        (2, 'mmagic::nafnet/absent.py', 'config mmagic::nafnet/absent.py does not ex'),
        (3, 'absent.pth', 'checkpoint absent.pth does not exist'),
        (7, 'absent', 'data set absent is not a folder'),
        (6, 'gopro', "preset must be in .*, got 'gopro'"),
        (1, 'input (untouched)', r'--model has the name input \(untouched\) twice'),
        (12, 'nowhere', '--device nowhere cannot be used'),
    ],
    ids=lambda value: str(value)[:20],
)
def test_mistakes_are_told_before_the_first_image(
    main, data, checkpoints, tmp_path, position, value, message
):
    arguments = _arguments(data, checkpoints[0], tmp_path / 'out')
    arguments[position] = value
    with pytest.raises(SystemExit, match=f'benchmark_quality: {message}') as caught:
        main(arguments)
    assert '\n' not in str(caught.value)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('more', 'message'),
    [
        (['--limit', '0'], '--limit must be positive, got 0'),
        (['--lpips-weights', 'a.pth'], '--lpips-weights takes NET=PATH, got a.pth'),
        (['--round'], 'round=True needs bit_depth=8'),
        (['--data', 'My set', 'dpdd', 'x'], '--data has the name My set twice'),
    ],
    ids=lambda value: str(value)[:20],
)
def test_wrong_options(main, data, checkpoints, tmp_path, more, message):
    with pytest.raises(SystemExit, match=f'benchmark_quality: {message}'):
        main(_arguments(data, checkpoints[0], tmp_path / 'out', *more))


def test_a_checkpoint_of_another_network_is_refused(main, data, tmp_path):
    path = tmp_path / 'other.pth'
    torch.save({'generator.a': torch.zeros(1)}, path)
    with pytest.raises(SystemExit, match='other.pth is of another network: '):
        main(_arguments(data, path, tmp_path / 'out'))


def test_peers_of_a_folder(main, data, checkpoints, tmp_path, monkeypatch, capsys):
    """One with a checkpoint as training writes it, one without, one without config."""
    weights, out = tmp_path / 'weights', tmp_path / 'out'
    (weights / 'iniknet_demo').mkdir(parents=True)
    for number in (50, 600):
        name = f'best_PSNR_iter_{number}.pth'
        shutil.copy(checkpoints[number > 50], weights / 'iniknet_demo' / name)
    peers = (
        Peer('KPAC', 'configs/peers/of_tomorrow_dpdd.py'),
        Peer('DRBNet', str(ROOT / 'configs' / 'peers' / 'drbnet_dpdd.py')),
        Peer('INIKNet', DEMO),
    )
    monkeypatch.setattr('mmagic_inik.benchmark.peers.PEERS', peers)
    options = ['--peers', weights, '--data', 'DPDD', 'dpdd', data, '--out', out]
    main([*map(str, options), '--metrics', 'PSNR', 'SSIM_7x7', '--device', 'cpu'])
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert lines[0] == (
        '| model | parameters (M) | GMAC at 1680×1120 | DPDD: s a photo | '
        's in the paper | DPDD: PSNR / SSIM_7x7 |'
    )
    cells = [[cell.strip() for cell in line.split('|')[1:-1]] for line in lines[2:6]]
    untouched, kpac, drbnet, iniknet = cells
    assert untouched[0] == 'input (untouched)'
    assert kpac == ['KPAC', '– (2.06)', '–', '–', '0.037', '– (25.221 / 0.774)']
    assert drbnet[:2] == ['DRBNet', '11.69 (11.69)']
    assert drbnet[3:] == ['–', '0.085', '– (25.485 / 0.792)']
    macs = complexity(peers[1].config, (1120, 1680)).flops['total'] / 2e9
    assert drbnet[2] == f'{macs:.0f}'
    table = _table(out)
    mean = table['INIKNet', 'DPDD', 'PSNR'], table['INIKNet', 'DPDD', 'SSIM_7x7']
    assert iniknet[5] == '{:.3f} / {:.4f} (26.055 / 0.803)'.format(*mean)
    seconds = [float(row['seconds']) for row in _rows(out) if row['model'] == 'INIKNet']
    assert iniknet[3] == f'{np.mean(seconds):.2f}'
    assert iniknet[4] == '0.228'
    # The last of the checkpoints.
    digest = hashlib.sha256(checkpoints[1].read_bytes()).hexdigest()
    assert f'best_PSNR_iter_600.pth (sha256 {digest[:12]})' in text
    for name, stem in (('KPAC', 'of_tomorrow_dpdd'), ('DRBNet', 'drbnet_dpdd')):
        assert (
            f'- {name} is not scored: {weights} has neither {stem}.pth nor '
            f'{stem}/best_*.pth.\n'
        ) in text
    assert 'INIKNet is not scored' not in text


def test_peers_want_a_folder(main, data, tmp_path):
    options = ['--peers', tmp_path / 'none', '--data', 'DPDD', 'dpdd', data]
    with pytest.raises(SystemExit, match='--peers .*none is no folder; give the one'):
        main([*map(str, options), '--out', str(tmp_path), '--device', 'cpu'])


def test_a_peers_file_comes_before_its_folder(tmp_path):
    peer = Peer('DRBNet', 'configs/peers/drbnet_dpdd.py')
    assert find_checkpoint(peer, tmp_path) is None
    (tmp_path / 'drbnet_dpdd').mkdir()
    paths = [tmp_path / 'drbnet_dpdd' / f'best_PSNR_iter_{n}.pth' for n in (900, 1000)]
    for path in paths:
        path.touch()
    assert find_checkpoint(peer, tmp_path) == paths[1]
    single = tmp_path / 'drbnet_dpdd.pth'
    single.touch()
    assert find_checkpoint(peer, tmp_path) == single


def test_peers_are_in_the_papers_order():
    names = [peer.name for peer in PEERS]
    paper = 'DPDNet AIFNet IFANet KPAC GKMNet MDP DRBNet MPRNet Restormer INIKNet'
    assert names[:10] == paper.split()
    assert all(published_parameters(name) for name in names[:10])
    assert published_seconds('DPDNet') == 1.43
    assert published_seconds('NRKNet') is None
    available = {peer.name for peer in PEERS if peer.available}
    assert available >= {*names[5:]}
    assert peer_configs() == [peer.config for peer in PEERS if peer.available]
