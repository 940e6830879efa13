"""Runs MMagic's own ``tools/train.py`` and ``tools/test.py``.

What is added: processes can be distributed over CPUs, a config's variables about data
(``--cfg-options data_root=PATH``) reach every data set, a config can name classes in
files beside it, and what a user can mend is said in one sentence.
"""

import ctypes
import os
import re
import runpy
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# Variables that belong to the data sets on the config's `data_root`.
_OF_DATA = ('preset', 'layout', 'val_share')


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

    keep_paths_whole()
    path = Path(mmagic.__file__).parent / '.mim' / 'tools' / script
    try:
        if 'TORCHELASTIC_RUN_ID' in os.environ:
            end_with_launcher()
            _join_cpu_group()
        find_modules_of(_config_of(sys.argv[1:]))
        sys.argv[1:] = spread_data_options(sys.argv[1:])
        runpy.run_path(str(path), run_name='__main__')
        _leave_group()
    except InputError as error:
        # A data loader's worker wraps the sentence in its traceback.
        sentence = str(error).rsplit(f'{InputError.__name__}: ', 1)[-1].strip()
        sys.exit(f'{script.removesuffix(".py")}: {sentence}')


def spread_data_options(arguments: list[str]) -> list[str]:
    """Let a config's variables about data reach the data sets from the command line.

    mmengine overrides a variable after it was spent. Here, after ``--cfg-options``,

    - ``data_root=PATH``, or a further variable like ``realdof_root=PATH``, is given to
      every data set that stood on the config's value;
    - ``preset=NAME``, ``layout.KEY=VALUE`` or ``val_share=SHARE`` to those of them that
      stand on the config's ``data_root`` and on its value of the variable.

    Args:
        arguments (list[str]): Command line.

    Returns:
        list[str]: The same with options more per data set.

    Raises:
        InputError: If the config file does not exist.
    """
    path = _config_of(arguments)
    given = [
        a for a in arguments if re.match(r'(preset|layout\.\w+|val_share|\w+_root)=', a)
    ]
    if not given or path is None:
        return arguments
    from mmengine.config import Config

    config = Config.fromfile(path)
    options = [
        f'{place}.{"data_root" if name.endswith("_root") else name}{rest}'
        for name, rest in (re.match(r'(\w+)(.+)', a, re.S).groups() for a in given)
        for place, data_set in _data_sets(config)
        if _stands_on(config, name, data_set)
    ]
    # Before all of the user's own, so that a data set named on its own wins.
    at = arguments.index(given[0])
    while at > 0 and not arguments[at - 1].startswith('--'):
        at -= 1
    return arguments[:at] + options + arguments[at:]


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


def _config_of(arguments: list[str]) -> str | None:
    """The config file among the arguments of a command line."""
    from .errors import InputError

    for argument in arguments:
        if argument.endswith(('.py', '.json', '.yaml')) and '=' not in argument:
            if not Path(argument).is_file():
                raise InputError(f'config {argument} does not exist')
            return argument
    return None


def find_modules_of(config: str | None) -> None:
    """Let a config name classes in files of the user's, such as ``backbones.Plain``.

    They are looked for in the config's own folder, as its ``_base_`` is, and then in
    the current one, where ``python -m`` looks: the copy of a config in a work directory
    has no such files beside it. Both come after whatever is installed, so that a
    ``datasets.py`` of the user's is not taken for a package of that name. Workers of
    data loaders inherit the search path, however they are started.

    Args:
        config (str | None): Path of the config file; None: the current folder alone.
    """
    folders = [Path.cwd()]
    if config is not None:
        folders.insert(0, Path(config).absolute().parent)
    for folder in map(str, folders):
        if folder not in sys.path:
            sys.path.append(folder)


def check_device(device: str) -> None:
    """Refuse a device that PyTorch cannot use here.

    Args:
        device (str): As after ``--device``.

    Raises:
        InputError: Says why.
    """
    import torch

    from .errors import InputError

    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        raise InputError(
            f'--device {device} cannot be used ({str(error).splitlines()[0]}); give '
            'cpu, or cuda where there is a GPU'
        ) from error


def keep_paths_whole() -> None:
    """Let paths with spaces and commas, and layouts, pass ``--cfg-options``.

    mmengine's parser takes spaces out of every value and splits it at commas; of a
    layout's regular expression ``(.+)`` it would make a tuple.
    """
    from mmengine.config import DictAction

    parse, call = DictAction._parse_iterable, DictAction.__call__

    def parse_unless_path(value: str):
        stripped = value.strip('\'"')
        looks_like_path = os.sep in stripped and set('[(,').isdisjoint(stripped)
        needs_care = not {' ', ','}.isdisjoint(stripped)
        if looks_like_path or (needs_care and Path(stripped).exists()):
            return stripped
        return parse(value)

    def call_unless_layout(self, parser, namespace, values, option_string=None):
        texts = [v for v in values if re.match(r'([\w.]+\.)?layout\.\w+=(?!None$)', v)]
        others = [v for v in values if v not in texts]
        call(self, parser, namespace, others, option_string)
        getattr(namespace, self.dest).update(text.split('=', 1) for text in texts)

    DictAction._parse_iterable = staticmethod(parse_unless_path)
    DictAction.__call__ = call_unless_layout


def end_with_launcher() -> None:
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
