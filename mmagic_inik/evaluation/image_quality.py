"""MMagic metric that computes all scores of a test set by one stated protocol."""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from mmagic.evaluation.metrics.base_sample_wise_metric import BaseSampleWiseMetric
from mmagic.registry import METRICS
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..errors import InputError
from ..lpips_network import MIN_SIDES, load_lpips
from . import metrics
from .protocol import NAMED, Protocol

# With what the line below a result says of each.
DEFINITIONS = {
    'PSNR': 'PSNR in dB over all pixels and channels',
    'PSNR_matched': 'PSNR_matched after least-squares scale and offset per channel',
    'SSIM_7x7': 'SSIM_7x7 uniform window, per channel, sample covariance',
    'SSIM_11x11': 'SSIM_11x11 Gaussian window, per channel, population covariance',
    'MAE': 'MAE in [0, 1]',
    **{f'LPIPS_{net}': f'LPIPS_{net} v0.1 on [-1, 1]' for net in MIN_SIDES},
    'NIQE': 'NIQE of the grey prediction',
}
_DECIMALS = {'PSNR': 3, 'PSNR_matched': 3, 'NIQE': 3}
_OF_PAIRS = {
    'PSNR': metrics.psnr,
    'PSNR_matched': metrics.psnr_matched,
    'SSIM_7x7': metrics.ssim_7x7,
    'SSIM_11x11': metrics.ssim_11x11,
    'MAE': metrics.mae,
}


