"""Runs MMagic's own ``tools/train.py`` and ``tools/test.py``.

What is added: processes can be distributed over CPUs, paths pass ``--cfg-options``
whole, a config can name classes in files beside it, and what a user can mend is said in
one sentence. The screen shows what is of the user's work; MMEngine's log has all.
"""

import argparse
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from .quiet import leave_out_known_warnings

_NOT_DATA_ALONE = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
_CONFIGS = ('.py', '.yml', '.yaml', '.json')


def run_tool(script: str) -> None:
    """Run MMagic's script with this process's command line.

    Args:
        script (str): ``'train.py'`` or ``'test.py'``.
    """
    leave_out_known_warnings()
    _load_data_alone()
    import mmagic

    from .data_variables import reach_data_sets_of_every_config
    from .engine.path_action import PathAction
    from .engine.screen import ScreenRunner
    from .errors import InputError
    from .processes import end_with_launcher

    reach_data_sets_of_every_config()
    _say_why_checkpoints_fail()
    tool = _import_script(Path(mmagic.__file__).parent / '.mim' / 'tools' / script)
    # What MMagic's scripts build and parse by; of this copy of the script alone.
    vars(tool).update(Runner=ScreenRunner, DictAction=PathAction)
    try:
        if 'TORCHELASTIC_RUN_ID' in os.environ:
            end_with_launcher()
        # As MMagic understands the command line, so that no option is taken for it.
        args = tool.parse_args()
        _check_config(args.config)
        find_modules_of(args.config)
        if args.launcher == 'none':
            tool.main()
        else:
            _run_with_others(tool, args)
    except InputError as error:
        # A data loader's worker wraps the sentence in its traceback.
        sentence = str(error).rsplit(f'{InputError.__name__}: ', 1)[-1].strip()
        sys.exit(f'{script.removesuffix(".py")}: {sentence}')


def _run_with_others(tool: ModuleType, args: argparse.Namespace) -> None:
    """Run one of several processes.

    Raises:
        InputError: If one of the others is lost.
    """
    from mmengine.config import Config

    from . import processes

    config = Config.fromfile(args.config)
    config.merge_from_dict(args.cfg_options or {})
    config.work_dir = args.work_dir or config.get(
        'work_dir', f'work_dirs/{Path(args.config).stem}'
    )
    with processes.say_if_others_are_lost(config, resumable=hasattr(args, 'resume')):
        if args.launcher == 'slurm':
            processes.take_rank_from_slurm()
        # MMEngine's option, which it heeds itself on GPUs.
        options = config.get('env_cfg', {}).get('dist_cfg', {})
        processes.join_cpu_group(options.get('timeout'))
        tool.main()
        processes.leave_group()


def _load_data_alone() -> None:
    """Never run code in a checkpoint, also where mmengine or torch.hub load one."""
    if os.environ.pop(_NOT_DATA_ALONE, None) is not None:
        print(
            f'{_NOT_DATA_ALONE} is not needed here, and left out of account.',
            file=sys.stderr,
        )
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'


def _say_why_checkpoints_fail() -> None:
    """Let mmengine load local files as before, but with a sentence where it fails."""
    from mmengine.runner import CheckpointLoader

    from .engine.checkpoints import load_as_data

    CheckpointLoader.register_scheme('', load_as_data, force=True)


def _import_script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f'mmagic_tools_{path.stem}', path)
    if spec is None or spec.loader is None:
        raise ImportError(f'{path} cannot be imported', path=str(path))
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def _check_config(path: str) -> None:
    from .errors import InputError

    if not Path(path).is_file():
        raise InputError(f'config {path} does not exist')
    if Path(path).suffix not in _CONFIGS:
        raise InputError(f'config {path} does not end in {", ".join(_CONFIGS)}')


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


def check_device(device: str | None, option: str = '--device') -> str:
    """Refuse a device that PyTorch cannot use here.

    Args:
        device (str, optional): As after ``--device``. None: choose one.
        option (str): What the message calls it. Default: ``'--device'``.

    Returns:
        str: The same; of None, ``'cuda'`` where there is a GPU, else ``'cpu'``.

    Raises:
        InputError: Says why.
    """
    import torch

    from .errors import InputError

    if device is None:
        return 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        raise InputError(
            f'{option} {device} cannot be used ({str(error).splitlines()[0]}); give '
            'cpu, or cuda where there is a GPU'
        ) from error
    return device
