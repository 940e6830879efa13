"""The LPIPS network of the ``lpips`` package, its backbone loaded from a known place.

Left alone, ``lpips`` downloads its backbone while it is constructed. Here the network
is built when first needed, from a local file or from torchvision's hub cache.
"""

import functools
import warnings
from pathlib import Path
from urllib.error import URLError

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .errors import InputError

# Least side that passes each backbone's strides and poolings.
MIN_SIDES = {'alex': 31, 'squeeze': 17, 'vgg': 16}


def lpips_distance(
    a: Tensor, b: Tensor, net: str = 'alex', weights: str | None = None
) -> Tensor:
    """LPIPS v0.1 between images, computed in float32.

    Images smaller than the backbone's least side (31 pixels for AlexNet) are extended
    to it by replication at bottom and right.

    Args:
        a (Tensor): (B, 3, H, W), RGB in [0, 1].
        b (Tensor): Same shape.
        net (str): ``'alex'``, ``'squeeze'`` or ``'vgg'``.
        weights (str, optional): As in :func:`load_lpips`.

    Returns:
        Tensor: (B,), 0 for equal images.
    """
    network = load_lpips(net, weights, a.device)
    with torch.autocast(a.device.type, enabled=False):
        a, b = (_extend(x.float(), MIN_SIDES[net]) * 2 - 1 for x in (a, b))
        return network(a, b).flatten()


@functools.cache
def load_lpips(net: str, weights: str | None, device: torch.device) -> nn.Module:
    """Build the frozen LPIPS network once per backbone, file and device.

    Args:
        net (str): ``'alex'``, ``'squeeze'`` or ``'vgg'``.
        weights (str, optional): A torchvision checkpoint of the backbone, whole or its
            ``features.*`` alone. Default: None, taken from torchvision's hub cache and
            downloaded there if absent.
        device (torch.device): Where to put it.

    Returns:
        nn.Module: In eval mode, without gradients to its weights.

    Raises:
        InputError: If the backbone cannot be had or the file is not of it.
    """
    import lpips

    state = _read(weights) if weights else _from_hub(net)
    with warnings.catch_warnings():
        # lpips still passes torchvision's deprecated `pretrained`.
        warnings.simplefilter('ignore')
        network = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    # lpips cuts torchvision's `features.N` into `sliceK.N`.
    names = {name: _tv_name(name) for name in network.net.state_dict()}
    absent = sorted(set(names.values()) - state.keys())
    if absent:
        raise InputError(
            f'{weights or "the hub cache"} holds no {net} backbone for LPIPS: '
            f'{", ".join(absent)} missing; give the torchvision file {_url(net)}'
        )
    network.net.load_state_dict({ours: state[tv] for ours, tv in names.items()})
    return network.requires_grad_(False).eval().to(device)


def _tv_name(name: str) -> str:
    return 'features.' + name.split('.', 1)[1]


def _url(net: str) -> str:
    from torchvision import models

    return {
        'alex': models.AlexNet_Weights,
        'squeeze': models.SqueezeNet1_1_Weights,
        'vgg': models.VGG16_Weights,
    }[net].IMAGENET1K_V1.url


def _read(path: str) -> dict[str, Tensor]:
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        raise InputError(
            f'{path} cannot be read as weights for LPIPS '
            f'({type(error).__name__}); give a torchvision checkpoint'
        ) from error


def _from_hub(net: str) -> dict[str, Tensor]:
    url = _url(net)
    try:
        return torch.hub.load_state_dict_from_url(
            url, map_location='cpu', progress=False, check_hash=True, weights_only=True
        )
    except (URLError, OSError) as error:
        cached = Path(torch.hub.get_dir()) / 'checkpoints' / Path(url).name
        raise InputError(
            f'LPIPS needs {url}, which is not at {cached} and cannot be downloaded '
            f'({error}); put it there, or name a copy with `weights=PATH` of the LPIPS '
            'loss and metric, or take these out (`--cfg-options '
            'model.loss.losses.lpips=None` for the loss)'
        ) from error


def _extend(image: Tensor, side: int) -> Tensor:
    bottom, right = (max(0, side - s) for s in image.shape[-2:])
    return F.pad(image, (0, right, 0, bottom), 'replicate')
