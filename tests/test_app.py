"""What stands behind the page: queue, sessions, tiles, files, addresses."""

import errno
import io
import os
import re
import threading
import zipfile

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image, ImageCms
from torch import nn

from mmagic_inik.app import pictures
from mmagic_inik.app.line import CancelledError, Line, Task
from mmagic_inik.app.pictures import TILE, read_tile, top_level, write_levels
from mmagic_inik.app.routes import make_router
from mmagic_inik.app.serving import find_port
from mmagic_inik.app.sessions import (
    CANCELLED,
    DONE,
    FAILED,
    WORKING,
    Sessions,
    tidy_name,
)
from mmagic_inik.app.studio import Studio, blend
from mmagic_inik.errors import InputError
from mmagic_inik.models import Restorer
from mmagic_inik.restoration import encode_photo, open_photo, restore


class Half(nn.Module):
    """A network that halves, and waits where it is told to."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Identity()
        self.go = threading.Event()
        self.go.set()
        self.reached = threading.Event()

    def forward(self, image):
        self.reached.set()
        self.go.wait(20)
        return self.layer(image) / 2


def noise(shape, dtype=np.uint8, seed=0):
    high = np.iinfo(dtype).max + 1
    return np.random.default_rng(seed).integers(0, high, shape, dtype)


def png(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, 'PNG', **options)
    return file.getvalue()


@pytest.fixture
def line():
    line = Line()
    yield line
    assert line.stop()


@pytest.fixture
def studio(tmp_path, line):
    sessions = Sessions(line, tmp_path)
    restorer = Restorer(Half(), 1, 1).eval()
    yield Studio(restorer, sessions, line, None, 64, 'float32', 200_000, 'a test')
    restorer.generator.go.set()
    line.stop()
    sessions.close_all()
    assert not list(tmp_path.glob('mmagic-inik-app-*'))


@pytest.fixture
def client(studio):
    app = FastAPI()
    app.include_router(make_router(studio))
    with TestClient(app) as client:
        yield client


def send(client, session, content, name='a.png'):
    """Send a photo; its item, and the answer's status."""
    answer = client.post(
        f'/s/{session.token}/photos', params=dict(name=name), content=content
    )
    return session.items[-1] if session.items else None, answer


def wait(condition):
    for _ in range(2000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise TimeoutError


def finished(item):
    wait(lambda: item.task is None)
    return item


# The queue.


def test_tasks_come_one_at_a_time_in_order(line):
    running, most, order = 0, 0, []

    def work(name):
        def run(report):
            nonlocal running, most
            running += 1
            most = max(most, running)
            order.append(name)
            report(0.5)
            running -= 1

        return run

    over = threading.Event()
    for name in 'abcd':
        line.add(Task(work(name), 1))
    line.add(Task(lambda report: over.set(), 1))
    assert over.wait(10)
    assert order == list('abcd')
    assert most == 1


def test_position_and_time_left(line):
    hold, reached, left = threading.Event(), threading.Event(), []

    def work(report):
        report(0.25)
        reached.set()
        hold.wait(10)

    first, second, third = (
        Task(work, pixels, lambda: left.append(1)) for pixels in (100, 200, 300)
    )
    for task in (first, second, third):
        line.add(task)
    assert reached.wait(10)
    assert [line.before(task) for task in (first, second, third)] == [0, 1, 2]
    first.begun -= 10
    # A quarter took ten seconds; nothing is known yet of others.
    assert line.seconds_left(first) == pytest.approx(30, abs=1)
    assert line.seconds_left(third) is None
    line._pace = 0.1
    assert line.seconds_left(third) == pytest.approx(30 + 20 + 30, abs=1)
    line.cancel(second)
    assert left == [1]
    assert line.before(third) == 1
    assert line.seconds_left(third) == pytest.approx(30 + 30, abs=1)
    hold.set()


def test_cancelled_work_ends_at_its_next_report(line):
    reached, go, ended = (threading.Event() for _ in range(3))
    errors = []

    def work(report):
        reached.set()
        go.wait(10)
        try:
            report(0.5)
        except CancelledError as error:
            errors.append(error)
            raise

    task = Task(work, 1, ended.set)
    line.add(task)
    assert reached.wait(10)
    line.cancel(task)
    go.set()
    assert ended.wait(10)
    assert len(errors) == 1
    # The queue goes on.
    after = threading.Event()
    line.add(Task(lambda report: after.set(), 1))
    assert after.wait(10)


# Tiles.


@pytest.mark.parametrize(
    ('size', 'levels'), [((256, 256), 1), ((257, 100), 2), ((1025, 30), 4), ((1, 1), 1)]
)
def test_levels_go_down_to_one_tile(tmp_path, size, levels):
    write_levels(noise((*size[::-1], 3)), tmp_path, 'x')
    assert len(list(tmp_path.iterdir())) == levels
    assert top_level(*size) == levels - 1


def decoded(content):
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)


