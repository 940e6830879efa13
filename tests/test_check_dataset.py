"""tools/check_dataset.py on made data sets, and on real photos where they are."""

import importlib.util
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from mmagic_inik.datasets.inspection import check_pair

ROOT = Path(__file__).parents[1]
REAL = ROOT.parent / 'shared/data/dpdd_r61'


@pytest.fixture(scope='module')
def script():
    path = ROOT / 'tools/check_dataset.py'
    spec = importlib.util.spec_from_file_location('check_dataset', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def check(script, tmp_path, capsys):
    """Runs the tool; gives its status and what it printed."""

    def run(*arguments):
        sheet = ['--out', str(tmp_path / 'out/sheet.png')]
        with pytest.raises(SystemExit) as stop:
            script.main([*map(str, arguments), *sheet])
        return stop.value.code, capsys.readouterr().out

    return run


def _photo(seed, size=(40, 32)):
    """Smooth noise of size (width, height)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def _save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def _pair(root, name, seed, size=(40, 32)):
    sharp = _photo(seed, size)
    _save(root / 'target' / name, sharp)
    _save(root / 'input' / name, sharp.reduce(4).resize(size))


def test_sound_data(check, tmp_path):
    root = tmp_path / 'my data $1'
    for seed in range(3):
        _pair(root, f'{seed}.png', seed)
    _pair(root, 'é 3.png', 3, (48, 32))
    code, out = check(root)
    assert code == 0
    scores = {
        path.name: peak_signal_noise_ratio(
            np.asarray(Image.open(root / 'target' / path.name)),
            np.asarray(Image.open(path)),
        )
        for path in (root / 'input').iterdir()
    }
    least, most = (pick(scores, key=scores.get) for pick in (min, max))
    expected = (
        'not divided (input + target): 4 inputs, 4 targets\n'
        '  sizes: 40x32 (6), 48x32 (2)\n'
        '  files: PNG 8-bit (8)\n'
        '  PSNR of input against target in dB: '
        f'mean {np.mean(list(scores.values())):.2f}, '
        f'least {scores[least]:.2f} ({least}), most {scores[most]:.2f} ({most})\n'
    )
    assert expected in out
    assert out.endswith('sheet.png shows 4 of 4\n0 unusable, 0 suspicious\n')
    with Image.open(tmp_path / 'out/sheet.png') as sheet:
        assert np.asarray(sheet.convert('L')).std() > 0


def test_everything_unusable_is_listed(check, tmp_path):
    for seed in range(5):
        _pair(tmp_path, f'{seed}.png', seed)
    cut = tmp_path / 'input/0.png'
    # Its header and its end are whole, which the look before training is content with.
    data = bytearray(cut.read_bytes())
    data[len(data) // 2] ^= 1
    cut.write_bytes(data)
    (tmp_path / 'target/1.png').write_text('no photo')
    _save(tmp_path / 'input/2.png', _photo(2, (41, 32)))
    (tmp_path / 'target/3.png').unlink()
    code, out = check(tmp_path)
    assert code == 1
    for problem in (
        f'unusable: {cut} cannot be read as a photograph (a checksum is wrong)',
        f'unusable: {tmp_path}/target/1.png cannot be read as a photograph',
        f'unusable: {tmp_path}/input/2.png is 41x32 pixels but its target '
        f'{tmp_path}/target/2.png 40x32',
        f'unusable: {tmp_path}/input/3.png has no target',
    ):
        assert out.count(problem) == 1
    assert 'input + target): 1 inputs, 1 targets' in out
    assert out.endswith('\n4 unusable, 0 suspicious\n')


def test_a_damaged_target_of_many_inputs_is_told_once(check, tmp_path):
    for n in range(3):
        _save(tmp_path / f'test_data/input/1/1_ap{n}.png', _photo(n))
    (tmp_path / 'test_data/ground_truth').mkdir()
    (tmp_path / 'test_data/ground_truth/1.png').write_text('no photo')
    code, out = check(tmp_path, '--preset', 'lfdof')
    assert code == 1
    assert out.count('ground_truth/1.png cannot be read') == 1


def test_suspicious_pairs_and_photos_in_two_splits_are_named(check, tmp_path):
    _pair(tmp_path / 'train', 'a.png', 0)
    _pair(tmp_path / 'train', 'b.png', 1)
    _pair(tmp_path / 'test', 'c.png', 2)
    # Another file of the same pixels.
    _save(tmp_path / 'test/target/c.tif', _photo(1))
    (tmp_path / 'test/target/c.png').unlink()
    _save(tmp_path / 'train/input/a.png', _photo(0))
    _save(tmp_path / 'train/input/black.png', Image.new('RGB', (40, 32)))
    _save(tmp_path / 'train/target/black.png', Image.new('RGB', (40, 32), 'white'))
    code, out = check(tmp_path)
    assert code == 0
    train, test = tmp_path / 'train', tmp_path / 'test'
    for expected in (
        f'{train}/input/a.png and its target {train}/target/a.png are identical\n',
        f'{train}/input/black.png and its target {train}/target/black.png agree by '
        '0.00 dB only: perhaps different scenes\n',
        f'{test}/target/c.tif (test) is the same as {train}/target/b.png (train)\n',
    ):
        assert out.count(f'suspicious: {expected}') == 1
    assert re.search(r'files: .*PNG 8-bit \(1\).*TIFF 8-bit \(1\)', out)
    # The first pair has no figure, the last is the least.
    assert 'least 0.00 (black.png)' in out


def _mispaired(out):
    return [line for line in out.splitlines() if 'perhaps pairs are shifted' in line]


def test_order_that_is_not_the_same_in_both_folders_is_suspicious(check, tmp_path):
    # In natural order the inputs are a, a10, a_2 and the targets a10, a_2, a.
    for seed, name in enumerate(('a', 'a_2', 'a10')):
        _pair(tmp_path, f'{name}.png', seed)
        target = tmp_path / 'target' / f'{name}.png'
        target.rename(target.with_name(f'{name}_gt.png'))
    code, out = check(tmp_path, '--layout', 'pair_by=order')
    assert code == 0
    assert _mispaired(out)


def test_one_missing_on_each_side_is_suspicious(check, tmp_path):
    for n in range(12):
        _pair(tmp_path, f'{n}.png', n)
    (tmp_path / 'input' / '3.png').unlink()
    (tmp_path / 'target' / '8.png').unlink()
    _, out = check(tmp_path, '--layout', 'pair_by=order')
    named = [line.split(' is paired')[0].rsplit('/', 1)[1] for line in _mispaired(out)]
    # Of 4 to 8 each is with its neighbour's; the neighbour of 8 is gone.
    assert named == ['4.png', '5.png', '6.png', '7.png']
    assert f'agrees better with {tmp_path}/target/4.png' in out


def test_sound_pairs_and_many_views_fit_best(check, tmp_path):
    for n in range(6):
        _pair(tmp_path, f'{n}.png', n)
    assert not _mispaired(check(tmp_path, '--layout', 'pair_by=order')[1])
    for n in range(6):
        for view in 'ab':
            _pair(tmp_path / 'views', f'{n}_{view}.png', n)
    _, out = check(tmp_path / 'views', '--layout', 'pair_by=order')
    assert not _mispaired(out)


def test_photos_that_are_there_twice_without_splits_are_named(check, tmp_path):
    for n in range(3):
        _pair(tmp_path, f'{n}.png', n)
    _pair(tmp_path, '7.png', 1)
    _, out = check(tmp_path)
    for half in ('input', 'target'):
        first, second = (f'{tmp_path}/{half}/{n}.png (not divided)' for n in (1, 7))
        assert out.count(f'suspicious: {second} is the same as {first}\n') == 1
    assert out.endswith('0 unusable, 2 suspicious\n')


def test_pairs_are_compared_in_little_memory(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), np.uint8)
    paths = [tmp_path / f'{n}.bmp' for n in range(2)]
    for n, path in enumerate(paths):
        Image.fromarray(np.roll(image, n, 0)).save(path)
    check_pair(tuple(paths))
    tracemalloc.start()
    checked = check_pair(tuple(paths))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Both photos, and one file and its decoder's copy; not 18 times eight bytes more.
    assert peak < 5 * image.nbytes
    expected = peak_signal_noise_ratio(image, np.roll(image, 1, 0), data_range=255)
    assert checked.psnr == pytest.approx(expected, abs=1e-9)


def test_one_split_alone(check, tmp_path):
    for split in ('train', 'test'):
        _pair(tmp_path / split, 'a.png', 0)
    _, everything = check(tmp_path)
    # The validation photos would be the test photos, which are told once.
    assert re.findall(r'^(\w+) \(', everything, re.M) == ['train', 'test']
    assert 'is the same as' in everything
    _, out = check(tmp_path, '--split', 'test')
    assert re.findall(r'^(\w+) \(', out, re.M) == ['test']
    assert 'is the same as' not in out


def test_own_layout(check, tmp_path):
    for n in range(3):
        _pair(tmp_path, f'{n}.png', n)
        (tmp_path / f'target/{n}.png').rename(tmp_path / f'target/sharp {n}.png')
    layout = ['--layout', 'pair_by=order']
    assert check(tmp_path, *layout)[0] == 0
    # One missing shifts the rest, and is seen before that.
    (tmp_path / 'target/sharp 0.png').unlink()
    code, out = check(tmp_path, *layout)
    assert code == 1
    assert 'input holds 3 and' in out


def test_photos_without_ground_truth(check, tmp_path):
    for n in range(3):
        _save(tmp_path / f'out_of_focus{n}.jpg', _photo(n))
    code, out = check(tmp_path, '--preset', 'cuhk')
    assert code == 0
    assert '3 inputs, no targets' in out
    assert 'PSNR' not in out


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        (['--preset', 'lfdof'], 'check_dataset: data set .* has no known layout; '),
        (
            ['--layout', 'input'],
            'check_dataset: --layout input is not of the form KEY=',
        ),
        (['--layout', 'inputs=a'], 'check_dataset: layout.inputs is unknown'),
        (['--num-pairs', '0'], 'check_dataset: --num-pairs is 0; give 1 at least'),
    ],
    ids=['nothing', 'form', 'unknown', 'none-drawn'],
)
def test_mistakes_are_one_sentence(check, tmp_path, arguments, expected):
    code, out = check(tmp_path, *arguments)
    assert re.match(expected, code)
    assert '\n' not in code
    assert not out


@pytest.mark.long
@pytest.mark.skipif(not REAL.is_dir(), reason='../shared/data/dpdd_r61 is not there')
def test_real_pairs_shifted_by_one_are_suspicious(check, tmp_path):
    for kind, skipped in (('input', 1), ('target', 0)):
        (tmp_path / kind).mkdir()
        photos = sorted((REAL / kind).iterdir())[skipped:][:12]
        for photo in photos:
            (tmp_path / kind / photo.name).symlink_to(photo)
    code, out = check(tmp_path, '--layout', 'pair_by=order')
    assert code == 0
    assert 'agree by' in out
    assert check(REAL)[1].endswith('shows 12 of 60\n0 unusable, 0 suspicious\n')
