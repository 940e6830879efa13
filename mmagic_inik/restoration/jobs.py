"""Which photos are restored, and where the results go: decided before any work."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from natsort import natsorted

from ..errors import InputError
from ..photo_formats import RAW_EXTENSIONS, is_readable
from ..photos import EXTENSIONS, photo_size

# Extension of photos that are not restored → why, and the cure.
_UNKNOWN = dict.fromkeys(
    ('.jp2', '.j2k', '.jpx', '.pbm', '.pgm', '.pnm', '.ppm', '.tga', '.exr', '.hdr'),
    'no format that is read; save them as TIFF or PNG',
)
_UNKNOWN['.gif'] = '256 colours, mostly moving; save what is a photo as PNG'
_UNKNOWN['.psd'] = 'layers; save them as TIFF or PNG'


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


@dataclass
class Plan:
    """What will be done, and what will not.

    Attributes:
        jobs (list[Job]): In natural order.
        refused (list[InputError]): Why photos that were named, or found, cannot be
            restored.
        left_out (Counter): Files of folders that are taken for no photos, by extension.
        done (int): How many photos have a result already, and are left.
    """

    jobs: list[Job] = field(default_factory=list)
    refused: list[InputError] = field(default_factory=list)
    left_out: Counter = field(default_factory=Counter)
    done: int = 0

    def describe_left_out(self) -> list[str]:
        """A sentence for each extension, without a full stop."""
        return [
            f'left out: {count} {extension or "without extension"}'
            f' ({_why_left_out(extension)})'
            for extension, count in natsorted(self.left_out.items())
        ]


def make_plan(
    given: Sequence[Path], out: Path, force: bool, resume: bool = False
) -> Plan:
    """Decide what goes where before anything is written.

    Args:
        given (Sequence[Path]): Files, and folders whose photos, and its sub-folders',
            are meant; links are followed.
        out (Path): Output folder; what is in it already is not taken for a photo.
        force (bool): Whether files there may be replaced.
        resume (bool): Whether photos that have a file there are done, as in a run that
            was ended early. Default: False.

    Returns:
        Plan: With each photo once; a link to another photo is one of its own.
    """
    plan = Plan()
    places: dict[str, tuple[Path, Path]] = {}
    for path in given:
        try:
            for photo, place in _find_photos(path, out, plan):
                # Links unresolved: what is linked to is a photo of its own.
                target = out / place_of(place)
                places.setdefault(os.path.abspath(photo), (photo, target))
        except InputError as error:
            plan.refused.append(error)
    photos = {form for photo, _ in places.values() for form in forms_of(photo)}
    taken: dict[Path, Path] = {}
    for photo, target in places.values():
        try:
            check_target(photo, target, taken, photos, force or resume)
            if resume and os.path.lexists(target):
                plan.done += 1
            else:
                plan.jobs.append(Job(photo, target, int(np.prod(photo_size(photo)))))
            taken[target] = photo
        except InputError as error:
            plan.refused.append(error)
    return plan


def _find_photos(given: Path, out: Path, plan: Plan) -> Iterator[tuple[Path, Path]]:
    """Photos behind an argument, and their places in the output folder."""
    if not given.exists():
        raise InputError(f'{given} does not exist; name a photo, or a folder of them')
    if not given.is_dir():
        yield given, Path(given.name)
        return
    walked = _walk(given, (out.resolve(),), plan)
    # Other systems' hidden files bear names of photos.
    files = [path for path in natsorted(walked, key=str) if path.name[0] != '.']
    found = [path for path in files if _extension(path) in EXTENSIONS]
    missing = {kind for kind in {*map(_extension, found)} if not is_readable(kind)}
    found = [path for path in found if _extension(path) not in missing]
    kinds = map(_extension, files)
    plan.left_out.update(k for k in kinds if k not in EXTENSIONS or k in missing)
    if not found:
        raise InputError(f'{given} holds no photo; name one, or its folder')
    for path in found:
        yield path, path.relative_to(given)


def _extension(path: Path) -> str:
    return path.suffix.lower()


def _why_left_out(extension: str) -> str:
    if extension in EXTENSIONS:
        return "install their library: pip install 'mmagic_inik[formats]'"
    return _UNKNOWN.get(extension, 'no photos')


def _walk(folder: Path, closed: tuple[Path, ...], plan: Plan) -> Iterator[Path]:
    """Files, broken links among them; folders in ``closed`` are not entered."""
    closed = (*closed, folder.resolve())
    try:
        inside = list(folder.iterdir())
    except OSError as error:
        refusal = f'{folder} cannot be looked into ({error.strerror}); give its photos'
        plan.refused.append(InputError(f'{refusal} by name, or leave to read it'))
        return
    for path in inside:
        if not path.is_dir():
            yield path
        elif path.resolve() not in closed:
            yield from _walk(path, closed, plan)


def place_of(photo: Path) -> Path:
    """The name of a photo's result.

    Args:
        photo (Path): As it is called.

    Returns:
        Path: The same, but for camera raw, which becomes a TIFF.
    """
    return photo.with_suffix('.tif') if _extension(photo) in RAW_EXTENSIONS else photo


def forms_of(path: Path) -> set[Path]:
    """A file, and what it links to.

    Args:
        path (Path): It need not exist.

    Returns:
        set[Path]: One or two absolute paths.
    """
    return {path.resolve(), path.parent.resolve() / path.name}


def check_target(
    photo: Path, target: Path, taken: dict[Path, Path], photos: set[Path], force: bool
) -> None:
    """Refuse to overwrite a photo, another's result, or what was there before.

    Args:
        photo (Path): That will be restored.
        target (Path): Where its result would go.
        taken (dict[Path, Path]): Results so far, with their photos.
        photos (set[Path]): All that will be restored, by :func:`forms_of`.
        force (bool): Whether what was there before may be replaced.

    Raises:
        InputError: Says what would be overwritten.
    """
    if target in taken:
        raise InputError(
            f'{photo} would become {target} like {taken[target]}; restore it into '
            'another folder'
        )
    if forms_of(target) & photos:
        raise InputError(
            f'{photo} would become {target}, which is a photo to restore; give '
            'another --out'
        )
    if os.path.lexists(target) and not force:
        raise InputError(
            f'{target} exists; replace it with --force, or give another --out'
        )
