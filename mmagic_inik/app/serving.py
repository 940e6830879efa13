"""Serving the page, and leaving nothing behind."""

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..errors import InputError
from ..restoration.network_options import load_by_options

if TYPE_CHECKING:
    from .studio import Studio

_LOCAL = ('127.0.0.1', 'localhost')
_PORTS = range(8080, 8100)
# Seconds that a page may be without a connection, as on a laptop that sleeps, before
# its photos go. A page that is closed says so at once.
_RECONNECT = 600
# Seconds that downloads are waited for at the end.
_GRACE = 3
# Vue makes functions of templates; scripts, fonts and all else come from here alone.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src "
    "'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
_HEADERS = [
    (b'content-security-policy', _POLICY.encode()),
    (b'referrer-policy', b'no-referrer'),
    (b'x-content-type-options', b'nosniff'),
]
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<circle cx="16" cy="16" r="14" fill="#202122"/>'
    '<path d="M16 5a11 11 0 0 1 0 22z" fill="#e0a83e"/></svg>'
)


def serve(args: argparse.Namespace) -> None:
    """Serve the page until the process is told to end.

    Args:
        args (argparse.Namespace): Of ``tools/app.py``.

    Raises:
        InputError: If the address cannot be used, or as
            :func:`~mmagic_inik.restoration.network_options.load_by_options`.
    """
    port = find_port(args.host, args.port)
    end_by_signals()
    # Imported where used, so that `--help` is quick.
    from .line import Line
    from .sessions import Sessions
    from .studio import Studio

    line = Line()
    sessions = Sessions(line, args.temp)
    # PyTorch makes a folder of its own beside ours when it is imported.
    os.environ.setdefault('TORCHINDUCTOR_CACHE_DIR', str(sessions.root / 'torch'))
    try:
        restorer = load_by_options(args)
        studio = Studio(
            restorer,
            sessions,
            line,
            args.tile,
            args.overlap,
            args.dtype,
            int(args.max_mb * 1e6),
            _about(args),
        )
        _run(studio, args.host, port, not args.no_browser)
    except KeyboardInterrupt:
        pass
    finally:
        line.stop()
        sessions.close_all()


def check_library() -> None:
    """Refuse to go on without NiceGUI.

    Raises:
        InputError: Says what to install.
    """
    if find_spec('nicegui') is None:
        raise InputError(
            "the page needs NiceGUI; install it with pip install 'mmagic_inik[app]'"
        )


def find_port(host: str, wanted: int | None) -> int:
    """A port at which can be listened.

    Args:
        host (str): Address.
        wanted (int, optional): Port; 0: any. Default: None, the first of twenty.

    Returns:
        int: That is free at the moment.

    Raises:
        InputError: If it is in use, or the address is none of this machine.
    """
    ports = _PORTS if wanted is None else [wanted]
    for port in ports:
        if not 0 <= port < 1 << 16:
            reason = 'ports end at 65535'
            continue
        try:
            family, kind, *_, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )[0]
            with socket.socket(family, kind) as trial:
                # As the server's own does: a port just left is free.
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(address)
                return trial.getsockname()[1]
        except OSError as error:
            reason = error.strerror or str(error)
    place = f'{host}:{ports[0]}' if len(ports) == 1 else f'{host}:{_PORTS[0]} and on'
    raise InputError(
        f'the page cannot be served at {place} ({reason}); give another --port, or '
        '--host'
    )


def end_by_signals() -> None:
    """End with all clean-ups, whether by kill or by a terminal that is closed."""

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    # As uvicorn handles SIGTERM while it runs, and no other.
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))


def _about(args: argparse.Namespace) -> str:
    if args.checkpoint is not None:
        return ', '.join(filter(None, (args.config, args.checkpoint)))
    from ..restoration.shipped import describe_shipped, weights_of

    return describe_shipped(weights_of(args.network))


def _run(studio: 'Studio', host: str, port: int, show: bool) -> None:
    from nicegui import app, background_tasks, ui
    from nicegui.server import Server
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from .page import TITLE, build_page
    from .routes import make_router

    app.include_router(make_router(studio))
    app.add_middleware(Guarded)
    if host in _LOCAL:
        # Or a site of another name could be led to this address.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(_LOCAL))
    else:
        print(
            f'Whoever reaches {host}:{port} can use this page, and the connection is '
            'not encrypted.',
            file=sys.stderr,
        )
    shown = f'[{host}]' if ':' in host else host

    async def announce() -> None:
        # Start-up ends before the port is listened at: who follows the address at
        # once would be refused.
        while not Server.instance.started:
            await asyncio.sleep(0.02)
        print(
            f'The page is at http://{shown}:{port}; end it with Ctrl+C.',
            file=sys.stderr,
            flush=True,
        )

    app.on_startup(lambda: background_tasks.create(announce()))
    # Quasar's bar for requests has no name for screen readers, and shows what ours do.
    app.config.quasar_config['loadingBar']['skipHijack'] = True

    @ui.page('/')
    def page() -> None:
        build_page(studio)

    ui.run(
        host=host,
        port=port,
        title=TITLE,
        favicon=_ICON,
        dark=True,
        language='en-US',
        show=show,
        reload=False,
        reconnect_timeout=_RECONNECT,
        show_welcome_message=False,
        tailwind=False,
        # Nearly all that is sent is compressed as it is.
        gzip_middleware_factory=None,
        timeout_graceful_shutdown=_GRACE,
    )


class Guarded:
    """Tells browsers to fetch nothing from elsewhere.

    Args:
        app (Callable): ASGI application.
    """

    def __init__(self, app: Callable) -> None:
        self._app = app

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        """Answer with the application's response and our headers."""

        async def send_guarded(message: dict) -> None:
            if message['type'] == 'http.response.start':
                message = {**message, 'headers': [*message['headers'], *_HEADERS]}
            await send(message)

        await self._app(scope, receive, send_guarded)
