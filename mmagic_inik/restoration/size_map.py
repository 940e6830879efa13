r"""Map of the expected kernel size, :math:`\sum_r \mu_r M_r`, of a whole photograph.

Symbols as in :mod:`mmagic_inik.ops.inverse_filter`. Made in the same pieces as the
restored photograph, and without filtering.
"""

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from ..models import INIKNet, InverseFilterHead, Restorer
from ..models.inverse_filter_head import enlarged_side
from ..options import DEFAULT_OVERLAP
from .restoring import WHITES, restore


def expected_sizes(
    image: np.ndarray,
    restorer: Restorer,
    tile: int | str | None = 'auto',
    overlap: int = DEFAULT_OVERLAP,
    dtype: str = 'auto',
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """How large the kernels are that a network restores each pixel with.

    Args:
        image (np.ndarray): As for :func:`~.restoring.restore`.
        restorer (Restorer): Whose generator has a head like INIKNet's, see
            :func:`~mmagic_inik.visualization.has_weight_maps`.
        tile (int | str, optional): As for ``restore``.
        overlap (int): Likewise.
        dtype (str): Likewise.
        progress (Callable, optional): Likewise.

    Returns:
        np.ndarray: (H, W) float32, in pixels, in steps of the largest size / 65535.

    Raises:
        ValueError: As ``restore``.
        InputError: Likewise.
    """
    if image.dtype == np.uint8:
        # The same numbers in [0, 1], for a finer result.
        image = image * np.uint16(257)
    sizes = SizeNetwork(cast(INIKNet, restorer.generator))
    mapping = Restorer(sizes, restorer.size_divisor, restorer.min_size).eval()
    shares = restore(image, mapping, tile, overlap, dtype, progress)
    shares = shares if shares.ndim == 2 else shares[..., 0]
    return shares * np.float32(sizes.largest / WHITES[shares.dtype.name])


class SizeNetwork(nn.Module):
    """A network's expected kernel sizes as an image, of which 1 is the largest size.

    Args:
        network (INIKNet): Or another with a head like ``InverseFilterHead``.
    """

    def __init__(self, network: INIKNet) -> None:
        super().__init__()
        self.network = network
        head = network.head
        self.sizes = [atom.shape[-1] for atom in head.atom_bank()]
        coarser = getattr(head, 'coarser', ())
        self.sizes += [enlarged_side(self.sizes[-1], factor) for factor in coarser]

    @property
    def largest(self) -> int:
        """The largest kernel size in pixels."""
        return max(self.sizes)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] → the same, all three channels alike."""

        def end_early(head: InverseFilterHead, inputs: tuple) -> None:
            # Others filter at coarser scales first.
            if inputs[0].shape[-2:] == image.shape[-2:]:
                mu, _ = head.predict_weights(inputs[1], inputs[2], inputs[0])
                raise _WeightsReachedError(mu)

        handle = self.network.head.register_forward_pre_hook(end_early)
        try:
            self.network(image)
        except _WeightsReachedError as reached:
            mu = reached.mu.float()
        else:
            raise RuntimeError('the network did not call its head on the whole image')
        finally:
            handle.remove()
        shares = torch.einsum('brhw,r->bhw', mu, mu.new_tensor(self.sizes))
        shares = shares[:, : image.shape[-2], : image.shape[-1]] / self.largest
        return shares[:, None].repeat(1, 3, 1, 1)


class _WeightsReachedError(Exception):
    """Carries the weights out of a network whose result is not wanted."""

    def __init__(self, mu: Tensor) -> None:
        super().__init__()
        self.mu = mu
