"""Makes ``iniknet`` a model of MMagic's ``MMagicInferencer``; written for MMagic 1.2.

MMagic has no registry of inferencers: names stand in a list of the class, each with a
folder of MMagic's own configs, and tasks in a chain of conditions. So the name is put
into the list and the table that MMagic makes of it, and the chain gets a link before
its first. Any other version of MMagic is refused here, as nothing says that it does
likewise.
"""

import functools
import os
from pathlib import Path
from types import ModuleType

import yaml
from mmengine.config import Config

from .data_variables import imports_this_package

NAME = 'iniknet'
# None of MMagic's, so that its own inferencers keep theirs.
TASK = 'Defocus Deblurring'
_VERSION = '1.2.'
_PACKAGE = Path(__file__).resolve().parent


def register(api: ModuleType) -> None:
    """Add our model and its inferencer.

    Args:
        api (ModuleType): ``mmagic.apis.mmagic_inferencer``, imported.

    Raises:
        ImportError: If it is of another version of MMagic than 1.2.
    """
    from mmagic.version import __version__

    if not __version__.startswith(_VERSION):
        raise ImportError(
            f"mmagic_inik knows MMagic {_VERSION}x's MMagicInferencer, and "
            f'{__version__} is installed; install MMagic 1.2, or do not import '
            'mmagic_inik beside mmagic.apis'
        )
    inferencer = api.MMagicInferencer
    # Before the name is in the list, of which MMagic looks up each in its own configs.
    inferencer.init_inference_supported_models_cfg()
    configs = Path(api.__file__).resolve().parents[1] / '.mim' / 'configs'
    table = inferencer.inference_supported_models_cfg
    table[NAME] = dict(task=TASK, settings=model_settings(configs))
    inferencer.inference_supported_models.append(NAME)
    _dispatch(api.Inferencers)


def model_settings(configs: Path) -> list[dict]:
    """Networks whose weights come with the package, as MMagic lists its own.

    Args:
        configs (Path): Where MMagic keeps its configs; it takes ours from there, too.

    Returns:
        list[dict]: Models of our ``metafile.yml``, the path of the config relative to
        MMagic's, that of the weights absolute.
    """
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


def _dispatch(inferencers: type) -> None:
    """Let MMagic's choice of inferencers know ours."""
    construct = inferencers.__init__

    @functools.wraps(construct)
    def construct_or_ours(self, task=None, config=None, *args, **kwargs) -> None:
        # Without a model's name there is no task, and MMagic knows no inferencer.
        if task == TASK or (task is None and _is_ours(config)):
            from .inferencer import PhotoInferencer

            self.task = TASK
            self.inferencer = PhotoInferencer(config, *args, **kwargs)
        else:
            construct(self, task, config, *args, **kwargs)

    inferencers.__init__ = construct_or_ours


def _is_ours(config: Config | str | None) -> bool:
    if isinstance(config, str | Path):
        # A path that does not exist is ours to name.
        config = Config.fromfile(config) if Path(config).is_file() else None
    return isinstance(config, Config) and imports_this_package(config)
