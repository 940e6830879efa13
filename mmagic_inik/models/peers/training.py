"""What trains a peer by more than its restored images."""

from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from torch import Tensor, nn

from ...errors import InputError
from ..restorer import MultiScaleRestorer
from .mdp import MDP, VIEWS
from .nrknet import NRKNet

if TYPE_CHECKING:
    from mmagic.models.data_preprocessors import DataPreprocessor


def views_of(
    data_samples: DataSample, preprocessor: 'DataPreprocessor'
) -> list[Tensor]:
    """Left and right view of a batch, scaled as the preprocessor scales photos.

    Args:
        data_samples (DataSample): With ``left`` and ``right``, RGB as pairs are loaded.
        preprocessor (DataPreprocessor): MMagic's.

    Returns:
        list[Tensor]: (B, 3, H, W) each.

    Raises:
        InputError: If a view is missing.
    """
    absent = [view for view in VIEWS if view not in data_samples]
    if absent:
        raise InputError(
            f'the training data has no {" and no ".join(absent)} view; give '
            'DefocusPairDataset views=True and data of dual pixels'
        )
    order = preprocessor.output_channel_order
    views = []
    for name in VIEWS:
        view = getattr(data_samples, name).float()
        view, _ = preprocessor._do_conversion(view, 'RGB', order)
        views.append(preprocessor._do_norm(view))
    return views


@MODELS.register_module()
class DualPixelRestorer(MultiScaleRestorer):
    """Trains a network that predicts the two dual-pixel views of a photo, too.

    With l, r, s the left and right view and the sharp image, c the blurred photo and
    stars on targets, MDP's losses, all means over batch, pixels and colours:

    - ``loss_sharp``: ‖s − s*‖²;
    - ``loss_views``: ‖[l, r] − [l*, r*]‖²;
    - ``loss_mean``: ‖c − (l + r) / 2‖², as the views' mean is the photo;
    - ``loss_disparity``: ‖(l − r) − (l* − r*)‖².

    The data must have ``left`` and ``right``: ``DefocusPairDataset`` with
    ``views=True``, and both among the ``data_keys`` of ``PackInputs``. They are scaled
    here, for validation has none.

    Args:
        generator (dict | nn.Module): With ``forward_views``, as ``MDP``.
        loss_weights (dict[str, float]): Of the four, by ``sharp``, ``views``, ``mean``
            and ``disparity``.
        blurred_as_sharp (bool): Whether s* is the photo itself, as in the release's
            first phase, which learns the views with a sharp decoder that is frozen.
            Default: False.
        **kwargs: As of ``MultiScaleRestorer``, except ``loss``.

    Raises:
        ValueError: If ``loss_weights`` does not name the four.
        InputError: In training, if the data has no views.
    """

    generator: MDP

    NAMES = ('sharp', 'views', 'mean', 'disparity')

    def __init__(
        self,
        generator: dict | nn.Module,
        loss_weights: dict[str, float],
        blurred_as_sharp: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(generator, loss=nn.Identity(), **kwargs)
        if set(loss_weights) != set(self.NAMES):
            raise ValueError(
                f'loss_weights must name {self.NAMES}, got {tuple(loss_weights)}'
            )
        self.loss_weights = dict(loss_weights)
        self.blurred_as_sharp = blurred_as_sharp

    def forward_train(
        self, inputs: Tensor, data_samples: DataSample, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Named losses of a batch.

        Args:
            inputs (Tensor): Blurred crops c, (B, 3, H, W) in [0, 1].
            data_samples (DataSample): With ``gt_img``, ``left`` and ``right``.
            **kwargs: Passed to the generator.

        Returns:
            dict[str, Tensor]: See above.
        """
        left_target, right_target = views_of(data_samples, self.data_preprocessor)
        views = self.generator.forward_views(inputs, **kwargs)
        left, right = (views[view] for view in VIEWS)
        sharp_target = inputs if self.blurred_as_sharp else data_samples.gt_img
        losses = dict(
            sharp=F.mse_loss(views['sharp'], sharp_target),
            views=(F.mse_loss(left, left_target) + F.mse_loss(right, right_target)) / 2,
            mean=F.mse_loss((left + right) / 2, inputs),
            disparity=F.mse_loss(left - right, left_target - right_target),
        )
        return {
            f'loss_{name}': self.loss_weights[name] * loss
            for name, loss in losses.items()
        }


@MODELS.register_module()
class ReblurringRestorer(MultiScaleRestorer):
    """Trains NRKNet by what its blur makes of the sharp image, too.

    Σ_s w_s ‖A(x_s) − y_s‖² over the scales 1, 1/2 and 1/4, x the sharp image reduced by
    the nearest neighbour and y the blurred one reduced bilinearly. The released scripts
    compute it and do not add it; the paper proposes it.

    Args:
        reblur_weight (float): Factor; 0 is what the released scripts do.
        scale_weights (tuple[float, float, float]): w, finest first.
            Default: (3/4, 1/2, 1/4), as released.
        **kwargs: As of ``MultiScaleRestorer``.

    Raises:
        ValueError: If ``reblur_weight`` is negative.
    """

    generator: NRKNet

    def __init__(
        self,
        reblur_weight: float,
        scale_weights: tuple[float, float, float] = (0.75, 0.5, 0.25),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if reblur_weight < 0:
            raise ValueError(f'reblur_weight must not be negative, got {reblur_weight}')
        self.reblur_weight = reblur_weight
        self.scale_weights = scale_weights

    def forward_train(
        self, inputs: Tensor, data_samples: DataSample, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Named losses of a batch.

        Args:
            inputs (Tensor): Blurred crops, (B, 3, H, W) in [0, 1].
            data_samples (DataSample): With the sharp crops ``gt_img``.
            **kwargs: Passed to the generator.

        Returns:
            dict[str, Tensor]: What ``loss`` returns, and ``loss_reblur``.
        """
        if not self.reblur_weight:
            return super().forward_train(inputs, data_samples, **kwargs)
        sharp = data_samples.gt_img
        predictions, reblurred = self.generator.forward_reblurred(
            inputs, sharp, **kwargs
        )
        losses = self.loss(predictions, sharp)
        distance = sum(
            weight * F.mse_loss(blurred, _reduced(inputs, blurred))
            for weight, blurred in zip(self.scale_weights, reblurred, strict=True)
        )
        return losses | {'loss_reblur': self.reblur_weight * distance}


def _reduced(image: Tensor, like: Tensor) -> Tensor:
    if image.shape == like.shape:
        return image
    return F.interpolate(image, like.shape[-2:], mode='bilinear', align_corners=False)
