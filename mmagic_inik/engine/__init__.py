"""What keeps MMagic's runs safe and resumable."""

from .checkpoints import StrictCheckpointHook, load_checkpoint_file
from .loops import FastResumeTrainLoop

__all__ = ['FastResumeTrainLoop', 'StrictCheckpointHook', 'load_checkpoint_file']
