"""Take the defocus blur out of photos, and leave everything else about them as it is.

`tools/restore.py PHOTO_OR_FOLDER...` writes every photo under its own name into the
folder `restored`, in its own format, with its size, bit depth, transparency, colour
profile and metadata; sub-folders are kept. It uses the weights that come with the
package, or others by --config and --checkpoint.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from natsort import natsorted
from tqdm import tqdm

from mmagic_inik import restoration
from mmagic_inik.errors import InputError
from mmagic_inik.launch import check_device
from mmagic_inik.options import DEFAULT_OVERLAP, DTYPES
from mmagic_inik.photos import EXTENSIONS, photo_size

if TYPE_CHECKING:
    from mmagic_inik.models import Restorer


class Job(NamedTuple):
    """One photo to restore.

    Attributes:
        photo (Path): Where it is.
        target (Path): Where the restored one goes.
        pixels (int): How many it has.
    """

    photo: Path
    target: Path
    pixels: int


class PhotosBar:
    """A progress bar in percent of all pixels, with the time left."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._total = sum(job.pixels for job in jobs)
        self._before = 0
        self._bar = tqdm(total=100, unit='%', file=sys.stderr)

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


def say(sentence: object) -> None:
    """Print above the bar, which goes on in the next line."""
    tqdm.write(str(sentence), file=sys.stderr)


def find_photos(given: Path, out: Path) -> Iterator[tuple[Path, Path]]:
    """Photos behind an argument, and their places in the output folder.

    Args:
        given (Path): File, or folder whose photos, and its sub-folders', are meant.
        out (Path): Output folder; what is in it already is not taken for a photo.

    Yields:
        tuple[Path, Path]: In natural order; the second relative to ``out``.

    Raises:
        InputError: If there is none.
    """
    if not given.exists():
        raise InputError(f'{given} does not exist; name a photo, or a folder of them')
    if not given.is_dir():
        yield given, Path(given.name)
        return
    found = [
        path
        for path in natsorted(given.rglob('*'), key=str)
        if path.suffix.lower() in EXTENSIONS
        and path.is_file()
        # Other systems' hidden files bear names of photos.
        and not path.name.startswith('.')
        and not path.resolve().is_relative_to(out.resolve())
    ]
    if not found:
        raise InputError(f'{given} holds no photo; name one, or its folder')
    for path in found:
        yield path, path.relative_to(given)


def plan(
    given: Sequence[Path], out: Path, force: bool
) -> tuple[list[Job], list[InputError]]:
    """Decide what goes where before anything is written.

    Args:
        given (Sequence[Path]): Files and folders.
        out (Path): Output folder.
        force (bool): Whether files there may be replaced.

    Returns:
        tuple[list[Job], list[InputError]]: What can be done, and why the rest cannot.
    """
    refused, places = [], {}
    for path in given:
        try:
            for photo, place in find_photos(path, out):
                places.setdefault(photo.resolve(), (photo, out / place))
        except InputError as error:
            refused.append(error)
    jobs, taken = [], {}
    for photo, target in places.values():
        try:
            _check_target(photo, target, taken, places.keys(), force)
            jobs.append(Job(photo, target, int(np.prod(photo_size(photo)))))
            taken[target] = photo
        except InputError as error:
            refused.append(error)
    return jobs, refused


def _check_target(photo, target, taken, photos, force) -> None:
    """Refuse to overwrite a photo, another's result, or what was there before."""
    if target in taken:
        raise InputError(
            f'{photo} would become {target} like {taken[target]}; restore it into '
            'another folder'
        )
    if target.resolve() in photos:
        raise InputError(
            f'{photo} would become {target}, which is a photo to restore; give '
            'another --out'
        )
    if os.path.lexists(target) and not force:
        raise InputError(
            f'{target} exists; replace it with --force, or give another --out'
        )