@pytest.mark.parametrize('shape', [(300, 530, 3), (300, 530)], ids=['colour', 'grey'])
def test_tiles_are_the_photo(tmp_path, shape):
    photo = noise(shape)
    write_levels(photo, tmp_path, 'x')
    whole = np.zeros((2 * TILE, 3 * TILE, *shape[2:]), np.uint8)
    for row in range(2):
        for column in range(3):
            tile = decoded(read_tile(tmp_path, 'x', 0, row, column))
            if tile.ndim == photo.ndim and tile.shape[2:] == photo.shape[2:]:
                opaque = np.ones((TILE, TILE), bool)
            else:
                opaque = tile[..., -1] == 255
                tile = tile[..., 0] if photo.ndim == 2 else tile[..., :3]
            rows, columns = (slice(k * TILE, (k + 1) * TILE) for k in (row, column))
            whole[rows, columns] = tile
            height, width = (
                max(0, min(TILE, side - k * TILE))
                for side, k in zip(shape, (row, column), strict=False)
            )
            assert opaque[:height, :width].all()
            assert opaque.sum() == height * width
    np.testing.assert_array_equal(whole[:300, :530], photo)
    # Half the size: the mean of four.
    half = decoded(read_tile(tmp_path, 'x', 1, 0, 0))[:150, :256]
    four = photo[:, :512].reshape(150, 2, 256, 2, -1).mean((1, 3))
    assert np.abs(half[..., : four.shape[2]] - four).max() <= 0.5


def test_sixteen_bits_are_shown_rounded(tmp_path):
    photo = noise((5, 7, 3), np.uint16)
    write_levels(photo, tmp_path, 'x')
    shown = decoded(read_tile(tmp_path, 'x', 0, 0, 0))[:5, :7, :3]
    np.testing.assert_array_equal(shown, np.rint(photo / 257))


def test_no_tile_beyond_the_photo(tmp_path):
    write_levels(noise((10, 10)), tmp_path, 'x')
    for level, row, column in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, -1, 0), (-1, 0, 0)):
        assert read_tile(tmp_path, 'x', level, row, column) is None


