"""What a training or a test shows on the screen; MMEngine's log file has everything.

With ``screen = 'progress'`` in a config, as in the demo's, a terminal shows the line of
progress alone, and warnings.
"""

import contextlib
import io
import logging
import re
import shutil
import sys
from pathlib import Path
from typing import TextIO

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import BaseLoop, Runner
from tqdm import tqdm
from tqdm.contrib import DummyTqdmFile

from ..errors import InputError

# Of MMEngine's and MMagic's messages, those that nobody at the screen can do anything
# about: warnings of their own deprecations, and what the first line says.
_FOR_THE_LOG = re.compile(
    'The prefix is not set in metric class'
    '|"FileClient" will be deprecated'
    '|"HardDiskBackend" is the alias'
    '|Failed to search registry with scope'
    '|(Working|Log) directory: '
    '|(Log|Checkpoint) saved under '
    '|Exp name: '
)
_OF_THE_WORK = re.compile('The best checkpoint |resumed epoch')


def for_the_screen(
    record: logging.LogRecord, line: bool = False, warnings_only: bool = False
) -> bool:
    """Whether a record of MMEngine's log is shown.

    Args:
        record (logging.LogRecord): The record.
        line (bool): Whether progress is shown by a line that rewrites itself, so that
            records of single iterations are not needed. Default: False.
        warnings_only (bool): Whether nothing else is wanted. Default: False.

    Returns:
        bool: True for warnings and errors, for progress and scores, and for what this
        package says; not for the environment, the config, the list of hooks.
    """
    message = record.getMessage()
    if _FOR_THE_LOG.search(message):
        return False
    if warnings_only:
        return record.levelno >= logging.WARNING
    origin = Path(record.pathname).name
    if origin == 'logger_hook.py':
        # The line of scores alone goes on behind the number of iterations.
        return not line or re.search(r'Iter\((val|test)\).*: ', message) is not None
    # `print_log`, which has a file of its own, is what this package uses.
    return (
        record.levelno >= logging.WARNING
        or origin == 'logger.py'
        or _OF_THE_WORK.search(message) is not None
    )


class ProgressLine(Hook):
    """One line that rewrites itself: iterations, loss, time left.

    Args:
        file (TextIO): Where to write, a terminal.
    """

    # Behind the hooks that log, so that their lines stand above.
    priority = 'VERY_LOW'

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def before_train(self, runner: Runner) -> None:
        """Start the line of the training, where a resumed one stands."""
        self.bar = self._line('train', runner.max_iters, runner.iter)

    def after_train_iter(self, runner: Runner, *_: object, **__: object) -> None:
        """Advance; the loss is what MMEngine keeps of it already."""
        loss = runner.message_hub.get_scalar('train/loss').current()
        self.bar.set_postfix_str(f'loss {loss:.4f}', refresh=False)
        self.bar.update(1)

    def after_train(self, runner: Runner) -> None:
        """Leave the finished line as it is."""
        self.bar.close()

    def before_val_epoch(self, runner: Runner) -> None:
        """Start a line of this validation, which gives way to its scores."""
        self.photos = self._line('val', _batches(runner.val_loop), leave=False)

    def before_test_epoch(self, runner: Runner) -> None:
        """As of validations."""
        self.photos = self._line('test', _batches(runner.test_loop), leave=False)

    def after_val_iter(self, runner: Runner, *_: object, **__: object) -> None:
        """Advance by a batch."""
        self.photos.update(1)

    after_test_iter = after_val_iter

    def after_val_epoch(self, runner: Runner, *_: object, **__: object) -> None:
        """Give way."""
        self.photos.close()

    after_test_epoch = after_val_epoch

    def _line(self, name: str, total: int, done: int = 0, leave: bool = True) -> tqdm:
        # tqdm itself writes nothing where a terminal does not tell its size.
        size = shutil.get_terminal_size()
        return tqdm(
            desc=name,
            total=total,
            initial=done,
            leave=leave,
            file=self.file,
            ncols=min(size.columns, 80),
            nrows=size.lines,
            bar_format='{desc} {bar:20} {n}/{total}{postfix}, {remaining} left',
        )


def _shows_progress_alone(config: Config) -> bool:
    """By the config's ``screen``.

    Raises:
        InputError: If it has another value than there are.
    """
    screen = config.get('screen', 'scores')
    if screen not in ('scores', 'progress'):
        raise InputError(f"screen is {screen!r} in the config; 'scores' or 'progress'")
    return screen == 'progress'


def _batches(loop: BaseLoop) -> int:
    """Of a loop over one data set, or over several, as MMagic's are."""
    return sum(map(len, getattr(loop, 'dataloaders', None) or [loop.dataloader]))


class ScreenRunner(Runner):
    """MMEngine's runner; what it logs is the same, what the screen shows is less."""

    def build_logger(self, *args: object, **kwargs: object) -> MMLogger:
        """As the runner's, with a filter for what is printed.

        Returns:
            MMLogger: Whose file has all, from its level on.
        """
        logger = super().build_logger(*args, **kwargs)
        self.rewrites = sys.stdout.isatty() and is_main_process()
        warnings_only = _shows_progress_alone(self.cfg) and self.rewrites
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(
                    lambda r: for_the_screen(r, self.rewrites, warnings_only)
                )
                if self.rewrites:
                    # Lines go above the one that rewrites itself.
                    handler.setStream(DummyTqdmFile(sys.stdout))
            elif is_main_process():
                print(
                    f'{self.experiment_name}: the log with config, environment and '
                    f'everything else is {handler.baseFilename}',
                    flush=True,
                )
        return logger

    def load_checkpoint(self, *args: object, **kwargs: object) -> dict:
        """As the runner's; what MMEngine prints of it goes to the log.

        Returns:
            dict: The checkpoint.
        """
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            checkpoint = super().load_checkpoint(*args, **kwargs)
        self.logger.info(printed.getvalue().strip())
        return checkpoint

    def register_hooks(self, *args: object, **kwargs: object) -> None:
        """As the runner's, with the line of progress on a terminal."""
        super().register_hooks(*args, **kwargs)
        if self.rewrites:
            self.register_hook(ProgressLine(sys.stdout))
