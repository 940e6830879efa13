"""Restoring many photo files, whatever becomes of each."""

import sys
from collections.abc import Sequence

import torch
from tqdm import tqdm

from ..errors import InputError
from ..models import Restorer
from .encoding import encode_photo, write_whole
from .jobs import Job
from .photo_files import open_photo
from .restoring import restore


class PhotosBar:
    """A progress bar in percent of all pixels, with the time left."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._total = sum(job.pixels for job in jobs)
        self._before = 0
        self._bar = tqdm(total=100, unit='%', mininterval=0, file=sys.stderr)

    def advance(self, job: Job, done: int, total: int) -> None:
        """Show that some of a photo's pieces are done."""
        percent = 100 * (self._before + job.pixels * done / total) / self._total
        # Never back, as when a photo is begun again with smaller pieces.
        if int(percent) > self._bar.n:
            self._bar.update(int(percent) - self._bar.n)

    def finish(self, job: Job) -> None:
        """Leave a photo behind, restored or not."""
        self.advance(job, 1, 1)
        self._before += job.pixels
        if self._before == self._total:
            self._bar.close()


def restore_all(
    jobs: Sequence[Job],
    restorer: Restorer,
    tile: int | str | None,
    overlap: int,
    dtype: str,
) -> int:
    """Restore photos; what cannot be restored is reported, and the others go on.

    Args:
        jobs (Sequence[Job]): Photos.
        restorer (Restorer): Network.
        tile (int | str, optional): As in :func:`~.restoring.restore`.
        overlap (int): Likewise.
        dtype (str): Likewise.

    Returns:
        int: How many were restored.

    Raises:
        InputError: If the device works no more.
    """
    bar, count = PhotosBar(jobs), 0
    for job in jobs:
        options = tile, overlap, dtype
        try:
            remarks = _restore_file(job, restorer, options, bar)
            count += 1
            if remarks:
                _say(f'{job.photo}: {"; ".join(remarks)}')
        except InputError as error:
            _say(error)
        except MemoryError:
            _say(f'{job.photo} is too large for the memory; restore it on its own')
        except (
            Exception
        ) as error:  # a network of MMagic, or a library, raises all kinds
            reason = (str(error).splitlines() or [''])[0] or type(error).__name__
            _say(
                f'{job.photo} cannot be restored ({reason}); another network or --tile '
                'may do'
            )
            _check_still_works(restorer, error)
        bar.finish(job)
    return count


def _restore_file(
    job: Job, restorer: Restorer, options: tuple, bar: PhotosBar
) -> list[str]:
    """Restore one photo and tell what of it could not be kept."""
    photo = open_photo(job.photo)
    progress = lambda done, total: bar.advance(job, done, total)  # noqa: E731
    restored = restore(photo.pixels, restorer, *options, progress)
    content = encode_photo(photo, restored)
    if not write_whole(job.target, content, like=job.photo):
        photo.remarks.append('its time and permissions cannot be kept there')
    return photo.remarks


def _check_still_works(restorer: torch.nn.Module, error: Exception) -> None:
    """After an error of its own, a GPU refuses all that follows."""
    device = next(restorer.parameters(), torch.empty(0)).device
    try:
        torch.ones(1, device=device).add(1).item()
    except RuntimeError:
        raise InputError(
            f'{device} works no more; the photos written so far are complete: start '
            'again with --device cpu, or a smaller --tile'
        ) from error


def _say(sentence: object) -> None:
    """Print above the bar, which goes on in the next line."""
    tqdm.write(f'{sentence}.', file=sys.stderr)
