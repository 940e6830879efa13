"""The page in a real browser: Debian's Chromium, driven by Playwright."""

import base64
import contextlib
import io
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms
from test_light import WITHOUT

from mmagic_inik.app.studio import blend

sync_api = pytest.importorskip('playwright.sync_api', reason='Playwright is missing')
expect = sync_api.expect

ROOT = Path(__file__).parents[1]
CHROMIUM = next(
    filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))),
    None,
)
if CHROMIUM is None:
    pytest.skip(
        'there is no Chromium; on Debian and Ubuntu: apt install chromium',
        allow_module_level=True,
    )
pytestmark = pytest.mark.long
# Milliseconds that a photo may take on a busy machine.
PATIENCE = 120_000
LIMIT = 2_000_000
OPTIONS = ('--device', 'cpu', '--dtype', 'float32')
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()


class Server:
    """A server of its own, with a folder of its own for temporary files."""

    def __init__(self, temp, command, *options):
        self.temp = temp
        self.log = temp.parent / f'{temp.name}.log'
        environment = os.environ | dict(PYTHONPATH=str(ROOT), TMPDIR=str(temp))
        # Or NiceGUI would take the server for one of its own tests.
        environment.pop('PYTEST_CURRENT_TEST', None)
        with self.log.open('w') as log:
            self.process = subprocess.Popen(
                [*command, '--no-browser', '--port', '0', *OPTIONS, *options],
                env=environment,
                stdout=log,
                stderr=log,
            )

    @property
    def address(self):
        for _ in range(1200):
            found = re.search('The page is at (http://[^;]+);', self.log.read_text())
            if found:
                return found[1]
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        raise TimeoutError(self.log.read_text())

    def kept(self):
        """Folders of photos that are kept."""
        return list(self.temp.glob('mmagic-inik-app-*/*/*'))

    def end(self, number):
        self.process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(60)
        self.process.kill()
        return self.process.wait()


def noise(shape, seed=0):
    """Soft noise, of which a network makes something else."""
    small = np.random.default_rng(seed).integers(0, 65536, shape, np.uint16)
    return cv2.GaussianBlur(small, (0, 0), 1)


def make_photos(folder):
    """Small photos of several kinds, and one that takes some seconds."""
    folder.mkdir()
    eight = [(noise((44, 60, 3), seed) >> 8).astype(np.uint8) for seed in range(2)]
    Image.fromarray(eight[0]).save(folder / 'plain.png')
    exif = Image.Exif()
    exif[271], exif[274] = 'Maker', 6
    Image.fromarray(eight[1]).save(
        folder / 'Ünï & <b>.jpg', quality=93, exif=exif, icc_profile=PROFILE
    )
    cv2.imwrite(str(folder / 'deep.tif'), noise((37, 51, 3), 2))
    large = (noise((560, 700, 3), 3) >> 8).astype(np.uint8)
    Image.fromarray(large).save(folder / 'large.jpg', quality=95)
    (folder / 'broken.jpg').write_bytes((folder / 'Ünï & <b>.jpg').read_bytes()[:900])
    (folder / 'huge.png').write_bytes(b'x' * (LIMIT + 1))


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp('photos') / 'in'
    make_photos(folder)
    return folder


@pytest.fixture(scope='module')
def restoring(photos):
    """`tools/restore.py` at work, beside the server that starts meanwhile."""
    names = ('plain.png', 'Ünï & <b>.jpg', 'deep.tif')
    command = [sys.executable, ROOT / 'tools/restore.py', *OPTIONS]
    command += [*(photos / name for name in names), '--out', photos.parent / 'out']
    environment = os.environ | dict(PYTHONPATH=str(ROOT))
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


@pytest.fixture(scope='module')
def expected(photos, restoring):
    """Files that the tool writes."""
    _, said = restoring.communicate()
    assert restoring.returncode == 0, said
    return photos.parent / 'out'


