"""Training loop that resumes at once."""

import itertools
from typing import Any

from mmagic.registry import LOOPS
from mmengine.dataset import InfiniteSampler
from mmengine.runner import IterBasedTrainLoop


@LOOPS.register_module()
class FastResumeTrainLoop(IterBasedTrainLoop):
    """Iteration-based training that does not read again what it has trained on.

    mmengine's loop loads and discards every batch before the point of resumption: at
    iteration 3e5, 1.2 million photographs. Here the sampler is advanced instead, so
    that the same images follow in the same order; only the random numbers of crops and
    flips start anew.
    """

    # MMEngine's, which has no types.
    dataloader_iterator: Any

    def run(self) -> None:
        """Launch or resume training."""
        sampler = self.dataloader.sampler
        endless = getattr(type(sampler), '__iter__', None) is InfiniteSampler.__iter__
        if self._iter > 0 and endless:
            skipped = self._iter * self.dataloader.batch_size
            sampler.indices = itertools.islice(
                sampler._indices_of_rank(), skipped, None
            )
            # The loop to come discards as many batches as were trained on.
            self.dataloader_iterator = itertools.chain(
                itertools.repeat(None, self._iter),
                type(self.dataloader_iterator)(self.dataloader),
            )
        return super().run()