@METRICS.register_module()
class ImageQuality(BaseSampleWiseMetric):
    """Scores of restored images, means over images, with the protocol in the log.

    After an evaluation one line is logged like ``PSNR 24.824, SSIM_7x7 0.7410
    (60 images; RGB, whole images, target as stored, predictions clipped, not rounded;
    ...)``.

    Args:
        scores (Sequence[str] | str): Of ``'PSNR'``, ``'PSNR_matched'``,
            ``'SSIM_7x7'``, ``'SSIM_11x11'``, ``'MAE'``, ``'LPIPS_alex'``,
            ``'LPIPS_squeeze'``, ``'LPIPS_vgg'`` and ``'NIQE'``, which alone needs no
            ground truth.
            Default: None, the protocol's, or ('PSNR', 'SSIM_7x7').
        crop_to_multiple (int, optional): As in :class:`Protocol`. Default: None.
        bit_depth (int, optional): As in :class:`Protocol`. Default: None.
        clip (bool): As in :class:`Protocol`. MMagic's models clip by themselves;
            ``False`` needs a ``MultiScaleRestorer(test_cfg=dict(clip=False))``.
            Default: True.
        round (bool): As in :class:`Protocol`. Default: False.
        channel_order (str): As in :class:`Protocol`. The released evaluation of INIKNet
            fed BGR to LPIPS. Default: 'RGB'.
        protocol (str, optional): ``'inik2023'``, the released evaluation of INIKNet, in
            place of the five options before; of PSNR, SSIM_7x7 and LPIPS_alex, which
            are its default. Photos must be cropped before the network, which must not
            clip: ``configs/iniknet_dpdd_inik2023.py`` does so. Default: None.
        lpips_weights (dict, optional): Per net (``alex``, ``squeeze``, ``vgg``) a file
            with its torchvision weights. Default: None, torchvision's hub cache.
        device (str, optional): Where LPIPS is computed. Default: None, a GPU if there
            is one.
        collect_device (str): Where ranks collect results. Default: 'cpu'.
        prefix (str, optional): Of the scores' names. Default: None.
        gt_key (str): Key of the ground truth. Default: 'gt_img'.
        pred_key (str): Key of the prediction. Default: 'pred_img'.

    Raises:
        InputError: If an option is wrong.
    """

    # MMagic's base class asks for one.
    metric = 'ImageQuality'

    def __init__(
        self,
        scores: Sequence[str] | str | None = None,
        crop_to_multiple: int | None = None,
        bit_depth: int | None = None,
        clip: bool = True,
        round: bool = False,
        channel_order: str = 'RGB',
        lpips_weights: dict[str, str] | None = None,
        device: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        gt_key: str = 'gt_img',
        pred_key: str = 'pred_img',
        protocol: str | None = None,
    ) -> None:
        self.protocol = Protocol(
            crop_to_multiple, bit_depth, clip, round, channel_order
        )
        defined: tuple[str, ...] = ('PSNR', 'SSIM_7x7')
        if protocol is not None:
            self.protocol, defined = _named(protocol, self.protocol)
        scores = defined if scores is None else scores
        # Named so because MMagic's loops take a dict with a key `metrics` for an
        # evaluator. The command line makes a string of a list of one.
        self.scores = (scores,) if isinstance(scores, str) else tuple(scores)
        self.lpips_weights = dict(lpips_weights or {})
        self._check_scores()
        others = [name for name in self.scores if name not in defined]
        if protocol is not None and others:
            raise InputError(
                f'{protocol} does not define {", ".join(others)}; it has '
                f'{", ".join(defined)}'
            )
        super().__init__(
            gt_key,
            pred_key,
            device=device or ('cuda' if torch.cuda.is_available() else 'cpu'),
            collect_device=collect_device,
            prefix=prefix,
        )

    @property
    def paired(self) -> bool:
        """Whether any of the scores compares with a sharp image."""
        return self.scores != ('NIQE',)

    def protocol_line(self, num_images: int) -> str:
        """What was done to the images, and how each score is defined.

        Args:
            num_images (int): How many were scored.

        Returns:
            str: One line, its parts divided by semicolons.
        """
        count = f'{num_images} image' + ('' if num_images == 1 else 's')
        definitions = (DEFINITIONS[name] for name in self.scores)
        return '; '.join([count, self.protocol.describe(self.paired), *definitions])

    def prepare(self, module: nn.Module, dataloader: DataLoader) -> None:
        """Find out before the first image what would fail at it.

        Args:
            module (nn.Module): The model to evaluate.
            dataloader (DataLoader): Of the test set.

        Raises:
            InputError: If the model clips against ``clip=False`` or LPIPS's weights
                cannot be had.
        """
        super().prepare(module, dataloader)
        model = module.module if is_model_wrapper(module) else module
        clipped = all(map(self.protocol.clips, self.scores))
        if not clipped and getattr(model, 'clips_predictions', True):
            raise InputError(
                f'clip=False needs unclipped predictions, but {type(model).__name__} '
                'clips them; use MultiScaleRestorer with test_cfg=dict(clip=False), '
                'or leave clip at True'
            )
        # A tensor's device has an index, which 'cuda' lacks.
        device = torch.empty(0, device=self.device).device
        for net in self._nets():
            load_lpips(net, self.lpips_weights.get(net), device)

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Score the images of a batch: one dict of scores per image in ``results``.

        Args:
            data_batch (object): Not used.
            data_samples (Sequence[dict]): Each with ``output[pred_key]`` and, unless
                NIQE is alone, ``gt_key``: (C, H, W), BGR or grey, in [0, 255].

        Raises:
            InputError: Names the image that lacks ground truth, has one of another
                size or is too small.
        """
        for sample in data_samples:
            try:
                self.results.append(self._scores_of(sample))
            except InputError as error:
                name = sample.get('img_path', 'an image')
                raise InputError(f'{name} cannot be scored: {error}') from error

    def compute_metrics(self, results: Sequence[dict]) -> dict[str, float]:
        """Means over images; the protocol is logged with them.

        Images whose score is infinite or not a number are named and left out.

        Args:
            results (Sequence[dict]): Scores of every image of all ranks, and its name
                as ``image``.

        Returns:
            dict[str, float]: By score.
        """
        means = {}
        for name in self.scores:
            values = {n: result[name] for n, result in enumerate(results)}
            means[name], odd = finite_mean(values)
            if odd:
                named = ', '.join(f'{results[n]["image"]} ({values[n]})' for n in odd)
                print_log(
                    f'{name} is a mean without {len(odd)} of {len(results)} images '
                    f'that have none: {named}',
                    'current',
                    logging.WARNING,
                )
        prefix = f'{self.prefix}: ' if self.prefix else ''
        shown = ', '.join(f'{k} {format_score(k, v)}' for k, v in means.items())
        print_log(f'{prefix}{shown} ({self.protocol_line(len(results))})', 'current')
        return means

    def _scores_of(self, sample: dict) -> dict[str, float]:
        pred = gt = _as_rgb(sample['output'][self.pred_key])
        if self.paired:
            if self.gt_key not in sample:
                raise InputError(
                    'it has no ground truth; ask for NIQE alone, or give a data set of '
                    'pairs'
                )
            gt = _as_rgb(sample[self.gt_key])
        if gt.shape != pred.shape:
            raise InputError(
                f'the prediction has the shape {pred.shape}, the ground truth '
                f'{gt.shape}; give images of one size and number of channels'
            )
        gt, clips = self.protocol.target(gt), self.protocol.clips
        views = {
            clip: self.protocol.prediction(pred, clip)
            for clip in set(map(clips, self.scores))
        }
        scores = {n: self._score(n, gt, views[clips(n)]) for n in self.scores}
        return {'image': sample.get('img_path', 'an image'), **scores}

    def _score(self, name: str, gt: np.ndarray, pred: np.ndarray) -> float:
        if name == 'NIQE':
            return metrics.niqe(pred)
        if name in _OF_PAIRS:
            return _OF_PAIRS[name](gt, pred)
        net = name.removeprefix('LPIPS_')
        return metrics.lpips(gt, pred, net, self.lpips_weights.get(net), self.device)

    def _nets(self) -> list[str]:
        return [net for net in MIN_SIDES if f'LPIPS_{net}' in self.scores]

    def _check_scores(self) -> None:
        unknown = [name for name in self.scores if name not in DEFINITIONS]
        if unknown or not self.scores:
            raise InputError(
                f'scores must be of {", ".join(DEFINITIONS)}, got '
                f'{", ".join(unknown) or "none"}'
            )
        if len(set(self.scores)) < len(self.scores):
            raise InputError(f'scores names one twice: {", ".join(self.scores)}')
        unused = [net for net in self.lpips_weights if net not in self._nets()]
        if unused:
            raise InputError(
                f'lpips_weights are given for {", ".join(unused)}, but the scores '
                f'({", ".join(self.scores)}) do not use it; add '
                f'LPIPS_{unused[0]} or take its weights out'
            )


def format_score(name: str, value: float) -> str:
    """A score with as many decimals as papers give, or one more.

    Args:
        name (str): As in :data:`DEFINITIONS`.
        value (float): The score.

    Returns:
        str: Three decimals of PSNRs and NIQE, four of the rest.
    """
    return f'{value:.{_DECIMALS.get(name, 4)}f}'


def finite_mean(values: dict) -> tuple[float, list]:
    """Mean of the scores that are finite.

    One image that equals its target, or has no NIQE, would hide all others.

    Args:
        values (dict): Scores by image.

    Returns:
        tuple[float, list]: The mean, and the images left out. If all are, the mean of
        what they have.

    Example:
        >>> finite_mean({'a': 30.0, 'b': float('inf'), 'c': 20.0})
        (25.0, ['b'])
    """
    odd = [image for image, value in values.items() if not np.isfinite(value)]
    kept = [value for image, value in values.items() if image not in odd]
    return float(np.mean(kept or list(values.values()))), odd


def _named(name: str, options: Protocol) -> tuple[Protocol, tuple[str, ...]]:
    """A protocol by its name, and the scores that it defines."""
    if name not in NAMED:
        raise InputError(f'protocol must be {" or ".join(NAMED)} or None, got {name!r}')
    if options != Protocol():
        raise InputError(
            f'protocol={name} says all; leave out crop_to_multiple, bit_depth, clip, '
            'round and channel_order'
        )
    kind, scores = NAMED[name]
    return kind(), scores


def _as_rgb(image: Tensor) -> np.ndarray:
    """(C, H, W) in MMagic's BGR, or grey → (H, W, C) in RGB."""
    return np.moveaxis(image.cpu().numpy(), 0, 2)[..., ::-1]
