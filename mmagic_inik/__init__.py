"""INIKNet for MMagic; importing this package registers its parts.

That is done when MMagic's registries are asked for one, so that the import itself takes
no time. What works depends on what is installed:

- torch alone: ``mmagic_inik.ops`` and ``mmagic_inik.models``;
- ``pip install .``: restoring photos, besides;
- MMagic with all it imports (``pip install .[mmagic]``): everything.
"""

from .registry import connect

__version__ = '0.1.0'

connect()
