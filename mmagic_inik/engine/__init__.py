"""What keeps MMagic's runs safe, resumable and visible."""

from .bfloat16 import Bfloat16OptimWrapper
from .checkpoints import StrictCheckpointHook, load_checkpoint_file
from .loops import FastResumeTrainLoop
from .pieces import TrainingPiecesHook
from .sheet_hook import ValidationSheetHook

__all__ = [
    'Bfloat16OptimWrapper',
    'FastResumeTrainLoop',
    'StrictCheckpointHook',
    'TrainingPiecesHook',
    'ValidationSheetHook',
    'load_checkpoint_file',
]
