"""Restoring many photo files, whatever becomes of each."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from ..errors import InputError
from ..models import Restorer
from .encoding import write_photo
from .jobs import Job
from .photo_files import open_photo
from .restoring import restore


class PhotosBar:
    """A progress bar in percent of all pixels, with the time left.

    Args:
        jobs (Sequence[Job]): Photos.
        shown (bool): Whether there is something to be seen. Default: True.
    """

    def __init__(self, jobs: Sequence[Job], shown: bool = True) -> None:
        self._total = sum(job.pixels for job in jobs)
        self._before = 0
        options = dict(mininterval=0, file=sys.stderr, disable=not shown)
        self._bar = tqdm(total=100, unit='%', **options)

    def advance(self, job: Job, done: int, total: int) -> None:
        """Show that some of a photo's pieces are done."""
        self._show(self._before + job.pixels * done / total)

    def finish(self, job: Job) -> None:
        """Leave a photo behind, restored or not."""
        self.advance(job, 1, 1)
        self._before += job.pixels
        if self._before == self._total:
            self._bar.close()

    def _show(self, pixels: float) -> None:
        # Never back, as when a photo is begun again with smaller pieces.
        forward = int(100 * pixels / self._total) - self._bar.n
        if forward > 0:
            self._bar.update(forward)

    def say(self, sentence: object) -> None:
        """Print above the bar, which goes on in the next line."""
        tqdm.write(f'{sentence}.', file=sys.stderr)

    def fail(self, sentence: object) -> None:
        """Say why a photo is not restored."""
        self.say(sentence)


def restore_all(
    jobs: Iterable[Job],
    restorer: Restorer,
    tile: int | str | None,
    overlap: int,
    dtype: str,
    bar: PhotosBar | None = None,
) -> int:
    """Restore photos; what cannot be restored is reported, and the others go on.

    Args:
        jobs (Iterable[Job]): Photos, a sequence if there is no ``bar``.
        restorer (Restorer): Network.
        tile (int | str, optional): As in :func:`~.restoring.restore`.
        overlap (int): Likewise.
        dtype (str): Likewise.
        bar (PhotosBar, optional): Shows progress and prints. Default: one of these
            photos.

    Returns:
        int: How many were restored.

    Raises:
        InputError: If the device works no more.
    """
    if bar is None:
        jobs = list(jobs)
        bar = PhotosBar(jobs)
    count = 0
    for job in jobs:
        try:
            remarks = _restore_file(job, restorer, tile, overlap, dtype, bar)
            count += 1
            if remarks:
                bar.say(f'{job.photo}: {"; ".join(remarks)}')
        # A network of MMagic, or a library, raises all kinds.
        except Exception as error:
            bar.fail(explain(error, job.photo))
            check_still_works(restorer, error)
        bar.finish(job)
    return count


def explain(error: Exception, photo: Path) -> str:
    """Why a photo cannot be restored, in a sentence.

    Args:
        error (Exception): What was raised on the way.
        photo (Path): File of the photo.

    Returns:
        str: Without a full stop.
    """
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, MemoryError):
        return f'{photo} is too large for the memory; restore it on its own'
    reason = (str(error).splitlines() or [''])[0] or type(error).__name__
    return f'{photo} cannot be restored ({reason}); another network or --tile may do'


def _restore_file(
    job: Job,
    restorer: Restorer,
    tile: int | str | None,
    overlap: int,
    dtype: str,
    bar: PhotosBar,
) -> list[str]:
    """Restore one photo and tell what of it could not be kept."""
    photo = open_photo(job.photo)
    progress = lambda done, total: bar.advance(job, done, total)  # noqa: E731
    restored = restore(photo.pixels, restorer, tile, overlap, dtype, progress)
    write_photo(photo, restored, job.target)
    return photo.remarks


def check_still_works(restorer: torch.nn.Module, error: Exception) -> None:
    """After an error of its own, a GPU refuses all that follows.

    Args:
        restorer (Restorer): On the device.
        error (Exception): What was raised there.

    Raises:
        InputError: If the device works no more.
    """
    device = next(restorer.parameters(), torch.empty(0)).device
    try:
        torch.ones(1, device=device).add(1).item()
    except RuntimeError:
        raise InputError(
            f'{device} works no more; the photos written so far are complete: start '
            'again with --device cpu, or a smaller --tile'
        ) from error
