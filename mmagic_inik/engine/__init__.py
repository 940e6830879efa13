"""What keeps MMagic's runs safe, resumable and visible."""

from ..data_variables import spread_data_options
from .bfloat16 import Bfloat16OptimWrapper
from .checkpoint_hooks import RepeatableResumeHook, StrictCheckpointHook
from .checkpoints import load_checkpoint_file, load_weights
from .loops import FastResumeTrainLoop
from .pieces import TrainingPiecesHook
from .progress_hook import ProgressHook
from .restart_hook import RestartFromBestHook
from .sheet_hook import ValidationSheetHook
from .training_state import small_state

__all__ = [
    'FastResumeTrainLoop',
    'ProgressHook',
    'RepeatableResumeHook',
    'RestartFromBestHook',
    'StrictCheckpointHook',
    'TrainingPiecesHook',
    'ValidationSheetHook',
    'load_checkpoint_file',
    'load_weights',
    'small_state',
    'spread_data_options',
    'Bfloat16OptimWrapper',
]