@pytest.fixture(scope='module')
def server(tmp_path_factory, restoring):
    temp = tmp_path_factory.mktemp('server') / 'temp'
    temp.mkdir()
    command = [sys.executable, ROOT / 'tools/app.py']
    server = Server(temp, command, '--max-mb', str(LIMIT / 1e6))
    yield server
    # As the system's own shutdown ends it.
    assert server.end(signal.SIGTERM) == 128 + signal.SIGTERM, server.log.read_text()
    assert not list(temp.iterdir())


@pytest.fixture(scope='module')
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=['--no-sandbox']
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, server):
    """Opens the page for one more user, of whose requests none leaves for elsewhere."""
    requests, errors = [], []
    with contextlib.ExitStack() as stack:

        def open_one(**options):
            context = browser.new_context(**options)
            stack.callback(context.close)
            context.on('request', lambda request: requests.append(request.url))
            context.on('weberror', lambda error: errors.append(str(error.error)))
            page = context.new_page()
            page.set_default_timeout(PATIENCE)
            # Playwright begins to intercept dialogues some time after it is asked to,
            # on a busy machine behind the key that opens one.
            page.on('filechooser', lambda chooser: None)
            page.goto(server.address)
            expect(page.get_by_text('choose files')).to_be_visible(timeout=PATIENCE)
            return page

        yield open_one
    local = (server.address, server.address.replace('http', 'ws'), 'data:', 'blob:')
    assert len(requests) > 5
    assert [url for url in requests if not url.startswith(local)] == []
    assert errors == []


@pytest.fixture
def page(open_page):
    return open_page(viewport=dict(width=1100, height=700))


def drop(page, *paths, event='drop'):
    """Drop files on the page, or paste them, as a file manager would."""
    files = [(p.name, base64.b64encode(p.read_bytes()).decode()) for p in paths]
    page.evaluate(
        """([files, kind]) => {
            const data = new DataTransfer();
            for (const [name, content] of files) {
                const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
                data.items.add(new File([bytes], name));
            }
            const options = { bubbles: true, cancelable: true };
            document.body.dispatchEvent(
                kind === 'paste'
                    ? new ClipboardEvent(kind, { ...options, clipboardData: data })
                    : new DragEvent(kind, { ...options, dataTransfer: data })
            );
        }""",
        [files, event],
    )


def row(page, name):
    return page.get_by_role('listitem').filter(has_text=name)


def restored(page, name):
    """Wait for a photo; its line in the list."""
    line = row(page, name)
    expect(line.locator('.state')).to_have_text('restored', timeout=PATIENCE)
    return line


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image)


def shown(page, size, scale=1):
    """What is seen of the photo on the screen."""
    tile = page.locator('.leaflet-before-pane img.leaflet-tile-loaded').last
    box = tile.bounding_box()
    clip = dict(x=box['x'], y=box['y'], width=size[0] * scale, height=size[1] * scale)
    return np.asarray(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert('RGB'))


def move_divider(page, key):
    page.get_by_role('slider', name='Divider').press(key)
    page.mouse.move(0, 0)


def set_strength(page, percent):
    page.get_by_role('slider', name='Strength').fill(str(percent))


def download(page, link='Download'):
    with page.expect_download() as info:
        page.get_by_role('link', name=link).first.click()
    return info.value.suggested_filename, Path(info.value.path()).read_bytes()


def test_dropped_photos_are_downloaded_as_the_tool_writes_them(page, photos, expected):
    names = ['Ünï & <b>.jpg', 'deep.tif']
    drop(page, *(photos / name for name in names))
    for name in names:
        restored(page, name).get_by_role('button', name=name).first.click()
        expect(page.get_by_role('region', name=name)).to_be_visible()
        got, content = download(page, re.compile('^Download$'))
        # Browsers write no name that other systems would not take.
        assert got == re.sub('[<>]', '_', name)
        assert content == (expected / name).read_bytes()
    got, content = download(page, 'Download all 2')
    assert got == 'restored.zip'
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == names
        for name in names:
            assert archive.read(name) == (expected / name).read_bytes()


