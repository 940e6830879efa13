"""The tool that restores somebody's own photos."""

import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from mmagic.registry import MODELS
from mmengine.config import Config
from PIL import Image

from mmagic_inik.datasets import read_photo
from mmagic_inik.options import NETWORKS
from mmagic_inik.restoration import describe_shipped, load_restorer
from mmagic_inik.restoration import restore as restore_array
from mmagic_inik.restoration.batch import PhotosBar
from mmagic_inik.restoration.jobs import Job

ROOT = Path(__file__).parents[1]
TINY = str(ROOT / 'configs' / 'iniknet_demo.py')
sys.path.insert(0, str(ROOT / 'tools'))
import restore  # noqa: E402


def noise(shape, dtype=np.uint8, seed=0):
    high = np.iinfo(dtype).max + 1
    return np.random.default_rng(seed).integers(0, high, shape, dtype)


def save(path, shape=(36, 52, 3), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(shape)).save(path, **options)
    return path


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """The demo's network with random weights."""
    from mmengine.registry import init_default_scope

    init_default_scope('mmagic')
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(TINY).model)
    torch.nn.init.normal_(model.generator.head.mixing, std=0.1)
    path = tmp_path_factory.mktemp('weights') / 'weights.pth'
    torch.save(model.state_dict(), path)
    return path


@pytest.fixture
def tool(tmp_path, weights, capsys):
    def run(photos, *options, out='out'):
        """Files written, what was printed, and the sentence of a failure."""
        arguments = [*photos, '--config', TINY, '--checkpoint', weights]
        arguments += ['--out', tmp_path / out, '--device', 'cpu', *options]
        failure = None
        try:
            restore.main(list(map(str, arguments)))
        except SystemExit as stop:
            failure = stop.code
        found = sorted(p for p in (tmp_path / out).rglob('*') if p.is_file())
        names = [str(p.relative_to(tmp_path / out)) for p in found]
        return names, capsys.readouterr().err, failure

    return run


def test_photos_come_out_as_the_function_restores_them(tmp_path, tool, weights):
    colored = save(tmp_path / 'a.png')
    grey = save(tmp_path / 'b.png', (33, 31))
    names, printed, failure = tool([colored, grey])
    assert failure is None
    assert names == ['a.png', 'b.png']
    assert '100/100' in printed
    assert f'2 of 2 photos restored: {tmp_path / "out"}' in printed
    restorer = load_restorer(TINY, str(weights))
    for path in (colored, grey):
        with Image.open(tmp_path / 'out' / path.name) as image:
            result = np.asarray(image)
        photo = read_photo(path)
        given = photo[..., 0] if result.ndim == 2 else photo
        np.testing.assert_array_equal(result, restore_array(given, restorer))
        assert np.abs(result.astype(int) - given).mean() > 1


@pytest.mark.parametrize('name', NETWORKS)
def test_networks_that_come_with_it_are_chosen_by_name(tmp_path, capsys, name):
    photo = save(tmp_path / 'photo.png')
    out = tmp_path / 'out'
    restore.main([str(photo), '--out', str(out), '--network', name])
    said = capsys.readouterr().err
    assert f'Restoring with iniknet_{name}_synthetic, trained for' in said
    with Image.open(out / 'photo.png') as image:
        result = np.asarray(image)
    expected = restore_array(read_photo(photo), load_restorer(network=name))
    np.testing.assert_array_equal(result, expected)


def test_a_photo_is_all_it_takes(tmp_path, monkeypatch, capsys):
    photo = save(tmp_path / 'photo.png')
    monkeypatch.chdir(tmp_path)
    restore.main([photo.name])
    with Image.open('restored/photo.png') as image:
        result = np.asarray(image)
    expected = restore_array(read_photo(photo), load_restorer())
    np.testing.assert_array_equal(result, expected)
    said = capsys.readouterr().err
    assert f'Restoring with {describe_shipped()}.' in said


