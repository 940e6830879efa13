"""What is done about a photo: restored, drawn as a map, blended, packed."""

import contextlib
import io
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from PIL import Image

from ..errors import InputError
from ..models import Restorer
from ..photo_formats import kind_of
from ..photos import formats_of, photo_size
from ..restoration import (
    check_still_works,
    encode_photo,
    expected_sizes,
    explain,
    open_photo,
    restore,
    watch,
)
from ..restoration.jobs import place_of
from ..tiff import SIGNATURES as TIFF_SIGNATURES
from ..visualization import has_weight_maps
from .line import CancelledError, Line, Task
from .pictures import write_array, write_file, write_levels
from .sessions import CANCELLED, DONE, FAILED, WAITING, WORKING, Item, Session, Sessions

if TYPE_CHECKING:
    from typing_extensions import Buffer

# Of a task; the rest is for writing.
_NETWORK_SHARE = 0.97
_TIFF_PROFILE = 34675
# What was restored, where that has more than the 8 bits that are shown.
_DEEP = 'restored.npy'
# Rows that are blended at a time.
_ROWS = 256


@dataclass
class Studio:
    """The network, the queue for it, and the pages that use it.

    Attributes:
        restorer (Restorer): From :func:`~mmagic_inik.restoration.load_restorer`.
        sessions (Sessions): Open pages.
        line (Line): The queue.
        tile (int | str, optional): As for :func:`~mmagic_inik.restoration.restore`.
        overlap (int): Likewise.
        dtype (str): Likewise.
        max_bytes (int): Of a photo's file, at most.
        about (str): Which network it is, in a sentence.
    """

    restorer: Restorer
    sessions: Sessions
    line: Line
    tile: int | str | None
    overlap: int
    dtype: str
    max_bytes: int
    about: str
    # One at a time, for its memory, and as encoders have options of the process.
    _encoding: threading.Lock = field(default_factory=threading.Lock)

    @property
    def draws_sizes(self) -> bool:
        """Whether the network has kernel sizes to be drawn."""
        return has_weight_maps(self.restorer.generator)

    def begin(self, session: Session, item: Item) -> None:
        """Queue a photo that was received; what is none is refused at once."""
        try:
            item.size = photo_size(item.path)
        except Exception as error:  # damaged files raise all kinds
            self._fail(item, error)
            self.sessions.empty(item)
            return
        item.result_name = str(place_of(Path(item.name)))
        item.task = Task(
            lambda report: self._restore(item, report),
            item.size[0] * item.size[1],
            lambda: _leave(session, item),
        )
        self.line.add(item.task)
        if session.closed:
            self.line.cancel(item.task)

    def draw_sizes(self, session: Session, item: Item) -> None:
        """Queue the map of a photo that was restored, unless it is there already."""
        if item.state != DONE or item.sizes or item.sizes_task:
            return
        item.sizes_sentence = ''
        item.sizes_task = Task(
            lambda report: self._draw_sizes(item, report),
            item.size[0] * item.size[1],
            lambda: _leave(session, item),
        )
        self.line.add(item.sizes_task)

    def file_of(self, item: Item, percent: int) -> bytes | Path:
        """The restored photo as a file.

        Args:
            item (Item): Restored.
            percent (int): Strength, 0 to 100.

        Returns:
            bytes | Path: Content, or at 100 the file as it was written at once.

        Raises:
            InputError: If it cannot be made.
        """
        if percent == 100:
            return item.folder / 'result'
        with self._encoding:
            try:
                photo = open_photo(item.path)
                deep = item.folder / _DEEP
                shown = item.folder / 'after_0.npy'
                restored = np.load(deep if deep.is_file() else shown, mmap_mode='r')
                return encode_photo(photo, blend(photo.pixels, restored, percent))
            except Exception as error:
                raise InputError(item.named(explain(error, item.path))) from error

    def zip_of(self, items: Sequence[Item]) -> Iterator[bytes]:
        """Restored photos as a zip file, one in memory at a time.

        Args:
            items (Sequence[Item]): Restored; each at its own strength.

        Yields:
            bytes: Parts of the file, none of which is written to a disk.

        Raises:
            InputError: If one cannot be made; the file then ends too early.
        """
        sink = _Sink()
        taken: set[str] = set()
        # Photos hardly get smaller.
        with zipfile.ZipFile(sink, 'w', zipfile.ZIP_STORED) as archive:
            for item in items:
                content = self.file_of(item, item.strength)
                if isinstance(content, Path):
                    content = content.read_bytes()
                name = free_name(item.result_name, taken)
                archive.writestr(zipfile.ZipInfo(name, time.localtime()[:6]), content)
                yield sink.take()
        yield sink.take()

    def _restore(self, item: Item, report: Callable[[float], None]) -> None:
        item.state = WORKING
        with self._reported(item, 'sentence'):
            report(0.0)
            photo = open_photo(item.path)
            write_levels(photo.pixels, item.folder, 'before')
            restored = self._watched(restore, photo.pixels, report)
            write_levels(restored, item.folder, 'after')
            if restored.dtype != np.uint8:
                write_array(item.folder / _DEEP, restored)
            with self._encoding:
                content = encode_photo(photo, restored)
            write_file(item.folder / 'result', content)
            item.profile = profile_of(item.path, content)
            report(1.0)
            item.sentence = '; '.join(photo.remarks)
            item.state = DONE

    def _draw_sizes(self, item: Item, report: Callable[[float], None]) -> None:
        with self._reported(item, 'sizes_sentence'):
            report(0.0)
            photo = open_photo(item.path)
            sizes = self._watched(expected_sizes, photo.pixels, report)
            low, high = float(sizes.min()), float(sizes.max())
            sizes -= low
            sizes /= max(high - low, 1e-6)
            write_levels(sizes, item.folder, 'sizes')
            item.sizes = low, high

    def _watched(
        self, function: Callable, pixels: np.ndarray, report: Callable[[float], None]
    ) -> np.ndarray:
        count = pixels.shape[0] * pixels.shape[1]
        options = self.tile, self.overlap, self.dtype
        share = lambda done: report(_NETWORK_SHARE * done)  # noqa: E731
        with watch(self.restorer, count, share) as progress:
            return function(pixels, self.restorer, *options, progress)

    @contextlib.contextmanager
    def _reported(self, item: Item, where: str) -> Iterator[None]:
        """Turn what goes wrong into a sentence of the photo."""
        try:
            yield
        except CancelledError:
            raise
        except Exception as error:  # networks and libraries raise all kinds
            self._fail(item, error, where)

    def _fail(self, item: Item, error: Exception, where: str = 'sentence') -> None:
        sentence = item.named(explain(error, item.path))
        try:
            check_still_works(self.restorer, error)
        except InputError as broken:
            sentence = str(broken)
        setattr(item, where, sentence)
        if where == 'sentence':
            item.state = FAILED


