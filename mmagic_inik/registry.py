"""Our parts by name: without MMagic, and in MMagic's registries where it is used.

Restoring needs none of MMagic, which takes seconds to import. So a part is registered
here, and MMagic's ``MODELS`` gets it when ``mmagic.registry`` is imported, before or
after this package. What trains and tests is imported when MMagic's registries are first
asked for a name, as their own classes are.
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from . import patches
from .errors import MissingPackageError

if TYPE_CHECKING:
    from mmengine.registry import Registry

_Part = TypeVar('_Part', bound=type)

_MMAGIC = 'mmagic.registry'
# MMagic's registry → modules of ours with classes for it.
_LOCATIONS = {
    # After a network is built comes its checkpoint, which `engine` loads.
    'MODELS': (
        'models',
        'models.restorer',
        'models.peers.ifan_training',
        'models.peers.jdrl',
        'models.peers.training',
        'losses',
        'engine',
    ),
    'DATASETS': ('datasets',),
    'TRANSFORMS': ('datasets', 'evaluation'),
    'DATA_SAMPLERS': ('datasets',),
    'METRICS': ('evaluation',),
    'HOOKS': ('engine',),
    'LOOPS': ('engine',),
    'OPTIM_WRAPPERS': ('engine',),
}


class PartRegistry:
    """Classes by name, with the two methods of MMEngine's registries that parts need.

    Example:
        >>> from mmagic_inik.registry import MODELS
        >>> import mmagic_inik.models
        >>> MODELS.build(dict(type='UNet', base_channels=4)).ups[0].out_channels
        4
    """

    def __init__(self) -> None:
        self._parts: dict[str, type] = {}

    def register_module(self) -> Callable[[_Part], _Part]:
        """Decorator of a class that configs can name, here and in MMagic."""

        def register(part: _Part) -> _Part:
            if part.__name__ in self._parts:
                raise KeyError(f'{part.__name__} is registered already')
            self._parts[part.__name__] = part
            if _MMAGIC in sys.modules:
                sys.modules[_MMAGIC].MODELS.register_module(module=part)
            return part

        return register

    def build(self, config: dict) -> Any:
        """Build one of our parts, or else one of MMagic's.

        Args:
            config (dict): ``type``, and the constructor's arguments.

        Returns:
            nn.Module: The part.

        Raises:
            MissingPackageError: If it is none of ours, and MMagic is not installed.
        """
        # A config may choose another scope than ours.
        if config.get('type') in self._parts and '_scope_' not in config:
            arguments = dict(config.items())
            return self._parts[arguments.pop('type')](**arguments)
        return mmagic_registry(f'{config.get("type")!r}').MODELS.build(config)

    def give_to(self, registry: 'Registry') -> None:
        """Register all parts so far in a registry of MMEngine's."""
        for part in self._parts.values():
            registry.register_module(module=part)


MODELS = PartRegistry()


def mmagic_registry(what: str) -> ModuleType:
    """``mmagic.registry``.

    Args:
        what (str): That asks for it, for the message.

    Returns:
        ModuleType: MMagic's registries, which know our parts.

    Raises:
        MissingPackageError: If MMagic is not installed.
    """
    try:
        return import_module(_MMAGIC)
    except ModuleNotFoundError as error:
        raise MissingPackageError(what, error.name or _MMAGIC) from error


class _Connector(MetaPathFinder):
    """Connects what is of MMagic and MMEngine with us as soon as it is imported."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if name not in _CONNECTIONS:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_connect(module: ModuleType) -> None:
                execute(module)
                _CONNECTIONS[name](module)

            # Of this loader, which loads nothing else.
            spec.loader.exec_module = execute_and_connect  # type: ignore[method-assign]
        return spec


def _connect(registries: ModuleType) -> None:
    MODELS.give_to(registries.MODELS)
    patches.add_locations(
        registries,
        {
            name: [f'{__package__}.{module}' for module in modules]
            for name, modules in _LOCATIONS.items()
        },
    )


_CONNECTIONS = {
    _MMAGIC: _connect,
    # MMagic's train.py overrides a config before it asks the registries for anything.
    'mmengine.config': patches.let_options_reach_data_sets,
    'mmengine.analysis.complexity_analysis': patches.count_baddbmm,
    'mmagic.apis.mmagic_inferencer': patches.add_inferencer,
}


def connect() -> None:
    """Let MMagic and MMEngine know of us, whenever they are imported."""
    for name in _CONNECTIONS.keys() & sys.modules.keys():
        _CONNECTIONS[name](sys.modules[name])
    if not _CONNECTIONS.keys() <= sys.modules.keys():
        sys.meta_path.insert(0, _Connector())
