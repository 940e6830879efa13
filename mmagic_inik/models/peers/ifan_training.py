"""What trains IFAN's filters and disparity, beside the restored image."""

from typing import Any

import torch
import torch.nn.functional as F
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from torch import Tensor, nn

from ..padding import extend_sides
from ..restorer import MultiScaleRestorer
from .ifan import IFAN, IFANReblurNet
from .training import views_of

# Of filters and disparity, to the image.
_STRIDE = 8


@MODELS.register_module()
class IFANRestorer(MultiScaleRestorer):
    """Trains IFAN by what its filters tell of the blur, too.

    Beside what ``loss`` returns, means over batch, pixels and colours at 1/8 of the
    size:

    - ``loss_reblur``: ‖R(K, S) − C‖², R the reblurring network on the predicted filters
      K, S the sharp image by its nearest pixels and C the photo by its means;
    - ``loss_disparity``: ‖warp(r, d(r)) − l‖², l and r the means of left and right
      dual-pixel view, of which d, the disparity estimated from the right one, makes
      each other by a horizontal shift.

    The latter needs ``left`` and ``right``: ``DefocusPairDataset`` with ``views=True``,
    and both among the ``data_keys`` of ``PackInputs``. Without such data the authors
    leave it out.

    Args:
        generator (dict | nn.Module): ``IFAN``.
        reblur_weight (float): Factor. Default: 1.0.
        disparity_weight (float): Factor; 0: no views are needed. Default: 0.0.
        **kwargs: As of ``MultiScaleRestorer``.

    Raises:
        ValueError: If a factor is negative.
        InputError: In training, if the data has no views and needs them.
    """

    generator: IFAN

    def __init__(
        self,
        generator: dict | nn.Module,
        reblur_weight: float = 1.0,
        disparity_weight: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(generator, **kwargs)
        if min(reblur_weight, disparity_weight) < 0:
            raise ValueError(
                'reblur_weight and disparity_weight must not be negative, got '
                f'{reblur_weight} and {disparity_weight}'
            )
        self.reblur_weight = reblur_weight
        self.disparity_weight = disparity_weight
        self.reblurring = IFANReblurNet(
            form=self.generator.form, width=self.generator.width
        )

    def forward_train(
        self, inputs: Tensor, data_samples: DataSample, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Named losses of a batch.

        Args:
            inputs (Tensor): Blurred crops C, (B, 3, H, W) in [0, 1].
            data_samples (DataSample): With the sharp crops ``gt_img`` and, if their
                factor is not 0, ``left`` and ``right``.
            **kwargs: Passed to the generator.

        Returns:
            dict[str, Tensor]: See above.
        """
        sharp = data_samples.gt_img
        restored, filters = self.generator.forward_filters(inputs, **kwargs)
        losses = self.loss([restored], sharp)
        nearest = extend_sides(sharp, _STRIDE)[..., ::_STRIDE, ::_STRIDE]
        blurred = F.mse_loss(self.reblurring(filters, nearest), _reduced(inputs))
        losses['loss_reblur'] = self.reblur_weight * blurred
        if self.disparity_weight:
            left, right = views_of(data_samples, self.data_preprocessor)
            d = self.generator.disparity(extend_sides(right, _STRIDE))
            moved = shifted(_reduced(right), d)
            losses['loss_disparity'] = self.disparity_weight * F.mse_loss(
                moved, _reduced(left)
            )
        return losses


def shifted(image: Tensor, d: Tensor) -> Tensor:
    """An image read at x + d, bilinearly, zero beyond its sides.

    Args:
        image (Tensor): (B, C, H, W).
        d (Tensor): Pixels to the right, (B, 1, H, W).

    Returns:
        Tensor: Shape of ``image``.
    """
    height, width = image.shape[-2:]
    rows, columns = (
        torch.linspace(-1, 1, n, device=image.device, dtype=image.dtype)
        for n in (height, width)
    )
    x = columns + 2 * d[:, 0].to(image) / max(width - 1, 1)
    y = rows[:, None].expand_as(x)
    return F.grid_sample(image, torch.stack([x, y], -1), align_corners=True)


def _reduced(image: Tensor) -> Tensor:
    return F.avg_pool2d(extend_sides(image, _STRIDE), _STRIDE)
