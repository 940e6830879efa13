"""Options of a config as the command line gives them, paths whole."""

import os
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import DictAction

_LAYOUT = re.compile(r'([\w.]+\.)?layout\.\w+=(?!None$)')


class PathAction(DictAction):
    """Lets paths with spaces and commas, and layouts, pass ``--cfg-options``.

    MMEngine's parser takes spaces out of every value and splits it at commas; of a
    layout's regular expression ``(.+)`` it would make a tuple.

    Example:
        >>> parser = ArgumentParser()
        >>> action = parser.add_argument('--options', nargs='+', action=PathAction)
        >>> parser.parse_args(['--options', 'a=/my photos', 'b=1,2']).options
        {'b': [1, 2], 'a': '/my photos'}
    """

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: Namespace,
        values: Sequence[str],
        option_string: str | None = None,
    ) -> None:
        """Put options into the namespace; called by argparse."""
        plain, whole = apart(values)
        super().__call__(parser, namespace, plain, option_string)
        getattr(namespace, self.dest).update(whole)


def apart(values: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Tell what MMEngine should parse from what is taken as it stands.

    Args:
        values (Sequence[str]): ``KEY=VALUE``.

    Returns:
        tuple[list[str], dict[str, str]]: The former; the latter, by key.
    """
    plain: list[str] = []
    whole: dict[str, str] = {}
    for text in values:
        name, _, value = text.partition('=')
        # What is given twice has its last value.
        whole.pop(name, None)
        path = value.strip('\'"')
        if _LAYOUT.match(text):
            whole[name] = value
        elif _is_path(path):
            whole[name] = path
        else:
            plain.append(text)
    return plain, whole


def _is_path(value: str) -> bool:
    looks_like_path = os.sep in value and set('[(,').isdisjoint(value)
    needs_care = not {' ', ','}.isdisjoint(value)
    return looks_like_path or (needs_care and Path(value).exists())
