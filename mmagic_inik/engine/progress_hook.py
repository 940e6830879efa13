"""How a training in pieces has come along, in one table and one picture."""

import csv
import time
from pathlib import Path

from mmagic.registry import HOOKS
from mmengine.dist import get_world_size, master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

COLUMNS = ('iteration', 'hours', 'images', 'megapixels')


@HOOKS.register_module()
class ProgressHook(Hook):
    """Writes a row for every validation into ``progress.csv``, and draws it.

    A row has the iteration, the hours trained without validation (by the wall clock, in
    all pieces together), images and megapixels seen by all processes, and the scores.
    Rows travel within checkpoints, so that the table goes on wherever training does: it
    lies in the work folder with ``progress.png`` beside it. A checkpoint is saved
    before the validation of its own iteration; that row is taken from a table that is
    already there.
    """

    # After the evaluator's scores are known, before the checkpoint hook saves.
    priority = 'NORMAL'

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self._spent = dict.fromkeys(COLUMNS[1:], 0.0)
        self._since: float | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take over rows and sums of former pieces."""
        progress = checkpoint.get('progress')
        if progress:
            self.rows = [dict(row) for row in progress['rows']]
            self._spent = dict(progress['spent'])

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Give the checkpoint rows and sums."""
        checkpoint['progress'] = dict(rows=self.rows, spent=dict(self._spent))

    def before_train(self, runner: Runner) -> None:
        """Take over what the table in the work folder has besides."""
        path = Path(runner.work_dir) / 'progress.csv'
        if path.is_file():
            self.rows = joined(self.rows, read_progress(path), runner.iter)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Start the clock: rendering while training waits counts with it."""
        if self._since is None:
            self._since = time.monotonic()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict,
        outputs: dict | None = None,
    ) -> None:
        """Add an iteration."""
        now = time.monotonic()
        if self._since is not None:
            self._spent['hours'] += (now - self._since) / 3600
        self._since = now
        images = data_batch['inputs']
        # Every process has a batch of its own, of the same size.
        processes = get_world_size()
        pixels = sum(i.shape[-2:].numel() for i in images)
        self._spent['images'] += processes * len(images)
        self._spent['megapixels'] += processes * pixels / 1e6

    def before_val(self, runner: Runner) -> None:
        """Stop the clock."""
        self._since = None

    @master_only
    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Add a row; of an iteration that was repeated, the last one stays."""
        row = dict(iteration=runner.iter, **self._spent, **(metrics or {}))
        row = {key: round(float(value), 4) for key, value in row.items()}
        self.rows = [old for old in self.rows if old['iteration'] < row['iteration']]
        self.rows.append(row)
        folder = Path(runner.work_dir)
        write_progress(self.rows, folder / 'progress.csv')
        draw_progress(self.rows, folder / 'progress.png')


def joined(
    rows: list[dict[str, float]], others: list[dict[str, float]], last: int
) -> list[dict[str, float]]:
    """Rows of two tables up to an iteration; ``rows`` count where both have one.

    Args:
        rows (list[dict[str, float]]): With ``iteration``.
        others (list[dict[str, float]]): Likewise.
        last (int): The last iteration.

    Returns:
        list[dict[str, float]]: By iteration.

    Example:
        >>> joined([dict(iteration=2)], [dict(iteration=4), dict(iteration=6)], 4)
        [{'iteration': 2}, {'iteration': 4}]
    """
    by_iteration = {row['iteration']: row for row in (*others, *rows)}
    return [by_iteration[n] for n in sorted(by_iteration) if n <= last]


def read_progress(path: Path) -> list[dict[str, float]]:
    """Read what :func:`write_progress` wrote.

    Args:
        path (Path): CSV.

    Returns:
        list[dict[str, float]]: By column, without what is empty.
    """
    with path.open(newline='', encoding='utf-8') as file:
        return [
            {key: float(value) for key, value in row.items() if value}
            for row in csv.DictReader(file)
        ]


def write_progress(rows: list[dict[str, float]], path: Path) -> None:
    """Write rows as CSV; a score that a row lacks is left empty.

    Args:
        rows (list[dict[str, float]]): By column.
        path (Path): File to write.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, columns, lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)


def draw_progress(rows: list[dict[str, float]], path: Path) -> None:
    """Draw every score over the hours.

    Args:
        rows (list[dict[str, float]]): With ``hours``, ``iteration`` and scores.
        path (Path): PNG to write.
    """
    from matplotlib.figure import Figure

    scores = [
        key for key in dict.fromkeys(k for r in rows for k in r) if key not in COLUMNS
    ]
    figure = Figure((4.5 * max(1, len(scores)), 3.2), layout='constrained')
    axes = figure.subplots(1, max(1, len(scores)), squeeze=False)[0]
    for axis, score in zip(axes, scores, strict=False):
        points = [(r['hours'], r[score]) for r in rows if score in r]
        axis.plot(*zip(*points, strict=True), marker='.')
        axis.set(xlabel='hours of training', ylabel=score)
        axis.grid(alpha=0.3)
    figure.suptitle(f'{rows[-1]["iteration"]:.0f} iterations')
    figure.savefig(path, dpi=110)