def blend(original: np.ndarray, restored: np.ndarray, percent: int) -> np.ndarray:
    """Mix a photograph with what it was restored to.

    In the file's own numbers, as the page shows it: original + s (restored − original).

    Args:
        original (np.ndarray): (H, W, 3) or (H, W), uint8, uint16 or float32.
        restored (np.ndarray): Of the same shape and type.
        percent (int): 100 s; 0 gives the original, and 100 what was restored.

    Returns:
        np.ndarray: Of the same shape and type; integers are rounded.

    Example:
        >>> blend(np.uint8([[10, 20]]), np.uint8([[20, 0]]), 25)
        array([[12, 15]], dtype=uint8)
    """
    mixed = np.empty_like(original)
    share = np.float32(percent / 100)
    for top in range(0, len(original), _ROWS):
        rows = slice(top, top + _ROWS)
        below = original[rows].astype(np.float32)
        part = below + share * (restored[rows].astype(np.float32) - below)
        mixed[rows] = part if mixed.dtype == np.float32 else np.rint(part)
    return mixed


def profile_of(path: Path, content: bytes) -> bytes | None:
    """The colour profile in a photo's file.

    Args:
        path (Path): Whose extension tells a camera raw.
        content (bytes): A file that :func:`~mmagic_inik.restoration.encode_photo` made.

    Returns:
        bytes, optional: ICC profile; None if there is none.
    """
    if content.startswith(TIFF_SIGNATURES):
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            tag = file.pages.first.tags.get(_TIFF_PROFILE)
            return None if tag is None else bytes(tag.value)
    kind = kind_of(path, content)
    with Image.open(io.BytesIO(content), formats=formats_of(kind)) as image:
        return image.info.get('icc_profile')


def free_name(name: str, taken: set[str]) -> str:
    """A name that is not taken, and is from now on.

    Args:
        name (str): Wanted.
        taken (set[str]): Names in lower case, as some systems tell none from another.

    Returns:
        str: The name, or one with a number.

    Example:
        >>> taken = set()
        >>> [free_name(name, taken) for name in ('a.jpg', 'A.jpg', 'a.jpg')]
        ['a.jpg', 'A (2).jpg', 'a (3).jpg']
    """
    path, number, free = Path(name), 1, name
    while free.lower() in taken:
        number += 1
        free = f'{path.stem} ({number}){path.suffix}'
    taken.add(free.lower())
    return free


def _leave(session: Session, item: Item) -> None:
    """After a task: forget it, and what it wrote if nobody wants it."""
    if item.state in (WAITING, WORKING):
        item.state = CANCELLED
    if item.state != DONE or session.closed or item not in session.items:
        shutil.rmtree(item.folder, ignore_errors=True)
    # Last, so that who sees the task over sees all of it over.
    item.task = item.sizes_task = None


class _Sink(io.RawIOBase):
    """What is written to a stream that goes on and never back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, part: 'Buffer') -> int:
        self._parts.append(bytes(part))
        return len(self._parts[-1])

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b''.join(parts)
