"""What each open page holds: its photos, in a folder that goes when the page does."""

import fcntl
import os
import secrets
import shutil
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from .line import Line, Task

_PREFIX = 'mmagic-inik-app-'
_LOCK = 'lock'
# Bytes of a file name, at most, on the systems that there are.
_NAME_BYTES = 255

WAITING, WORKING, DONE = 'waiting', 'working', 'done'
FAILED, CANCELLED = 'failed', 'cancelled'


@dataclass(eq=False)
class Item:
    """A photo on a page.

    Attributes:
        key (str): Its part of addresses, not to be guessed.
        name (str): As the user's file is called.
        folder (Path): All that is kept of it.
        path (Path): The photo, under a name that any file system takes.
        state (str): ``'waiting'``, ``'working'``, ``'done'``, ``'failed'`` or
            ``'cancelled'``.
        sentence (str): Why it failed, or what of it could not be kept.
        size (tuple[int, int]): Width and height in pixels, upright.
        strength (int): Of the restoration, in percent.
        profile (bytes, optional): ICC profile for showing it.
        result_name (str): As the restored file is called.
        sizes (tuple[float, float], optional): Least and largest expected kernel size.
        sizes_sentence (str): Why there is no map.
        task (Task, optional): Restoring, until it is over.
        sizes_task (Task, optional): Drawing the map, until it is over.
    """

    key: str
    name: str
    folder: Path
    path: Path
    state: str = WAITING
    sentence: str = ''
    size: tuple[int, int] = (0, 0)
    strength: int = 100
    profile: bytes | None = None
    result_name: str = ''
    sizes: tuple[float, float] | None = None
    sizes_sentence: str = ''
    task: Task | None = None
    sizes_task: Task | None = None

    def named(self, sentence: object) -> str:
        """A sentence in which the photo bears its own name."""
        return str(sentence).replace(str(self.path), self.name)


@dataclass(eq=False)
class Session:
    """An open page.

    Attributes:
        token (str): Its part of addresses, not to be guessed.
        folder (Path): Made with the first photo.
        items (list[Item]): In the order in which they came.
        closed (bool): Whether the page has gone.
    """

    token: str
    folder: Path
    items: list[Item] = field(default_factory=list)
    closed: bool = False

    def add(self, name: str) -> Item:
        """Make room for a photo.

        Args:
            name (str): Of the user's file.

        Returns:
            Item: Whose ``path`` is yet to be written.

        Raises:
            InputError: If there is no room for its folder.
        """
        key = secrets.token_urlsafe(12)
        folder = self.folder / key
        name = tidy_name(name)
        item = Item(key, name, folder, folder / f'photo{Path(name).suffix.lower()}')
        self.items.append(item)
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            item.state = FAILED
            raise InputError(
                f'{name} finds no room in {self.folder.parent.parent} '
                f'({error.strerror}); make room, or start the page with another --temp'
            ) from error
        return item

    def find(self, key: str) -> Item | None:
        """The photo with a key."""
        return next((item for item in self.items if item.key == key), None)


class Sessions:
    """All open pages, and the folder that holds what they work with.

    Args:
        temp (Path, optional): In which to make it. Default: the system's for temporary
            files.
        line (Line): The queue, out of which goes what belongs to a closed page.

    Raises:
        InputError: If a folder cannot be made there.
    """

    def __init__(self, line: Line, temp: Path | None = None) -> None:
        self._line = line
        self._open: dict[str, Session] = {}
        self._guard = threading.Lock()
        temp = Path(temp or tempfile.gettempdir())
        remove_leftovers(temp)
        try:
            self.root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=temp))
            self._lock = (self.root / _LOCK).open('w')
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        except OSError as error:
            raise InputError(
                f'no folder can be made in {temp} ({error.strerror}); name another '
                'with --temp'
            ) from error

    def open(self) -> Session:
        """A new page's session."""
        token = secrets.token_urlsafe(24)
        session = Session(token, self.root / secrets.token_hex(8))
        with self._guard:
            self._open[token] = session
        return session

    def find(self, token: str) -> Session | None:
        """The session with a token."""
        return self._open.get(token)

    def remove(self, session: Session, item: Item) -> None:
        """Take a photo off its page, whatever is being done with it."""
        if item in session.items:
            session.items.remove(item)
        self._end(item)

    def close(self, session: Session) -> None:
        """Forget a page and all that is kept of it."""
        with self._guard:
            self._open.pop(session.token, None)
        session.closed = True
        for item in list(session.items):
            self._end(item)
        session.items.clear()
        shutil.rmtree(session.folder, ignore_errors=True)

    def close_all(self) -> None:
        """Forget all pages, and remove the folder."""
        for session in list(self._open.values()):
            self.close(session)
        shutil.rmtree(self.root, ignore_errors=True)
        self._lock.close()

    def _end(self, item: Item) -> None:
        for task in (item.task, item.sizes_task):
            if task is not None:
                self._line.cancel(task)
        # A task that goes on to its next report removes what it wrote when it is over.
        self.empty(item)

    def empty(self, item: Item) -> None:
        """Remove all that is kept of a photo, but not its place on the page."""
        shutil.rmtree(item.folder, ignore_errors=True)


def remove_leftovers(temp: Path) -> None:
    """Remove the folders of servers that were killed.

    Args:
        temp (Path): Where they are; that of a server that runs is left alone.
    """
    for folder in temp.glob(f'{_PREFIX}*'):
        try:
            with (folder / _LOCK).open('r+') as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            # In use, or somebody else's.
            continue


def tidy_name(name: str) -> str:
    r"""A file name without folders and without what no file system takes.

    Args:
        name (str): As a browser sent it.

    Returns:
        str: At most 255 bytes, the extension kept.

    Example:
        >>> tidy_name('../holiday\\img\x00 1.JPG')
        'img 1.JPG'
    """
    name = name.replace('\\', '/').rsplit('/', 1)[-1]
    name = ''.join(sign for sign in name if sign.isprintable()).strip()
    if not name.strip('.'):
        name = 'photo'
    stem, extension = os.path.splitext(name)
    extension = extension[:16]
    room = _NAME_BYTES - len(extension.encode())
    return stem.encode()[:room].decode(errors='ignore') + extension
