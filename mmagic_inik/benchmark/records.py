"""Scores per image in a CSV file that survives being killed at any moment."""

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..evaluation.image_quality import DEFINITIONS

_KEYS = ('model', 'data', 'image', 'run', 'origin')
_HEADER = (*_KEYS, *DEFINITIONS, 'seconds')


class Run(NamedTuple):
    """Which results may stand together.

    Attributes:
        model (str): Name of the model.
        data (str): Name of the data set.
        fingerprint (str): Of all that changes a score: network, weights, photographs,
            protocol and device.
    """

    model: str
    data: str
    fingerprint: str


class ImageRecords:
    """Rows of scores, one per model, data set and image.

    Every row is on disk when :meth:`append` returns. A row that was cut off is dropped
    when the file is opened again.

    Args:
        path (Path): CSV file; made if absent.

    Raises:
        InputError: If the file exists and is not one of these.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: dict[tuple[Run, str], dict[str, float]] = {}
        self._origins: dict[tuple[Run, str], str] = {}
        if path.exists():
            self._read()
        self._write()

    def of(self, run: Run, images: Iterable[str]) -> dict[str, dict[str, float]]:
        """Scores and seconds of those images that are done.

        Args:
            run (Run): Model, data set and fingerprint.
            images (Iterable[str]): Names.

        Returns:
            dict[str, dict[str, float]]: By image, in the order given.
        """
        return {
            name: self._rows[run, name] for name in images if (run, name) in self._rows
        }

    def origins(self, run: Run, images: Iterable[str]) -> list[str]:
        """What computed those images that are done: versions and commit of each.

        Args:
            run (Run): Model, data set and fingerprint.
            images (Iterable[str]): Names.

        Returns:
            list[str]: As they were given to :meth:`append`, in the order of images.
        """
        keys = ((run, name) for name in images)
        return [self._origins[key] for key in keys if key in self._rows]

    def drop_outdated(self, run: Run) -> int:
        """Remove rows of the same model and data set with another fingerprint.

        Args:
            run (Run): What is valid.

        Returns:
            int: How many there were.
        """
        old = [
            key
            for key in self._rows
            if key[0][:2] == run[:2] and key[0].fingerprint != run.fingerprint
        ]
        for key in old:
            del self._rows[key], self._origins[key]
        if old:
            self._write()
        return len(old)

    def append(
        self, run: Run, image: str, scores: dict[str, float], origin: str = ''
    ) -> None:
        """Add a row, on disk at once.

        Args:
            run (Run): Model, data set and fingerprint.
            image (str): Name.
            scores (dict[str, float]): By score, and ``seconds`` where measured.
            origin (str): What computed them: versions and commit. Default: ''.
        """
        self._rows[run, image] = scores
        self._origins[run, image] = origin
        with self.path.open('a', encoding='utf-8', newline='') as file:
            file.write(_line(run, image, scores, origin))
            file.flush()
            os.fsync(file.fileno())

    def _read(self) -> None:
        text = self.path.read_text(encoding='utf-8', errors='replace')
        # What follows the last line's end was cut off in writing.
        whole = io.StringIO(text[: text.rfind('\n') + 1])
        header, *rows = list(csv.reader(whole)) or [[]]
        if tuple(header) != _HEADER:
            raise InputError(
                f'{self.path} is no table of scores per image, or one of another '
                'version; give another --out, or remove it'
            )
        for row in rows:
            if len(row) != len(_HEADER):
                continue
            model, data, image, fingerprint, origin = row[: len(_KEYS)]
            self._origins[Run(model, data, fingerprint), image] = origin
            scores = zip(_HEADER[len(_KEYS) :], row[len(_KEYS) :], strict=True)
            self._rows[Run(model, data, fingerprint), image] = {
                name: float(value) for name, value in scores if value
            }

    def _write(self) -> None:
        rows = (
            _line(*key, scores, self._origins[key])
            for key, scores in self._rows.items()
        )
        # A kill leaves the old file or the new one.
        draft = self.path.with_suffix('.tmp')
        draft.write_text(''.join([_csv(_HEADER), *rows]), encoding='utf-8', newline='')
        draft.replace(self.path)


def _line(run: Run, image: str, scores: dict[str, float], origin: str) -> str:
    # repr() of a float is read back as the same float.
    values = (repr(scores[k]) if k in scores else '' for k in _HEADER[len(_KEYS) :])
    return _csv([run.model, run.data, image, run.fingerprint, origin, *values])


def _csv(row: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator='\n').writerow(row)
    return line.getvalue()