def restore_all(
    jobs: Sequence[Job], restorer: 'Restorer', args: argparse.Namespace
) -> int:
    """Restore photos; what cannot be restored is reported, and the others go on.

    Args:
        jobs (Sequence[Job]): Photos.
        restorer (Restorer): Network.
        args (argparse.Namespace): With ``tile``, ``overlap`` and ``dtype``.

    Returns:
        int: How many were restored.
    """
    bar, count = PhotosBar(jobs), 0
    for job in jobs:
        try:
            photo = restoration.open_photo(job.photo)
            restored = restoration.restore(
                photo.pixels,
                restorer,
                args.tile,
                args.overlap,
                args.dtype,
                lambda done, total, job=job: bar.advance(job, done, total),
            )
            restoration.write_whole(
                job.target, restoration.encode_photo(photo, restored)
            )
            count += 1
            if photo.remarks:
                say(f'{job.photo}: {"; ".join(photo.remarks)}.')
        except InputError as error:
            say(f'{error}.')
        except MemoryError:
            say(f'{job.photo} is too large for the memory; restore it on its own.')
        bar.finish(job)
    say(f'{count} of {len(jobs)} photos restored: {args.out}')
    return count


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read and check the command line; ``--tile`` becomes a number, 'auto' or None."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('photos', nargs='+', type=Path, help='photos, or folders')
    parser.add_argument(
        '--config', help="or one of MMagic's, as mmagic::nafnet/FILE.py"
    )
    parser.add_argument('--checkpoint', help='weights trained with --config')
    parser.add_argument(
        '--out',
        default=Path('restored'),
        type=Path,
        help='folder for results (default: %(default)s)',
    )
    parser.add_argument(
        '--force', action='store_true', help='replace what is in --out already'
    )
    parser.add_argument(
        '--tile',
        default='auto',
        help='side in pixels of the pieces that the network is given; none: whole '
        'photos; auto: what the memory allows (default)',
    )
    parser.add_argument(
        '--overlap',
        type=int,
        default=DEFAULT_OVERLAP,
        help=f'pixels that neighbouring pieces share (default: {DEFAULT_OVERLAP})',
    )
    parser.add_argument(
        '--device', help='cpu or cuda (default: cuda where there is a GPU)'
    )
    parser.add_argument(
        '--dtype', choices=DTYPES, default='float32', help='of convolutions'
    )
    args = parser.parse_args(arguments)
    if args.tile.isdecimal():
        args.tile = int(args.tile)
    elif args.tile not in ('auto', 'none'):
        raise InputError(f'--tile {args.tile} is no number of pixels, auto or none')
    elif args.tile == 'none':
        args.tile = None
    if args.out.exists() and not args.out.is_dir():
        raise InputError(f'--out {args.out} is no folder; name one, or a new one')
    args.device = check_device(args.device)
    return args


def try_out(restorer: 'Restorer', args: argparse.Namespace) -> None:
    """Refuse options that the network cannot work with.

    Raises:
        InputError: Names what is wrong.
    """
    try:
        # With a number for `auto`, which would do without tiles here.
        tile = args.tile
        if tile == 'auto':
            tile = 1024 * restorer.size_divisor
        restoration.restore(
            np.zeros((32, 32), np.uint8), restorer, tile, args.overlap, args.dtype
        )
    except (RuntimeError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f'{args.config or "the network"} cannot restore with --tile {args.tile} '
            f'--overlap {args.overlap} --dtype {args.dtype} ({reason})'
        ) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    try:
        args = parse_arguments(arguments)
        jobs, refused = plan(args.photos, args.out, args.force)
        for error in refused:
            print(f'{error}.', file=sys.stderr)
        done = 0
        if jobs:
            restorer = restoration.load_restorer(
                args.config, args.checkpoint, args.device
            )
            if args.config is None:
                print(
                    f'Restoring with {restoration.describe_shipped()}.', file=sys.stderr
                )
            try_out(restorer, args)
            done = restore_all(jobs, restorer, args)
    except InputError as error:
        sys.exit(f'restore: {error}')
    except KeyboardInterrupt:
        sys.exit('restore: interrupted; the photos written so far are complete')
    failed = len(jobs) + len(refused) - done
    if failed:
        sys.exit(f'restore: not restored: {failed}, for the reasons above')


if __name__ == '__main__':
    main()
