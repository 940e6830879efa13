"""``iniknet`` as a model of MMagic's ``MMagicInferencer``: its name, task and networks.

How it becomes one is said at :func:`mmagic_inik.patches.add_inferencer`.
"""

import os
from pathlib import Path
from types import ModuleType

import yaml
from mmengine.config import Config

from .data_variables import imports_this_package
from .options import NETWORKS

NAME = 'iniknet'
# None of MMagic's, so that its own inferencers keep theirs.
TASK = 'Defocus Deblurring'
_PACKAGE = Path(__file__).resolve().parent


def model_settings(api: ModuleType) -> list[dict]:
    """Networks whose weights come with the package, as MMagic lists its own.

    Args:
        api (ModuleType): Module of ``mmagic.apis``, beside which are MMagic's configs;
            it takes ours from there, too.

    Returns:
        list[dict]: Models of our ``metafile.yml``, the path of the config relative to
        MMagic's, that of the weights absolute.
    """
    configs = Path(str(api.__file__)).resolve().parents[1] / '.mim' / 'configs'
    ours = _PACKAGE / '.mim' / 'configs'
    listed = yaml.safe_load((ours / 'metafile.yml').read_text('utf-8'))['Models']
    return [
        model
        | dict(
            Config=_from(configs, ours / Path(model['Config']).relative_to('configs')),
            Weights=str(_PACKAGE.parent / model['Weights']),
        )
        for model in listed
        if (_PACKAGE.parent / model.get('Weights', '')).is_file()
    ]


def _from(configs: Path, config: Path) -> str:
    """A path that MMagic completes: it takes what begins with ``configs``."""
    return f'configs/{os.path.relpath(config.resolve(), configs.resolve())}'


def own_weights(config: Config | str | None, ckpt: str | None) -> str | None:
    """The weights that belong to a config of a network that comes with the package.

    ``config_name=`` of MMagic's inferencer changes the config alone, and leaves the
    weights of the first network in its list.

    Args:
        config (Config | str, optional): As MMagic's inferencer chose it.
        ckpt (str, optional): Likewise.

    Returns:
        str | None: ``ckpt``, or the config's own where both come with the package.
    """
    # PyTorch is imported where there is something to load.
    from .restoration.shipped import weights_of

    if isinstance(config, str) and ckpt is not None:
        own = {path.stem: path for path in map(weights_of, NETWORKS)}
        if Path(config).stem in own and Path(ckpt).resolve() in own.values():
            return str(own[Path(config).stem])
    return ckpt


def is_ours(config: Config | str | None) -> bool:
    """Whether a config, or a file of one, is for our parts.

    Args:
        config (Config | str | None): As MMagic's inferencers take it.

    Returns:
        bool: False of what is no config.
    """
    if isinstance(config, str | Path):
        # A path that does not exist is ours to name.
        config = Config.fromfile(config) if Path(config).is_file() else None
    return isinstance(config, Config) and imports_this_package(config)
