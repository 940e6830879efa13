"""Sphinx: Markdown by MyST, docstrings by autodoc, pages that the code itself fills.

`make docs` builds; a warning is an error, so that no link or name rots.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The checkout that this folder is of, whatever is installed.
sys.path[:0] = [str(HERE.parent), str(HERE / '_ext')]

import mmagic_inik  # noqa: E402
from mmagic_inik.quiet import leave_out_known_warnings  # noqa: E402

leave_out_known_warnings()

project = 'mmagic_inik'
copyright = 'the authors of mmagic_inik, Apache-2.0'
release = version = mmagic_inik.__version__

extensions = [
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx.ext.viewcode',
    'filled_pages',
]
exclude_patterns = ['_build']
nitpicky = False

html_theme = 'furo'
html_title = f'mmagic_inik {release}'

myst_enable_extensions = ['dollarmath', 'colon_fence', 'fieldlist']
# Links to headings, as GitHub makes them.
myst_heading_anchors = 3

# Types stand in the docstrings, with shapes and ranges; signatures would repeat them.
autodoc_typehints = 'none'
autodoc_member_order = 'bysource'
autodoc_default_options = {'members': True, 'show-inheritance': True}
napoleon_use_ivar = True
viewcode_line_numbers = True