def test_tiles_carry_the_profile_that_fits_them(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    write_levels(noise((9, 9)), tmp_path, 'grey')
    content = read_tile(tmp_path, 'grey', 0, 0, 0, profile)
    with Image.open(io.BytesIO(content)) as image:
        # A grey PNG must not have a profile for RGB.
        assert image.mode == 'RGBA'
        assert image.info['icc_profile'] == profile


# Blending.


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
def test_blend_is_linear_and_exact_at_its_ends(dtype):
    if dtype == np.float32:
        original, restored = np.random.default_rng(0).random((2, 300, 3, 3), dtype)
    else:
        original, restored = noise((2, 300, 3, 3), dtype)
    np.testing.assert_array_equal(blend(original, restored, 0), original)
    np.testing.assert_array_equal(blend(original, restored, 100), restored)
    expected = original * 0.7 + restored * 0.3
    mixed = blend(original, restored, 30)
    assert mixed.dtype == dtype
    atol = 1e-6 if dtype == np.float32 else 0.51
    np.testing.assert_allclose(mixed, expected, atol=atol)


# From photo to file.


def test_photo_comes_back_as_the_functions_write_it(studio, client, tmp_path):
    content = png(noise((33, 41, 3)), dpi=(300, 300))
    session = studio.sessions.open()
    item, answer = send(client, session, content, 'my photo.png')
    assert answer.status_code == 204
    assert finished(item).state == DONE
    assert item.size == (41, 33)
    path = tmp_path / 'photo.png'
    path.write_bytes(content)
    photo = open_photo(path)
    restored = restore(photo.pixels, studio.restorer, None, dtype='float32')
    place = f'/s/{session.token}/{item.key}'
    for strength in (100, 40):
        answer = client.get(f'{place}/file', params=dict(strength=strength))
        mixed = blend(photo.pixels, restored, strength)
        assert answer.content == encode_photo(photo, mixed)
        assert 'my%20photo.png' in answer.headers['content-disposition']
        assert answer.headers['cache-control'] == 'no-store'
    shown = decoded(client.get(f'{place}/after/0/0/0.png').content)
    np.testing.assert_array_equal(shown[:33, :41, :3], restored)
    shown = decoded(client.get(f'{place}/thumbnail.png').content)
    np.testing.assert_array_equal(shown, photo.pixels)


def test_all_of_a_page_in_one_zip(studio, client):
    session = studio.sessions.open()
    contents = [png(noise((8, 9, 3), seed=seed)) for seed in range(2)]
    items = [finished(send(client, session, content)[0]) for content in contents]
    items[1].strength = 0
    answer = client.get(f'/s/{session.token}/photos.zip')
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ['a.png', 'a (2).png']
        first, second = (archive.read(name) for name in archive.namelist())
    assert first == (items[0].folder / 'result').read_bytes()
    np.testing.assert_array_equal(decoded(second), decoded(contents[1]))


def test_bad_files_get_a_sentence_with_their_own_name(studio, client):
    session = studio.sessions.open()
    whole = png(noise((40, 40, 3)))
    for content, reason in (
        (b'nothing', 'its content is no known image format'),
        (whole[: len(whole) // 2], 'the end of the file is missing'),
        (b'', 'its content is no known image format'),
    ):
        item, _ = send(client, session, content, 'bad one.png')
        assert finished(item).state == FAILED
        assert item.sentence.startswith('bad one.png cannot be read as a photograph')
        assert reason in item.sentence
        assert not item.folder.exists()


def test_damage_that_shows_late_is_a_sentence_too(studio, client):
    content = bytearray(png(noise((40, 40, 3))))
    content[len(content) // 2] ^= 255
    session = studio.sessions.open()
    item, _ = send(client, session, bytes(content))
    assert finished(item).state == FAILED
    assert item.sentence.startswith('a.png cannot be read as a photograph')
    assert not item.folder.exists()


def test_too_large_a_file_is_refused_by_the_server_too(studio, client):
    session = studio.sessions.open()
    item, answer = send(client, session, b'x' * 200_001)
    assert answer.status_code == 413
    assert item.sentence == (
        'a.png is larger than 0.2 MB, the limit of this page; reduce it, or start the '
        'page with a higher --max-mb'
    )
    assert not item.folder.exists()


class Full(io.BytesIO):
    """A file on a full disk."""

    def write(self, _):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize('name', ['before_0.npy', 'after_0.npy', 'result'])
def test_full_disk_while_working(studio, client, monkeypatch, tmp_path, name):
    write = pictures.write_file

    def refuse(path, *parts):
        if path.name == name:
            raise pictures.no_room(path, OSError(errno.ENOSPC, 'No space left'))
        write(path, *parts)

    monkeypatch.setattr(pictures, 'write_file', refuse)
    monkeypatch.setattr('mmagic_inik.app.studio.write_file', refuse)
    session = studio.sessions.open()
    item, _ = send(client, session, png(noise((8, 8, 3))))
    assert finished(item).state == FAILED
    assert f'no room for this photo in {tmp_path} (No space left)' in item.sentence
    assert not item.folder.exists()


def test_full_disk_while_a_photo_comes_in(studio, client, monkeypatch, tmp_path):
    opened = type(tmp_path).open

    def open_full(path, mode='r', *rest, **options):
        if path.name == 'photo.png' and 'w' in mode:
            return Full()
        return opened(path, mode, *rest, **options)

    monkeypatch.setattr(type(tmp_path), 'open', open_full)
    session = studio.sessions.open()
    item, answer = send(client, session, png(noise((8, 8, 3))))
    assert answer.status_code == 507
    assert item.state == FAILED
    assert '(No space left on device); remove photos from the page' in item.sentence
    assert not item.folder.exists()


def test_array_writer_says_what_the_system_says(tmp_path):
    if not os.path.exists('/dev/full'):
        pytest.skip('no /dev/full, which fails as a full disk does')
    folder = tmp_path / 'a' / 'b' / 'c'
    folder.mkdir(parents=True)
    (folder / 'x.npy').symlink_to('/dev/full')
    with pytest.raises(InputError, match='No space left on device'):
        pictures.write_array(folder / 'x.npy', noise((50, 50)))


# Whose photos they are.


def test_a_page_shows_nothing_of_another(studio, client):
    mine, other = studio.sessions.open(), studio.sessions.open()
    item = finished(send(client, mine, png(noise((8, 8, 3))))[0])
    assert len(mine.token) >= 32
    assert len(item.key) >= 16
    paths = ['thumbnail.png', 'before/0/0/0.png', 'after/0/0/0.png', 'file']
    for path in paths:
        assert client.get(f'/s/{mine.token}/{item.key}/{path}').status_code == 200
        for token, key in ((other.token, item.key), ('x', item.key), (mine.token, 'x')):
            assert client.get(f'/s/{token}/{key}/{path}').status_code == 404
    for path in ('restored.npy', 'before/../photo/0/0/0.png', 'photo/0/0/0.png'):
        assert client.get(f'/s/{mine.token}/{item.key}/{path}').status_code == 404
    assert client.get(f'/s/{other.token}/photos.zip').status_code == 404
    assert send(client, type(mine)('x', mine.folder), b'')[1].status_code == 404


def test_a_closed_page_leaves_nothing_and_ends_its_work(studio, client, tmp_path):
    network = studio.restorer.generator
    network.go.clear()
    network.reached.clear()
    session, other = studio.sessions.open(), studio.sessions.open()
    first, _ = send(client, session, png(noise((8, 8, 3))))
    second, _ = send(client, session, png(noise((8, 8, 3))))
    assert network.reached.wait(10)
    wait(lambda: first.state == WORKING)
    third, _ = send(client, other, png(noise((8, 8, 3))))
    assert studio.line.before(third.task) == 2
    assert client.post(f'/s/{session.token}/leave').status_code == 204
    assert studio.line.before(third.task) == 1
    network.go.set()
    assert finished(third).state == DONE
    assert finished(first).state == finished(second).state == CANCELLED
    assert not session.folder.exists()
    assert other.folder.exists()
    assert client.get(f'/s/{session.token}/{first.key}/file').status_code == 404


def test_cancelling_leaves_the_photo_on_the_page(studio, client):
    network = studio.restorer.generator
    network.go.clear()
    network.reached.clear()
    session = studio.sessions.open()
    item, _ = send(client, session, png(noise((8, 8, 3))))
    assert network.reached.wait(10)
    studio.line.cancel(item.task)
    network.go.set()
    assert finished(item).state == CANCELLED
    assert session.items == [item]
    assert not item.folder.exists()


def test_leftovers_of_killed_servers_go_and_others_stay(tmp_path, line):
    running = Sessions(line, tmp_path)
    left = tmp_path / 'mmagic-inik-app-left'
    left.mkdir()
    (left / 'lock').touch()
    (left / 'photo.jpg').touch()
    foreign = tmp_path / 'something else'
    foreign.mkdir()
    second = Sessions(line, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [running.root.name, second.root.name, foreign.name]
    )
    assert running.root.stat().st_mode & 0o777 == 0o700
    second.close_all()
    running.close_all()
    assert [p.name for p in tmp_path.iterdir()] == [foreign.name]


@pytest.mark.parametrize(
    ('given', 'tidy'),
    [
        ('../../etc/passwd', 'passwd'),
        ('..', 'photo'),
        ('a\nb.jpg', 'ab.jpg'),
        ('ä' * 300 + '.jpeg', 'ä' * 125 + '.jpeg'),
        ('<img src=x>.png', '<img src=x>.png'),
    ],
)
def test_names_are_taken_as_names(given, tidy):
    assert tidy_name(given) == tidy
    assert len(tidy_name(given).encode()) <= 255


def test_ports(monkeypatch):
    import socket

    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f'served at 127.0.0.1:{port} .*--port'):
            find_port('127.0.0.1', port)
        monkeypatch.setattr('mmagic_inik.app.serving._PORTS', (port, port + 1))
        assert find_port('127.0.0.1', None) == port + 1
    assert find_port('127.0.0.1', 0) > 0
    with pytest.raises(InputError, match=re.escape('give another --port, or --host')):
        find_port('127.0.0.1', 99999)


def test_the_map_needs_weights(studio):
    assert not studio.draws_sizes
