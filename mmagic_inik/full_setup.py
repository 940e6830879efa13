"""Imported first by tools that need MMagic: where it is missing, they end here.

Where it is there, what its import is known to warn of is left out.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from .errors import MissingPackageError
from .quiet import leave_out_known_warnings

for package in ('mmengine', 'mmcv', 'mmagic'):
    if find_spec(package) is None:
        sys.exit(str(MissingPackageError(Path(sys.argv[0]).name, package)))

leave_out_known_warnings()
