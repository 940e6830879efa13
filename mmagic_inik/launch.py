"""Runs MMagic's own ``tools/train.py`` and ``tools/test.py``.

What is added: processes can be distributed over CPUs, ``--cfg-options data_root=PATH``
reaches every data set, and what a user can mend is said in one sentence.
"""

import ctypes
import os
import runpy
import signal
import sys
import warnings
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def run_tool(script: str) -> None:
    """Run MMagic's script with this process's command line.

    Args:
        script (str): ``'train.py'`` or ``'test.py'``.
    """
    # Dependencies of mmagic.models announce their own deprecations at every start.
    warnings.filterwarnings(
        'ignore', category=FutureWarning, module='transformers|diffusers'
    )
    warnings.filterwarnings('ignore', category=FutureWarning, module='timm')
    warnings.filterwarnings('ignore', message='pkg_resources is deprecated')
    # Also where mmengine or torch.hub load a file by themselves.
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'
    import mmagic

    from .errors import InputError

    _keep_paths_whole()
    path = Path(mmagic.__file__).parent / '.mim' / 'tools' / script
    try:
        if 'TORCHELASTIC_RUN_ID' in os.environ:
            _end_with_launcher()
            _join_cpu_group()
        sys.argv[1:] = spread_data_root(sys.argv[1:])
        runpy.run_path(str(path), run_name='__main__')
        _leave_group()
    except InputError as error:
        # A data loader's worker wraps the sentence in its traceback.
        sentence = str(error).rsplit(f'{InputError.__name__}: ', 1)[-1].strip()
        sys.exit(f'{script.removesuffix(".py")}: {sentence}')


def spread_data_root(arguments: list[str]) -> list[str]:
    """Let ``data_root=PATH`` after ``--cfg-options`` reach the data sets.

    A config's variable is spent when mmengine overrides it; every data set that stood
    on the config's ``data_root`` is given the new one.

    Args:
        arguments (list[str]): Command line.

    Returns:
        list[str]: The same with one option more per data set.

    Raises:
        InputError: If the config file does not exist.
    """
    path = _config_of(arguments)
    given = [a for a in arguments if a.startswith('data_root=')]
    if not given or path is None:
        return arguments
    from mmengine.config import Config

    config = Config.fromfile(path)
    options = [
        f'{loader}.dataset.{given[-1]}'
        for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader')
        if (config.get(loader) or {}).get('dataset', {}).get('data_root')
        == config.get('data_root')
    ]
    # Before the user's own, so that a data set named on its own wins.
    at = arguments.index(given[-1])
    return arguments[:at] + options + arguments[at:]


def _config_of(arguments: list[str]) -> str | None:
    """The config file among the arguments of a command line."""
    from .errors import InputError

    for argument in arguments:
        if argument.endswith(('.py', '.json', '.yaml')) and '=' not in argument:
            if not Path(argument).is_file():
                raise InputError(f'config {argument} does not exist')
            return argument
    return None


def _keep_paths_whole() -> None:
    """Let paths with spaces and commas pass ``--cfg-options``.

    mmengine's parser takes spaces out of every value and splits it at commas.
    """
    from mmengine.config import DictAction

    parse = DictAction._parse_iterable

    def parse_unless_path(value: str):
        stripped = value.strip('\'"')
        looks_like_path = os.sep in stripped and set('[(,').isdisjoint(stripped)
        needs_care = not {' ', ','}.isdisjoint(stripped)
        if looks_like_path or (needs_care and Path(stripped).exists()):
            return stripped
        return parse(value)

    DictAction._parse_iterable = staticmethod(parse_unless_path)


def _end_with_launcher() -> None:
    """Do not outlive torchrun, whose kill would leave the ranks writing on."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _join_cpu_group() -> None:
    """Without a GPU, form torchrun's process group with gloo.

    mmengine would call ``torch.cuda.set_device`` for every rank.
    """
    import torch

    if not torch.cuda.is_available():
        torch.distributed.init_process_group('gloo')


def _leave_group() -> None:
    """End a distributed run together.

    A rank that leaves while others still talk to it may abort in gloo's threads, and
    torchrun would then call the whole run failed.
    """
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
