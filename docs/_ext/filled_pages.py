"""Fills pages of the reference from the code: registered parts, and tools' ``--help``.

A page says where: ``<!-- every registered part -->`` and ``<!-- every tool -->``. Names
of ours that pages mention must be described somewhere.
"""

import contextlib
import importlib
import io
import os
import runpy
import sys
from pathlib import Path
from unittest import mock

from sphinx.util import logging

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
# MMagic's registry → what stands above its parts.
REGISTRIES = {
    'MODELS': 'Networks, models and losses',
    'DATASETS': 'Data sets',
    'TRANSFORMS': 'Transforms',
    'DATA_SAMPLERS': 'Samplers',
    'METRICS': 'Metrics',
    'HOOKS': 'Hooks',
    'LOOPS': 'Loops',
    'OPTIM_WRAPPERS': 'Optimizer wrappers',
}


def parts_of(registry: str) -> list[type]:
    """Our classes that a config can name, of one of MMagic's registries, by name."""
    registries = importlib.import_module('mmagic.registry')
    known = getattr(registries, registry)
    known.import_from_location()
    ours = {
        part
        for part in known.module_dict.values()
        if getattr(part, '__module__', '').split('.')[0] == 'mmagic_inik'
    }
    return sorted(ours, key=lambda part: part.__name__)


def every_part() -> str:
    """Markdown: a heading for each registry, and below it autodoc's directives."""
    lines = []
    for registry, title in REGISTRIES.items():
        lines += [f'## {title}', '', f'`mmagic.registry.{registry}`', '']
        for part in parts_of(registry):
            name = f'{part.__module__}.{part.__qualname__}'
            lines += [f'### {part.__name__}', '', '```{eval-rst}']
            lines += [f'.. autoclass:: {name}', '```', '']
    return '\n'.join(lines)


def help_of(tool: Path) -> str:
    """What a tool prints of itself; in this process, which imports MMagic once."""
    if tool.suffix == '.sh':
        text = tool.read_text(encoding='utf-8')
        comments = [line for line in text.splitlines()[1:] if line.startswith('#')]
        return '\n'.join(line[1:].strip() for line in comments)
    printed = io.StringIO()
    with (
        mock.patch.object(sys, 'argv', [f'tools/{tool.name}', '--help']),
        # Where Python looks for what is beside a script.
        mock.patch.object(sys, 'path', [str(TOOLS), *sys.path]),
        mock.patch.dict(os.environ, COLUMNS='80'),
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
    ):
        runpy.run_path(str(tool), run_name='__main__')
    return printed.getvalue().rstrip()


def every_tool() -> str:
    """Markdown: a heading for each tool, and below it its help."""
    lines = []
    for tool in sorted(TOOLS.iterdir()):
        if tool.suffix not in ('.py', '.sh'):
            continue
        text = help_of(tool)
        if not text:
            raise ValueError(f'{tool} says nothing of itself')
        lines += [f'## `tools/{tool.name}`', '', '```text', text, '```', '']
    return '\n'.join(lines)


PLACES = {
    '<!-- every registered part -->': every_part,
    '<!-- every tool -->': every_tool,
}


def fill(app, page: str, source: list[str]) -> None:
    """Put what the code says where a page asks for it."""
    for place, filling in PLACES.items():
        if place in source[0]:
            source[0] = source[0].replace(place, filling())


def refuse(app, environment, node, content) -> None:
    """Warn of a name on a page that leads nowhere; docstrings may name private ones."""
    if node.get('refdomain') == 'py' and str(node.source).endswith('.md'):
        logging.getLogger(__name__).warning(
            'nothing is described as %s', node['reftarget'], location=node
        )


def setup(app) -> dict:
    """Connect with Sphinx."""
    app.connect('missing-reference', refuse)
    app.connect('source-read', fill)
    return dict(version='1', parallel_read_safe=True, parallel_write_safe=True)