def test_folders_are_mirrored_and_results_are_no_photos(tmp_path, tool):
    folder = tmp_path / 'my photos'
    for name in ('a.jpg', 'sub/a.jpg', 'sub/deeper/Ünicode & ;.PNG', '.hidden.jpg'):
        save(folder / name)
    (folder / 'notes.txt').write_text('not a photo')
    out = 'my photos/restored'
    expected = ['a.jpg', 'sub/a.jpg', 'sub/deeper/Ünicode & ;.PNG']
    names, printed, failure = tool([folder], out=out)
    assert failure is None
    assert names == expected
    assert 'left out: 1 .txt (no photos).' in printed
    # Once more: the results are not restored again, nor replaced.
    before = (folder / 'restored' / 'a.jpg').stat()
    names, printed, failure = tool([folder], out=out)
    assert names == expected
    assert printed.count('exists; replace it with --force') == 3
    assert failure == 'restore: not restored: 3, for the reasons above'
    assert (folder / 'restored' / 'a.jpg').stat().st_ino == before.st_ino
    names, printed, failure = tool([folder], '--force', out=out)
    assert names == expected
    assert failure is None
    assert (folder / 'restored' / 'a.jpg').stat().st_ino != before.st_ino


def test_one_bad_file_does_not_stop_the_others(tmp_path, tool):
    good = [save(tmp_path / name) for name in ('a.png', 'z.jpg')]
    broken = save(tmp_path / 'b.png')
    broken.write_bytes(broken.read_bytes()[:-300])
    # Its damage shows only when it is decoded.
    inside = save(tmp_path / 'c.png')
    data = bytearray(inside.read_bytes())
    data[len(data) // 2] ^= 0xFF
    inside.write_bytes(data)
    missing = tmp_path / 'none.png'
    names, printed, failure = tool([good[0], broken, inside, missing, good[1]])
    assert names == ['a.png', 'z.jpg']
    assert f'{broken} cannot be read as a photograph' in printed
    assert f'{inside} cannot be read as a photograph' in printed
    assert f'{missing} does not exist; name a photo' in printed
    assert '2 of 3 photos restored' in printed
    assert failure == 'restore: not restored: 3, for the reasons above'


def test_photos_of_one_name_are_not_mixed_up(tmp_path, tool):
    one, two = save(tmp_path / 'one' / 'a.png'), save(tmp_path / 'two' / 'a.png')
    names, printed, failure = tool([one, tmp_path / 'two', one])
    assert names == ['a.png']
    assert f'{two} would become {tmp_path}/out/a.png like {one}' in printed
    assert failure.endswith('not restored: 1, for the reasons above')


@pytest.mark.parametrize('options', [[], ['--force']], ids=['', 'force'])
def test_a_photo_is_never_its_own_result(tmp_path, tool, options):
    folder = tmp_path / 'photos'
    path = save(folder / 'a.png')
    (tmp_path / 'link').symlink_to(folder)
    before = path.read_bytes()
    for out in ('photos', 'link'):
        names, printed, failure = tool([path], *options, out=out)
        assert 'which is a photo to restore; give another --out' in printed
        assert failure.endswith('not restored: 1, for the reasons above')
        assert path.read_bytes() == before


def test_remarks_are_told(tmp_path, tool):
    path = tmp_path / 'a.jpg'
    Image.new('CMYK', (40, 40), (9, 90, 200, 0)).save(path)
    names, printed, failure = tool([path])
    assert names == ['a.jpg']
    assert f'{path}: its CMYK colours become RGB.' in printed
    assert failure is None


def test_tiles_give_nearly_the_same_photo(tmp_path, tool):
    path = tmp_path / 'a.png'
    pixels = np.kron(noise((28, 34, 3)), np.ones((8, 8, 1), np.uint8))
    Image.fromarray(pixels).save(path)
    results = []
    for n, options in enumerate((['none'], ['128', '--overlap', '64'], ['auto'])):
        options += ['--dtype', 'float32']
        tool([path], '--tile', *options, out=f'out{n}')
        results.append(read_photo(tmp_path / f'out{n}' / 'a.png').astype(int))
    assert np.abs(results[1] - results[0]).max() <= 1
    # There is memory enough for all of it.
    np.testing.assert_array_equal(results[2], results[0])


def test_bar_counts_pixels_and_never_goes_back(capsys):
    small, large = (Job(Path(), Path(), n) for n in (100, 300))
    bar = PhotosBar([small, large])
    bar.finish(small)
    bar.advance(large, 2, 4)
    bar.advance(large, 1, 16)  # begun again
    bar.finish(large)
    counts = re.findall(r'(\d+)/100', capsys.readouterr().err)
    # The last is drawn once more when the bar ends.
    assert counts == ['0', '25', '62', '100', '100']


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (['--tile', 'small'], '--tile small is no number of pixels, auto or none'),
        (['--tile', '100'], r'--tile 100 .*multiples of 16'),
        (['--tile', '16', '--overlap', '0'], r'--tile 16 .*below min_size 32'),
        (['--overlap', '7'], r'--overlap 7 .*multiples of 16'),
        (['--device', 'abacus'], '--device abacus cannot be used'),
        (['--checkpoint', 'nowhere.pth'], 'nowhere.pth does not exist'),
        (['--config', 'nowhere.py'], 'config nowhere.py does not exist'),
        (['--network', NETWORKS[0]], r'--network \w+ comes with .* leave --config and'),
    ],
    ids=lambda value: ' '.join(value) if isinstance(value, list) else '',
)
def test_what_is_wrong_is_named_before_work_begins(tmp_path, tool, options, sentence):
    names, _, failure = tool([save(tmp_path / 'a.png')], *options)
    assert names == []
    assert failure.startswith('restore: ')
    assert '\n' not in failure
    assert re.search(sentence, failure)


