"""Metrics that MMagic lacks."""

import numpy as np
import torch
from mmagic.evaluation.metrics.base_sample_wise_metric import BaseSampleWiseMetric
from mmagic.registry import METRICS
from skimage.metrics import structural_similarity
from torch import Tensor

from ..lpips_network import MIN_SIDES, load_lpips, lpips_distance


@METRICS.register_module()
class UniformSSIM(BaseSampleWiseMetric):
    """SSIM with scikit-image's 7×7 uniform window, as every defocus paper reports it.

    MMagic's own ``SSIM`` weights an 11×11 window by a Gaussian and gives other figures.
    Mean over colour channels, sample covariance, data range 255. An image with a side
    below seven pixels is extended to seven by replication.

    Args:
        gt_key (str): Key of the ground truth. Default: 'gt_img'.
        pred_key (str): Key of the prediction. Default: 'pred_img'.
        collect_device (str): Where ranks collect results. Default: 'cpu'.
        prefix (str, optional): Of the metric's name. Default: None.
    """

    metric = 'SSIM_7x7'

    def __init__(
        self,
        gt_key: str = 'gt_img',
        pred_key: str = 'pred_img',
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(gt_key, pred_key, collect_device=collect_device, prefix=prefix)

    def process_image(self, gt: Tensor, pred: Tensor, mask: Tensor) -> float:
        """SSIM of two images (C, H, W) in [0, 255]; ``mask`` is not used."""
        gt, pred = (np.asarray(image.cpu(), np.float64) for image in (gt, pred))
        missing = [(0, max(0, 7 - side)) for side in gt.shape[1:]]
        gt, pred = (
            np.pad(image, [(0, 0), *missing], mode='edge') for image in (gt, pred)
        )
        return structural_similarity(
            gt, pred, win_size=7, channel_axis=0, data_range=255
        )


@METRICS.register_module()
class LPIPS(BaseSampleWiseMetric):
    """LPIPS v0.1 on RGB in [−1, 1], clipped as MMagic clips every prediction.

    Args:
        net (str): ``'alex'`` (papers), ``'squeeze'`` or ``'vgg'``. Default: 'alex'.
        weights (str, optional): File with the backbone's torchvision weights.
            Default: None, torchvision's hub cache.
        gt_key (str): Key of the ground truth. Default: 'gt_img'.
        pred_key (str): Key of the prediction. Default: 'pred_img'.
        device (str, optional): Where to compute. Default: None, a GPU if there is one.
        collect_device (str): Where ranks collect results. Default: 'cpu'.
        prefix (str, optional): Of the metric's name. Default: None.

    Raises:
        ValueError: If ``net`` is unknown.
        InputError: Before the first image, if the backbone's weights cannot be had.
    """

    metric = 'LPIPS'

    def __init__(
        self,
        net: str = 'alex',
        weights: str | None = None,
        gt_key: str = 'gt_img',
        pred_key: str = 'pred_img',
        device: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        if net not in MIN_SIDES:
            raise ValueError(f'net must be in {tuple(MIN_SIDES)}, got {net!r}')
        device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
        super().__init__(
            gt_key,
            pred_key,
            device=device,
            collect_device=collect_device,
            prefix=prefix,
        )
        self.net = net
        self.weights = weights

    def prepare(self, module, dataloader) -> None:
        """Load the network before the first image, so that trouble shows early."""
        super().prepare(module, dataloader)
        # A tensor's device has an index, which 'cuda' lacks.
        device = torch.empty(0, device=self.device).device
        load_lpips(self.net, self.weights, device)

    @torch.no_grad()
    def process_image(self, gt: Tensor, pred: Tensor, mask: Tensor) -> float:
        """LPIPS of two images (3 or 1, H, W) in [0, 255], BGR; ``mask`` is not used."""
        rgb = [image.flip(0).expand(1, 3, -1, -1) / 255 for image in (gt, pred)]
        return lpips_distance(*rgb, self.net, self.weights).item()
