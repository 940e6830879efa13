"""What all tools have in common: how they end, show progress, and name a device."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from .errors import InputError


@contextmanager
def sentences_of(tool: str, *others: type[Exception]) -> Iterator[None]:
    """End the process with the sentence of an ``InputError``, without a traceback.

    Args:
        tool (str): Its name, which stands before the sentence.
        *others (type[Exception]): What else is a mistake of the user's.

    Yields:
        None: What is done within may raise it.

    Raises:
        SystemExit: In place of these errors; the exit status is 1.
    """
    mistakes: tuple[type[Exception], ...] = (InputError, *others)
    try:
        yield
    except mistakes as error:
        sys.exit(f'{tool}: {error}')


def progress_bar(total: int, unit: str) -> tqdm:
    """A bar on the error output, so that what is printed can be kept without it.

    Args:
        total (int): How many there are.
        unit (str): What they are, as ``'image'``.

    Returns:
        tqdm: ``update()`` advances it by one; a context that closes it.
    """
    return tqdm(total=total, unit=f' {unit}', file=sys.stderr)


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Describe ``--device``, which :func:`~.launch.check_device` resolves.

    Args:
        parser (argparse.ArgumentParser): Of a tool.
    """
    parser.add_argument(
        '--device', help='cpu or cuda (default: cuda where there is a GPU)'
    )