def test_out_that_is_a_file(tmp_path, tool):
    (tmp_path / 'out').write_text('')
    _, _, failure = tool([save(tmp_path / 'a.png')])
    assert (
        failure == f'restore: --out {tmp_path}/out is no folder; name one, or a new one'
    )


def test_folder_without_photos(tmp_path, tool):
    (tmp_path / 'empty').mkdir()
    _, printed, failure = tool([tmp_path / 'empty'])
    assert f'{tmp_path / "empty"} holds no photo' in printed
    assert failure == 'restore: not restored: 1, for the reasons above'


def test_place_that_cannot_be_written(tmp_path, tool):
    save(tmp_path / 'photos' / 'sub' / 'a.png')
    save(tmp_path / 'photos' / 'b.png')
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'sub').write_text('in the way')
    names, printed, failure = tool([tmp_path / 'photos'])
    assert names == ['b.png', 'sub']
    assert f'{tmp_path}/out/sub/a.png cannot be written (' in printed
    assert failure.endswith('not restored: 1, for the reasons above')


@pytest.mark.long
def test_interrupt_leaves_whole_photos_alone(tmp_path, weights):
    photos = tmp_path / 'photos'
    pixels = np.kron(noise((60, 70, 3)), np.ones((8, 8, 1), np.uint8))
    for n in range(40):
        photos.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(photos / f'{n}.png')
    out = tmp_path / 'out'
    arguments = [photos, '--config', TINY, '--checkpoint', weights, '--out', out]
    command = [sys.executable, ROOT / 'tools' / 'restore.py', *arguments]
    process = subprocess.Popen(
        [*map(str, command), '--device', 'cpu'],
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs, and what they start, would ignore it.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    end = time.monotonic() + 120
    while not (out / '1.png').exists() and time.monotonic() < end:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 1
    assert 'restore: interrupted; the photos written so far are complete' in printed
    assert 'Traceback' not in printed
    found = sorted(out.iterdir())
    assert 2 <= len(found) < 40
    for path in found:
        assert path.suffix == '.png'
        assert not path.name.startswith('.')
        assert read_photo(path).shape == pixels.shape
