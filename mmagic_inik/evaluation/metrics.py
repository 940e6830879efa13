"""Scores of one image: arrays in, a float out.

Images are (H, W, C) with values in [0, 255], where a prediction may exceed the range;
C is 3, RGB, or 1. Sums are in float64. What is cropped, clipped or rounded beforehand
is :class:`~mmagic_inik.evaluation.protocol.Protocol`'s business.
"""

import warnings

import numpy as np
import torch
from mmagic.evaluation.metrics.niqe import niqe as mmagic_niqe
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ..errors import InputError
from ..lpips_network import lpips_distance
from .protocol import MAX_VALUE

NIQE_BLOCK = 96


def psnr(gt: np.ndarray, pred: np.ndarray) -> float:
    """Peak signal-to-noise ratio over all pixels and channels.

    Args:
        gt (np.ndarray): Sharp image, (H, W, C).
        pred (np.ndarray): Restored image, same shape.

    Returns:
        float: dB; infinite for equal images.
    """
    with np.errstate(divide='ignore'):
        return float(peak_signal_noise_ratio(*_doubles(gt, pred), data_range=MAX_VALUE))


def psnr_matched(gt: np.ndarray, pred: np.ndarray) -> float:
    """PSNR after brightness and colour have been matched.

    Each channel of the prediction becomes a·x + b, clipped to [0, 255], by the a and b
    of least square distance from the sharp image: two exposures of one scene seldom are
    equally bright, and that is not blur. (A flat channel becomes the sharp one's mean.)

    Args:
        gt (np.ndarray): Sharp image, (H, W, C).
        pred (np.ndarray): Restored image, same shape.

    Returns:
        float: dB; infinite for images that differ in brightness alone.
    """
    gt, pred = _doubles(gt, pred)
    matched = []
    for sharp, image in zip(
        np.moveaxis(gt, 2, 0), np.moveaxis(pred, 2, 0), strict=True
    ):
        centred = image - image.mean()
        square = (centred**2).sum()
        # Centred as well: the mean of a flat channel may be off by rounding.
        covariance = (centred * (sharp - sharp.mean())).sum()
        scale = covariance / square if square else 0.0
        matched.append(scale * centred + sharp.mean())
    return psnr(gt, np.stack(matched, 2).clip(0, MAX_VALUE))


def mae(gt: np.ndarray, pred: np.ndarray) -> float:
    """Mean absolute error, as defocus papers and MMagic scale it.

    Args:
        gt (np.ndarray): Sharp image, (H, W, C).
        pred (np.ndarray): Restored image, same shape.

    Returns:
        float: In [0, 1].
    """
    gt, pred = _doubles(gt, pred)
    return float(np.abs(gt - pred).mean() / MAX_VALUE)


def ssim_7x7(gt: np.ndarray, pred: np.ndarray) -> float:
    """SSIM with scikit-image's 7×7 uniform window, as every defocus paper reports it.

    Mean over channels, sample covariance. An image with a side below seven pixels is
    extended to seven by replication.

    Args:
        gt (np.ndarray): Sharp image, (H, W, C).
        pred (np.ndarray): Restored image, same shape.

    Returns:
        float: 1 for equal images.
    """
    return _ssim(gt, pred, 7)


def ssim_11x11(gt: np.ndarray, pred: np.ndarray) -> float:
    """SSIM as Wang et al. (2004) define it: 11×11 Gaussian window, σ = 1.5.

    Population covariance, mean over channels and over windows that lie within the
    image: scikit-image's ``gaussian_weights``. MMagic's ``SSIM`` is the same to
    rounding. An image with a side below eleven pixels is extended to eleven by
    replication.

    Args:
        gt (np.ndarray): Sharp image, (H, W, C).
        pred (np.ndarray): Restored image, same shape.

    Returns:
        float: 1 for equal images.
    """
    return _ssim(
        gt, pred, 11, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )


@torch.no_grad()
def lpips(
    gt: np.ndarray,
    pred: np.ndarray,
    net: str = 'alex',
    weights: str | None = None,
    device: str = 'cpu',
) -> float:
    """LPIPS v0.1 on values in [−1, 1].

    Args:
        gt (np.ndarray): Sharp image, (H, W, 3), or (H, W, 1) for grey RGB.
        pred (np.ndarray): Restored image, same shape.
        net (str): ``'alex'`` (papers), ``'squeeze'`` or ``'vgg'``. Default: 'alex'.
        weights (str, optional): File with the backbone's torchvision weights.
            Default: None, torchvision's hub cache.
        device (str): Where to compute. Default: 'cpu'.

    Returns:
        float: 0 for equal images.

    Raises:
        InputError: If the backbone's weights cannot be had.
    """
    first, second = (
        torch.from_numpy(np.moveaxis(image, 2, 0) / MAX_VALUE)
        .to(device, torch.float32)
        .expand(1, 3, -1, -1)
        for image in (gt, pred)
    )
    return lpips_distance(first, second, net, weights).item()


def niqe(image: np.ndarray) -> float:
    """NIQE (Mittal et al., 2013) by MMagic, of the grey image; smaller is better.

    Blocks of 96×96 without overlap, the published parameters, values rounded.

    Args:
        image (np.ndarray): (H, W, 3) or (H, W, 1).

    Returns:
        float: Not a number where fewer than two blocks have texture.

    Raises:
        InputError: If the image holds fewer than the two blocks that a covariance
            needs.
    """
    height, width = image.shape[:2]
    if (height // NIQE_BLOCK) * (width // NIQE_BLOCK) < 2:
        raise InputError(
            f'NIQE needs images of two blocks of {NIQE_BLOCK}x{NIQE_BLOCK} pixels at '
            f'least, got {width}x{height}; leave out NIQE or the image'
        )
    # MMagic's function takes OpenCV's order; the authors' code measures rgb2gray.
    grey = image.shape[2] == 1
    try:
        with np.errstate(all='ignore'), warnings.catch_warnings():
            warnings.simplefilter('ignore', RuntimeWarning)
            value = mmagic_niqe(
                image[..., 0] if grey else np.ascontiguousarray(image[..., ::-1]),
                crop_border=0,
                input_order='HW' if grey else 'HWC',
                convert_to='gray',
            )
    except np.linalg.LinAlgError:
        # Flat blocks have no statistics.
        return np.nan
    return float(value)


def _doubles(*images: np.ndarray) -> list[np.ndarray]:
    return [np.asarray(image, np.float64) for image in images]


def _ssim(gt: np.ndarray, pred: np.ndarray, window: int, **options: object) -> float:
    missing = [(0, max(0, window - side)) for side in gt.shape[:2]]
    gt, pred = (
        np.pad(image, [*missing, (0, 0)], mode='edge') for image in _doubles(gt, pred)
    )
    return float(
        structural_similarity(
            gt, pred, win_size=window, channel_axis=2, data_range=MAX_VALUE, **options
        )
    )
