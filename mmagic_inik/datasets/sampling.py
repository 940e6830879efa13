"""Which photos a batch is made of."""

from collections.abc import Iterator, Sized

from mmengine.dataset import InfiniteSampler
from mmengine.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class RepeatingSampler(InfiniteSampler):
    """Every item several times in a row: a batch of crops of one photo.

    Processes get photos of their own, each all of a photo's repetitions.

    Args:
        dataset (Sized): The data set.
        times (int): How often an item comes; the batch size, for batches of one photo.
        shuffle (bool): Whether the order is random, anew in every round.
            Default: True.
        seed (int, optional): Of the order; None draws one. Default: None.

    Raises:
        ValueError: If ``times`` is not positive.

    Example:
        >>> sampler = iter(RepeatingSampler(range(2), times=3, shuffle=False))
        >>> [next(sampler) for _ in range(7)]
        [0, 0, 0, 1, 1, 1, 0]
    """

    def __init__(
        self, dataset: Sized, times: int, shuffle: bool = True, seed: int | None = None
    ) -> None:
        if times < 1:
            raise ValueError(f'times must be positive, got {times}')
        self.times = times
        super().__init__(dataset, shuffle=shuffle, seed=seed)

    def _indices_of_rank(self) -> Iterator[int]:
        """Indices without end; ``__iter__`` gives them out."""
        for index in super()._indices_of_rank():
            yield from [index] * self.times
