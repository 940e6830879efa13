"""A config's variables about data reach its data sets when they are overridden.

mmengine overrides a variable after it was spent: ``--cfg-options data_root=PATH`` would
change a name that nothing reads any more. With this package imported, that is mended
for configs that import it, whoever runs them: MMagic's ``train.py``, ``mim train``, or
the tools here, which mend it for every config.
"""

import re
from collections.abc import Iterator

from mmengine.config import Config

from .errors import InputError

_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
_VARIABLE = re.compile(r'(preset|layout|val_share|\w+_root)(\..+)?')
_scope = dict(every_config=False)


def reach_data_sets_of_every_config() -> None:
    """Spread options of all configs in this process, of MMagic's own, too."""
    _scope['every_config'] = True


def spread_in_scope(config: Config, options: dict) -> dict:
    """Options that reach the data sets, if the config is for our parts.

    Args:
        config (Config): Before the options.
        options (dict): Values by dotted names.

    Returns:
        dict: As of :func:`spread_data_options`; for others' configs the same options,
        unless :func:`reach_data_sets_of_every_config` was called.

    Raises:
        InputError: As of :func:`spread_data_options`.
    """
    if _scope['every_config'] or imports_this_package(config):
        return spread_data_options(config, options)
    return options


def spread_data_options(config: dict, options: dict) -> dict:
    """Options that reach the data sets, for options about a config's variables.

    - ``data_root``, or a further variable like ``realdof_root``, is given to every data
      set that stood on the config's value;
    - ``preset``, ``layout`` (or one of its keys, ``layout.KEY``) and ``val_share`` to
      those of them that stand on the config's ``data_root`` and on its value of the
      variable.

    Args:
        config (dict): Before the options.
        options (dict): Values by dotted names.

    Returns:
        dict: The options with further ones, one per data set, which come first, so that
        a data set named on its own wins.

    Raises:
        InputError: If a variable is not the config's, and no data set has it.
    """
    spread: dict[str, object] = {}
    for name, value in options.items():
        given = _VARIABLE.fullmatch(name)
        if given is None:
            continue
        variable, rest = given[1], given[2] or ''
        key = 'data_root' if variable.endswith('_root') else variable
        places = [
            place
            for place, data_set in _data_sets(config)
            if _stands_on(config, variable, data_set)
        ]
        if not places and variable not in config:
            roots = [k for k in config if isinstance(k, str) and k.endswith('_root')]
            raise InputError(
                f'{name}={value} reaches no data set of the config; its variables for '
                f'folders are {", ".join(roots) or "none"}'
            )
        spread |= {f'{place}.{key}{rest}': value for place in places}
    return spread | options


def _stands_on(config: dict, variable: str, data_set: dict) -> bool:
    """Whether a data set has its option from a config's variable."""
    if variable.endswith('_root'):
        return data_set['data_root'] == config.get(variable)
    return data_set['data_root'] == config.get('data_root') and (
        data_set.get(variable) == config.get(variable)
    )


def _data_sets(config: dict) -> Iterator[tuple[str, dict]]:
    """Every data set of a config's loaders, in lists and wrappers too, by its place."""
    waiting = [(name, config.get(name)) for name in _LOADERS]
    while waiting:
        place, node = waiting.pop(0)
        if isinstance(node, dict):
            if 'data_root' in node:
                yield place, node
            waiting += [(f'{place}.{key}', value) for key, value in node.items()]
        elif isinstance(node, list):
            waiting += [(f'{place}.{n}', value) for n, value in enumerate(node)]


def imports_this_package(config: Config) -> bool:
    """Whether a config is for our parts, by its ``custom_imports``.

    Args:
        config (Config): Any.

    Returns:
        bool: True if it imports this package, or a module of it.
    """
    imports = (config.get('custom_imports') or {}).get('imports') or []
    imports = [imports] if isinstance(imports, str) else imports
    return any(name.split('.')[0] == __name__.split('.')[0] for name in imports)