def test_divider_strength_and_magnification_show_pixels(page, photos, expected):
    drop(page, photos / 'plain.png')
    restored(page, 'plain.png')
    before, after = (pixels_of(p / 'plain.png') for p in (photos, expected))
    assert np.abs(before.astype(int) - after).mean() > 2
    size = before.shape[1::-1]
    expect(page.locator('img.leaflet-tile-loaded')).to_have_count(2)
    # In the middle one beside the other.
    middle = size[0] // 2
    left, right = np.split(shown(page, size)[:4], [middle], 1)
    np.testing.assert_array_equal(left[:, :-9], before[:4, : middle - 9])
    np.testing.assert_array_equal(right[:, 9:], after[:4, middle + 9 :])
    move_divider(page, 'End')
    np.testing.assert_array_equal(shown(page, size), before)
    move_divider(page, 'Home')
    np.testing.assert_array_equal(shown(page, size), after)
    for strength in (50, 0):
        set_strength(page, strength)
        difference = shown(page, size) - blend(before, after, strength).astype(int)
        assert np.abs(difference).max() <= 1
    got, content = download(page)
    np.testing.assert_array_equal(pixels_of(io.BytesIO(content)), before)
    set_strength(page, 100)
    for _ in range(4):
        page.get_by_role('button', name='Larger').click()
        page.wait_for_timeout(400)
    expect(page.get_by_text('1600 %')).to_be_visible()
    # Sixteen screen pixels for one of the photo, each of one colour.
    stage = page.locator('.map').first.bounding_box()
    tile = page.locator('.leaflet-before-pane img').last.bounding_box()
    screen = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert('RGB'))
    for x, y in ((20, 20), (30, 22), (38, 25)):
        left, top = round(tile['x']) + 16 * x, round(tile['y']) + 16 * y
        assert stage['x'] < left < stage['x'] + stage['width'] - 16
        assert stage['y'] < top < stage['y'] + stage['height'] - 16
        block = screen[top + 1 : top + 15, left + 1 : left + 15]
        np.testing.assert_array_equal(block, np.broadcast_to(after[y, x], block.shape))


def test_map_is_drawn_when_it_is_wanted(page, photos):
    wanted = []
    page.on('request', lambda request: wanted.append('/sizes/' in request.url))
    drop(page, photos / 'plain.png')
    restored(page, 'plain.png')
    expect(page.locator('img.leaflet-tile-loaded')).to_have_count(2)
    assert not any(wanted)
    button = page.get_by_role('button', name='Kernel sizes')
    button.click()
    expect(button).to_have_attribute('aria-pressed', 'true')
    figure = page.get_by_role('figure')
    expect(figure.locator('img.leaflet-tile-loaded')).to_have_count(1, timeout=PATIENCE)
    expect(figure).to_contain_text(re.compile(r'\d\.\d+ *\d+\.\d pixels'))
    button.click()
    expect(figure).to_be_hidden()


def test_pasted_photo(page, photos):
    drop(page, photos / 'plain.png', event='paste')
    restored(page, 'plain.png')


def test_keyboard_alone(page, photos, expected):
    def tab_to(locator):
        for _ in range(30):
            page.keyboard.press('Tab')
            if locator.evaluate('element => element === document.activeElement'):
                return
        raise AssertionError(f'{locator} is not reached')

    chooser = page.get_by_role('button', name='choose files')
    tab_to(chooser)
    with page.expect_file_chooser(timeout=10_000) as info:
        page.keyboard.press('Space')
    info.value.set_files([photos / 'plain.png', photos / 'deep.tif'])
    restored(page, 'deep.tif')
    tab_to(row(page, 'deep.tif').get_by_role('button', name='deep.tif').first)
    page.keyboard.press('Enter')
    expect(page.get_by_role('region', name='deep.tif')).to_be_visible()
    tab_to(page.get_by_role('slider', name='Strength'))
    page.keyboard.press('Home')
    page.keyboard.press('End')
    page.keyboard.press('ArrowLeft')
    link = page.get_by_role('link', name='Download', exact=True)
    expect(link).to_have_attribute('href', re.compile('strength=99$'))
    tab_to(link)
    with page.expect_download() as info:
        page.keyboard.press('Enter')
    got, wanted = (
        cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(int)
        for path in (info.value.path(), expected / 'deep.tif')
    )
    original = cv2.imread(str(photos / 'deep.tif'), cv2.IMREAD_UNCHANGED)
    assert np.abs(got - (original + 0.99 * (wanted - original))).max() < 0.51
    tab_to(page.get_by_role('application'))
    tab_to(divider := page.get_by_role('slider', name='Divider'))
    page.keyboard.press('ArrowRight')
    expect(divider).to_have_attribute('aria-valuenow', '52')
    page.keyboard.press('Shift+Tab')
    before = page.locator('.percent').first.inner_text()
    page.keyboard.press('+')
    expect(page.locator('.percent').first).not_to_have_text(before)


