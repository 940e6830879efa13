"""INIKNet for MMagic; importing this package registers its parts.

What is registered depends on what is installed:

- torch alone: nothing; ``mmagic_inik.ops`` works;
- mmagic, mmengine and mmcv-lite: network parts and losses;
- MMagic with all it imports (mmcv with operators): everything.
"""

from importlib.util import find_spec

__version__ = '0.1.0'

if find_spec('mmagic') is not None:
    from . import losses, models  # noqa: F401

    # mmcv-lite has no compiled operators, without which mmagic.models cannot import.
    if find_spec('mmcv._ext') is not None:
        from . import datasets, engine, evaluation  # noqa: F401
        from .models import restorer  # noqa: F401
        from .models.peers import jdrl, training  # noqa: F401
