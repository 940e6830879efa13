"""What keeps MMagic's runs safe, resumable and visible."""

from .bfloat16 import Bfloat16OptimWrapper
from .checkpoints import StrictCheckpointHook, load_checkpoint_file
from .loops import FastResumeTrainLoop
from .pieces import TrainingPiecesHook
from .progress_hook import ProgressHook
from .restart_hook import RestartFromBestHook
from .sheet_hook import ValidationSheetHook
from .training_state import small_state

__all__ = [
    'Bfloat16OptimWrapper',
    'FastResumeTrainLoop',
    'ProgressHook',
    'StrictCheckpointHook',
    'RestartFromBestHook',
    'TrainingPiecesHook',
    'ValidationSheetHook',
    'load_checkpoint_file',
    'small_state',
]
