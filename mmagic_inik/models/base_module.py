"""The base of all parts."""

from copy import deepcopy

from torch import nn


class BaseModule(nn.Module):
    """A part that can be initialised by a config.

    MMEngine's ``BaseModule`` in its use: a training calls :meth:`init_weights`, which
    is MMEngine's own. Until then nothing of MMEngine is imported, so that restoring
    does without it.

    Args:
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.
    """

    def __init__(self, init_cfg: dict | None = None) -> None:
        super().__init__()
        self.is_init = self._is_init = False
        self.init_cfg = deepcopy(init_cfg)

    def init_weights(self) -> None:
        """Initialise this part and those in it as their ``init_cfg`` say."""
        from mmengine.model import BaseModule as OfMMEngine

        OfMMEngine.init_weights(self)
        self.is_init = True

    def _dump_init_info(self) -> None:
        from mmengine.model import BaseModule as OfMMEngine

        OfMMEngine._dump_init_info(self)
