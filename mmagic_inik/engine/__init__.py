"""What keeps MMagic's runs safe, resumable and visible."""

from .checkpoints import StrictCheckpointHook, load_checkpoint_file
from .loops import FastResumeTrainLoop
from .pieces import TrainingPiecesHook
from .sheet_hook import ValidationSheetHook

__all__ = [
    'FastResumeTrainLoop',
    'StrictCheckpointHook',
    'TrainingPiecesHook',
    'ValidationSheetHook',
    'load_checkpoint_file',
]