def test_names_for_screen_readers(page, photos):
    drop(page, photos / 'plain.png')
    restored(page, 'plain.png')
    expect(page.get_by_role('heading', level=1)).to_have_text('Defocus restoration')
    expect(page.locator('html')).to_have_attribute('lang', 'en-US')
    for role, name in (
        ('complementary', 'Photos'),
        ('list', 'Photos on this page'),
        ('button', 'Remove plain.png'),
        ('group', 'Magnification'),
        ('slider', 'Strength'),
        ('slider', 'Divider between original and restored'),
        ('region', 'Comparison of plain.png'),
        ('link', 'Download'),
    ):
        expect(page.get_by_role(role, name=name, exact=True)).to_have_count(1)
    # Hidden a moment after; what is hidden by then has no name.
    progress = page.locator('progress')
    expect(progress).to_be_hidden()
    expect(progress).to_have_attribute('aria-label', 'Progress of plain.png')
    # All that can be used has a name.
    for role in ('button', 'slider', 'link', 'application', 'progressbar'):
        for element in page.get_by_role(role).all():
            assert re.match(r'- [\'"]?\w+ ".', element.aria_snapshot()), (
                element.aria_snapshot()
            )
    news = page.get_by_role('status').filter(has_text='plain.png: restored')
    expect(news).to_have_count(1)


def test_narrow_window(open_page, photos):
    page = open_page(viewport=dict(width=360, height=640))
    drop(page, photos / 'plain.png')
    restored(page, 'plain.png')
    assert page.evaluate('document.documentElement.scrollWidth') == 360
    for part in (
        page.get_by_role('slider', name='Strength'),
        page.get_by_role('link', name='Download'),
        page.get_by_role('application'),
    ):
        part.scroll_into_view_if_needed()
        box = part.bounding_box()
        assert box['x'] >= 0
        assert box['x'] + box['width'] <= 360
    expect(page.locator('img.leaflet-tile-loaded')).to_have_count(2)


def test_what_cannot_be_restored_is_said_in_a_sentence(page, photos, server):
    drop(page, photos / 'broken.jpg', photos / 'huge.png', photos / 'plain.png')
    restored(page, 'plain.png')
    for name, sentence in (
        ('broken.jpg', 'broken.jpg cannot be read as a photograph ('),
        (
            'huge.png',
            'Huge.png is larger than 2 MB, the limit of this page; reduce it, or '
            'start the page with a higher --max-mb.',
        ),
    ):
        line = row(page, name)
        expect(line.locator('.state')).to_have_text('not restored')
        text = line.locator('.sentence').inner_text()
        assert text.lower().startswith(sentence.lower())
        assert str(server.temp) not in text
    row(page, 'broken.jpg').get_by_role('button', name='Remove broken.jpg').click()
    expect(row(page, 'broken.jpg')).to_have_count(0)


