"""Addresses behind the page: photos in, tiles and files out.

All lie below a page's token, which is not to be guessed, so that nobody sees another's.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, PlainTextResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from ..errors import InputError
from .pictures import no_room, read_thumbnail, read_tile, top_level
from .sessions import DONE, FAILED, Item, Session
from .studio import Studio

# Tiles of them are served.
PICTURES = ('before', 'after', 'sizes')
_MEGABYTE = 1_000_000


def make_router(studio: Studio) -> APIRouter:
    """Addresses of a studio.

    Args:
        studio (Studio): What they are about.

    Returns:
        APIRouter: For a FastAPI application.
    """
    router = APIRouter(prefix='/s/{token}')

    @router.post('/photos')
    async def receive(token: str, name: str, request: Request) -> Response:
        session = studio.sessions.find(token)
        if session is None:
            return _nothing()
        return await _receive(studio, session, name, request)

    @router.get('/{key}/{picture}/{level}/{row}/{column}.png')
    def tile(
        token: str, key: str, picture: str, level: int, row: int, column: int
    ) -> Response:
        item = _find(studio, token, key)
        if item is None or picture not in PICTURES:
            return _nothing()
        place = item.folder, picture, level, row, column
        return _png(read_tile(*place, item.profile))

    @router.get('/{key}/thumbnail.png')
    def thumbnail(token: str, key: str) -> Response:
        item = _find(studio, token, key)
        if item is None:
            return _nothing()
        level = top_level(*item.size)
        return _png(read_thumbnail(item.folder, 'before', level, item.profile))

    @router.get('/{key}/file')
    def download(token: str, key: str, strength: int = 100) -> Response:
        item = _find(studio, token, key)
        if item is None or item.state != DONE or not 0 <= strength <= 100:
            return _nothing()
        try:
            content = studio.file_of(item, strength)
        except InputError as error:
            return PlainTextResponse(f'{error}.', 500)
        named = _attached(item.result_name)
        if isinstance(content, Path):
            return FileResponse(content, 200, named, 'application/octet-stream')
        return Response(content, 200, named, 'application/octet-stream')

    @router.get('/photos.zip')
    def download_all(token: str) -> Response:
        session = studio.sessions.find(token)
        items = session and [item for item in session.items if item.state == DONE]
        if not items:
            return _nothing()
        parts = studio.zip_of(items)
        try:
            # What fails at the first photo is still told in a sentence.
            first = next(parts)
        except InputError as error:
            return PlainTextResponse(f'{error}.', 500)
        named = _attached('restored.zip')
        return StreamingResponse(_joined(first, parts), 200, named, 'application/zip')

    @router.post('/leave')
    def leave(token: str) -> Response:
        session = studio.sessions.find(token)
        if session is not None:
            studio.sessions.close(session)
        return Response(status_code=204)

    return router


async def _receive(
    studio: Studio, session: Session, name: str, request: Request
) -> Response:
    """Write a photo while it comes in; what is wrong is said on the page, too."""
    try:
        item = session.add(name)
    except InputError as error:
        return PlainTextResponse(f'{error}.', 507)
    size = 0
    try:
        with item.path.open('wb') as file:
            async for part in request.stream():
                size += len(part)
                if size > studio.max_bytes:
                    raise too_large(item.name, studio.max_bytes)
                file.write(part)
    except ClientDisconnect:
        studio.sessions.remove(session, item)
        return Response(status_code=400)
    except (InputError, OSError) as error:
        sentence, status = str(error), 413
        if isinstance(error, OSError):
            sentence, status = str(no_room(item.path, error)), 507
        refuse(studio, item, sentence)
        return PlainTextResponse(f'{sentence}.', status)
    await run_in_threadpool(studio.begin, session, item)
    if session.closed:
        studio.sessions.close(session)
    return Response(status_code=204)


def too_large(name: str, max_bytes: int) -> InputError:
    """Why a file is not taken.

    Args:
        name (str): Of the file.
        max_bytes (int): What is taken.

    Returns:
        InputError: Says the limit and how to set it.
    """
    return InputError(
        f'{name} is larger than {max_bytes / _MEGABYTE:g} MB, the limit of this page; '
        'reduce it, or start the page with a higher --max-mb'
    )


def refuse(studio: Studio, item: Item, sentence: str) -> None:
    """Leave a photo on its page with a sentence alone."""
    item.sentence, item.state = sentence, FAILED
    studio.sessions.empty(item)


def _find(studio: Studio, token: str, key: str) -> Item | None:
    session = studio.sessions.find(token)
    return None if session is None else session.find(key)


def _png(content: bytes | None) -> Response:
    if content is None:
        return _nothing()
    return Response(content, 200, _PRIVATE, 'image/png')


def _nothing() -> Response:
    return PlainTextResponse('There is nothing here.', 404)


def _attached(name: str) -> dict[str, str]:
    return {
        'Content-Disposition': f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        **_PRIVATE,
    }


async def _joined(first: bytes, parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """A generator's parts, made in another thread."""
    yield first
    while (part := await run_in_threadpool(next, parts, None)) is not None:
        yield part


# A browser keeps no copy on its disk.
_PRIVATE = {'Cache-Control': 'no-store'}
