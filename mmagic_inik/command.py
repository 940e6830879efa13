"""The command ``mmagic-inik``: the tools, found where the package is installed."""

import ast
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

# Where `mim` looks for them, too; in a checkout links.
TOOLS = (Path(__file__).parent / '.mim' / 'tools').resolve()
CONFIGS = (Path(__file__).parent / '.mim' / 'configs').resolve()
# Those for somebody who has photos and no checkout.
NAMES = ('restore', 'app', 'export')


def usage() -> str:
    """What there is, a line each.

    Returns:
        str: The first sentence of every tool's docstring beside its name.
    """
    lines = [
        'usage: mmagic-inik TOOL ..., where mmagic-inik TOOL --help tells more',
        '',
    ]
    for name in NAMES:
        text = (TOOLS / f'{name}.py').read_text(encoding='utf-8')
        first = (ast.get_docstring(ast.parse(text)) or '').split('\n\n')[0]
        lines.append(f'  {name:10}{" ".join(first.split())}')
    return '\n'.join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the tool that is named first, as ``python tools/TOOL.py`` would."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ['--help']
    if name in ('-h', '--help'):
        print(usage())
        return
    if name not in NAMES:
        sys.exit(f'mmagic-inik: no tool {name}; choose of {", ".join(NAMES)}')
    path = TOOLS / f'{name}.py'
    sys.argv = [f'mmagic-inik {name}', *rest]
    runpy.run_path(str(path), run_name='__main__')