def test_full_disk(page, photos, server):
    place, soft = (
        (server.process.pid, resource.RLIMIT_FSIZE),
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE),
    )
    resource.prlimit(*place, (1000, soft[1]))
    try:
        drop(page, photos / 'plain.png')
        sentence = row(page, 'plain.png').locator('.sentence')
        expect(sentence).to_contain_text(
            f'here is no room for this photo in {server.temp} (File too large); remove '
            'photos from the page, or start it with another --temp.',
            timeout=PATIENCE,
        )
    finally:
        resource.prlimit(*place, soft)
    page.get_by_role('button', name='Remove plain.png').click()
    drop(page, photos / 'plain.png')
    restored(page, 'plain.png')


def test_two_users_a_queue_and_cancelling(open_page, photos, server):
    first, second = open_page(), open_page()
    drop(first, photos / 'large.jpg')
    line = row(first, 'large.jpg')
    bar = first.get_by_role('progressbar', name='Progress of large.jpg')
    expect(bar).to_be_visible(timeout=PATIENCE)
    drop(second, photos / 'plain.png')
    waiting = row(second, 'plain.png').locator('.state')
    expect(waiting).to_have_text('waits: 1 photo before it', timeout=PATIENCE)
    # Nobody sees that of another, by list or by address.
    expect(second.get_by_role('listitem')).to_have_count(1)
    tokens = [
        re.search(r'/s/([\w-]{32})/', page.content())[1] for page in (first, second)
    ]
    assert tokens[0] != tokens[1]
    expect(line.locator('.state')).to_have_text(re.compile(r'^\d+ %, .+ left$'))
    line.get_by_role('button', name='Cancel large.jpg').click()
    expect(line.locator('.state')).to_have_text('cancelled')
    restored(second, 'plain.png')
    address = second.get_by_role('link', name='Download').get_attribute('href')
    assert second.request.get(server.address + address).status == 200
    foreign = address.replace(tokens[1], tokens[0])
    assert second.request.get(server.address + foreign).status == 404


def test_a_closed_page_leaves_nothing(open_page, photos, server):
    before = set(server.kept())
    page = open_page()
    drop(page, photos / 'plain.png', photos / 'large.jpg')
    restored(page, 'plain.png')
    expect(row(page, 'large.jpg').get_by_role('progressbar')).to_be_visible()
    assert len(set(server.kept()) - before) == 2
    page.close()
    for _ in range(600):
        if not set(server.kept()) - before:
            return
        time.sleep(0.05)
    raise AssertionError(set(server.kept()) - before)


def test_the_page_asks_before_photos_are_lost(page, photos):
    asked = []
    page.on('dialog', lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.reload()
    assert asked == []
    drop(page, photos / 'plain.png')
    restored(page, 'plain.png')
    # Browsers ask nobody who has not touched the page.
    page.get_by_role('button', name='Fit').click()
    page.wait_for_timeout(600)
    page.reload()
    assert asked == ['beforeunload']


# The address must not be announced before it is listened at.
LATE = """
import asyncio
from uvicorn.lifespan.on import LifespanOn
start = LifespanOn.startup
async def startup(self):
    await start(self)
    await asyncio.sleep(1)
LifespanOn.startup = startup
"""


def test_light_install_serves_it_and_an_interrupt_leaves_nothing(tmp_path, photos):
    program = (
        f'{WITHOUT}{LATE}from mmagic_inik.command import main\nmain(sys.argv[1:])\n'
        'assert "mmengine" not in sys.modules'
    )
    temp = tmp_path / 'temp'
    temp.mkdir()
    server = Server(temp, [sys.executable, '-c', program, 'app'])
    with urllib.request.urlopen(server.address) as answer:
        token = re.search(r'/s/([\w-]{32})', answer.read().decode())[1]
    address = f'{server.address}/s/{token}/photos?name=large.jpg'
    content = (photos / 'large.jpg').read_bytes()
    urllib.request.urlopen(address, content).close()
    for _ in range(600):
        if list(temp.rglob('before_0.npy')):
            break
        time.sleep(0.05)
    assert list(temp.rglob('before_0.npy'))
    assert server.end(signal.SIGINT) == 0, server.log.read_text()
    assert not list(temp.iterdir())
    assert 'Traceback' not in server.log.read_text()
