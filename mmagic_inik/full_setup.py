"""Imported first by tools that need MMagic: where it is missing, they end here."""

import sys
from importlib.util import find_spec
from pathlib import Path

from .errors import MissingPackageError

for package in ('mmengine', 'mmcv', 'mmagic'):
    if find_spec(package) is None:
        sys.exit(str(MissingPackageError(Path(sys.argv[0]).name, package)))
