"""What is changed of MMEngine and MMagic where they offer no way; nothing else does.

Each change names the version that it was made for. Of another nothing says that it
still does what it should, so it is refused when the package is imported. What they do
offer is used elsewhere: schemes of checkpoints and a subclass of ``DictAction`` in
``launch``, ``register_module`` in ``registry``.
"""

import functools
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmengine.config import Config

# As setup.py bounds them.
_MADE_FOR = dict(mmengine='0.10.', mmagic='1.2.')
_NAMES = dict(mmengine='MMEngine', mmagic='MMagic')


def _check_version(package: str, what: str) -> None:
    """Refuse a version that a change was not made for.

    Raises:
        ImportError: Names both versions, and what is changed.
    """
    known, installed = _MADE_FOR[package], import_module(f'{package}.version')
    if not installed.__version__.startswith(known):
        raise ImportError(
            f'mmagic_inik knows {what} of {_NAMES[package]} {known}x, and '
            f'{installed.__version__} is installed; install {_NAMES[package]} {known}x,'
            f' or do not import mmagic_inik beside it'
        )


def add_locations(registries: ModuleType, modules: Mapping[str, Sequence[str]]) -> None:
    """Let registries import further modules when they are first asked for a name.

    MMEngine takes them in the constructor alone, and MMagic has constructed its own.

    Args:
        registries (ModuleType): ``mmagic.registry``, imported.
        modules (Mapping[str, Sequence[str]]): Full names by the registry's.

    Raises:
        ImportError: If it is not MMEngine 0.10.
    """
    _check_version('mmengine', 'the registries')
    for name, added in modules.items():
        registry = getattr(registries, name)
        registry._locations += added
        registry._imported = False


def let_options_reach_data_sets(config: ModuleType) -> None:
    """Let ``Config.merge_from_dict`` spread options about data.

    MMEngine puts a config's variables in when it reads the file, and has no hook
    between that and the options. See :mod:`mmagic_inik.data_variables`.

    Args:
        config (ModuleType): ``mmengine.config``, imported.

    Raises:
        ImportError: If it is not MMEngine 0.10.
    """
    _check_version('mmengine', 'the options of configs')
    merge = config.Config.merge_from_dict

    @functools.wraps(merge)
    def merge_from_dict(
        self: 'Config', options: dict, *args: object, **kwargs: object
    ) -> None:
        # Not before: where it is what imports mmengine, it has no names yet.
        from .data_variables import spread_in_scope

        return merge(self, spread_in_scope(self, options), *args, **kwargs)

    config.Config.merge_from_dict = merge_from_dict


def count_baddbmm(analysis: ModuleType) -> None:
    """Let the complexity analysis, and so MMagic's ``get_flops.py``, count ``baddbmm``.

    It counts operations of a trace by handles, and has one for ``bmm`` but none for the
    ``baddbmm`` by which the atoms' networks are evaluated; an analysis can be given
    more, but ``get_model_complexity_info`` makes its own.

    Args:
        analysis (ModuleType): ``mmengine.analysis.complexity_analysis``, imported.

    Raises:
        ImportError: If it is not MMEngine 0.10.
    """
    _check_version('mmengine', 'the counts of operations')

    def count(inputs: list, outputs: list) -> int:
        """MACs, which mmengine calls FLOPs, of the product; its sum is not counted."""
        return analysis.bmm_flop_jit(inputs[1:3], outputs)

    analysis._DEFAULT_SUPPORTED_FLOP_OPS.setdefault('aten::baddbmm', count)


def add_inferencer(api: ModuleType) -> None:
    """Make ``iniknet`` a model of MMagic's ``MMagicInferencer``.

    MMagic has no registry of inferencers: names stand in a list of the class, each with
    a folder of MMagic's own configs, and tasks in a chain of conditions. So the name is
    put into the list and the table that MMagic makes of it, and the chain gets a link
    before its first.

    Args:
        api (ModuleType): ``mmagic.apis.mmagic_inferencer``, imported.

    Raises:
        ImportError: If it is not MMagic 1.2.
    """
    _check_version('mmagic', 'MMagicInferencer')
    from .mmagic_api import NAME, TASK, is_ours, model_settings

    inferencer = api.MMagicInferencer
    # Before the name is in the list, of which MMagic looks up each in its own configs.
    inferencer.init_inference_supported_models_cfg()
    table = inferencer.inference_supported_models_cfg
    table[NAME] = dict(task=TASK, settings=model_settings(api))
    inferencer.inference_supported_models.append(NAME)
    construct = api.Inferencers.__init__

    @functools.wraps(construct)
    def construct_or_ours(
        self: Any,
        task: str | None = None,
        config: 'Config | str | None' = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        # Without a model's name there is no task, and MMagic knows no inferencer.
        if task == TASK or (task is None and is_ours(config)):
            from .inferencer import PhotoInferencer

            self.task = TASK
            self.inferencer = PhotoInferencer(config, *args, **kwargs)
        else:
            construct(self, task, config, *args, **kwargs)

    api.Inferencers.__init__ = construct_or_ours
