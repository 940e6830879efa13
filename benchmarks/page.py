"""What a photo of 24 megapixels costs the browser that shows the page.

`python benchmarks/page.py` needs Chromium and Playwright. The network is an idle one:
what is measured is the page.
"""

import argparse
import subprocess
import sys
import time
import urllib.request

import cv2
import numpy as np
import psutil
from playwright.sync_api import Browser, Page, sync_playwright
from skimage import data

from mmagic_inik.app import serving

SIZE = 6000, 4000
WINDOW = dict(width=1600, height=1000)
_LOADED = """() => {
    const tiles = [...document.querySelectorAll('.leaflet-tile')];
    return tiles.length && tiles.every((t) => t.matches('.leaflet-tile-loaded'));
}"""
# Milliseconds between two frames are noted in `frames`.
_WATCH = """() => {
    window.frames_seen = [];
    let last = performance.now();
    const note = (now) => {
        window.frames_seen.push(now - last);
        last = now;
        requestAnimationFrame(note);
    };
    requestAnimationFrame(note);
}"""


def make_photo() -> bytes:
    """A JPEG of 24 megapixels with detail down to single pixels."""
    photo = cv2.resize(data.chelsea(), SIZE, interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(0).normal(0, 6, photo.shape[:2])
    photo = np.clip(photo + grain[..., None], 0, 255).astype(np.uint8)
    return cv2.imencode('.jpg', photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]


def serve_idle(port: int) -> None:
    """Serve the page with a network that changes next to nothing."""
    from torch import nn

    from mmagic_inik.models import Restorer

    network = nn.Hardtanh(0.02, 0.98)
    serving.load_by_options = lambda _: Restorer(network, 16).eval()
    options = dict(host='127.0.0.1', port=port, no_browser=True, max_mb=500, temp=None)
    network_options = dict(tile=1024, overlap=64, dtype='float32', checkpoint=None)
    serving.serve(argparse.Namespace(**options, **network_options))


def memory() -> float:
    """Megabytes of all that draws: this browser's renderers and its GPU process."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        line = ' '.join(process.cmdline())
        if '=renderer' in line or '=gpu-process' in line:
            # Of what several processes share, each one's part.
            total += process.memory_full_info().pss
    return total / 1e6


def report(name: str, page: Page, begun: float, requests: list) -> None:
    """Print a line: seconds, requests, frames, memory."""
    seconds, taken = time.perf_counter() - begun, len(requests)
    requests.clear()
    frames = sorted(page.evaluate('window.frames_seen ?? []'))
    page.evaluate('window.frames_seen && (window.frames_seen.length = 0)')
    worst = f'{frames[int(0.95 * len(frames))]:.0f}' if frames else '–'
    print(
        f'| {name} | {seconds:.1f} | {taken} | {worst} | {memory():.0f} |', flush=True
    )


def measure_page(browser: Browser, address: str, photo: bytes) -> None:
    """The page: fitted, at one to one, moved, blended, magnified."""
    page, requests = browser.new_page(viewport=WINDOW), []
    page.set_default_timeout(600_000)
    page.on('requestfinished', lambda request: requests.append(request.url))
    page.goto(address)
    page.get_by_text('choose files').wait_for()
    report('empty page', page, time.perf_counter(), requests)
    content = dict(name='photo.jpg', mimeType='image/jpeg', buffer=photo)
    page.set_input_files('#photos', content)
    page.locator('.viewer').wait_for()
    page.wait_for_function(_LOADED)
    page.evaluate(_WATCH)
    steps = {
        'photo, fitted': lambda: page.locator('.pick').click(),
        'one to one': lambda: page.get_by_role('button', name='One to one').click(),
        'moved over three screens': lambda: move(page),
        'twenty strengths': lambda: blend(page),
        'magnified 16 times': lambda: magnify(page),
    }
    for name, step in steps.items():
        requests.clear()
        begun = time.perf_counter()
        step()
        page.wait_for_timeout(100)
        page.wait_for_function(_LOADED)
        report(name, page, begun, requests)
    page.close()


def move(page: Page) -> None:
    """Drag the photo, three times nearly a screen, to its edge."""
    box = page.locator('.map').first.bounding_box()
    for _ in range(3):
        page.mouse.move(box['x'] + 1000, box['y'] + 300)
        page.mouse.down()
        page.mouse.move(box['x'] + 100, box['y'] + 150, steps=20)
        page.mouse.up()


def blend(page: Page) -> None:
    """Twenty positions of the strength's slider."""
    for percent in range(95, -1, -5):
        page.get_by_role('slider', name='Strength').fill(str(percent))


def magnify(page: Page) -> None:
    """From one to one to sixteen pixels for one."""
    for _ in range(4):
        page.get_by_role('button', name='Larger').click()
        page.wait_for_timeout(300)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--chromium', default='/usr/bin/chromium')
    parser.add_argument('--serve', type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve is not None:
        serve_idle(args.serve)
        return
    photo, port = make_photo(), serving.find_port('127.0.0.1', None)
    server = subprocess.Popen([sys.executable, __file__, '--serve', str(port)])
    options = dict(executable_path=args.chromium, args=['--no-sandbox'])
    print(
        '| | seconds | requests | 95 % of frames within ms | MB |\n'
        '|---|---|---|---|---|'
    )
    try:
        wait_for(port)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(**options)
            measure_page(browser, f'http://127.0.0.1:{port}', bytes(photo))
            browser.close()
    finally:
        server.terminate()
        server.wait()


def wait_for(port: int) -> None:
    """Until the server answers."""
    for _ in range(600):
        try:
            urllib.request.urlopen(f'http://127.0.0.1:{port}').close()
            return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f'nothing answers at port {port}')


if __name__ == '__main__':
    main()
