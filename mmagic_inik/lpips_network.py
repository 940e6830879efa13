"""The LPIPS network of the ``lpips`` package, its backbone loaded from a known place.

Left alone, ``lpips`` downloads its backbone while it is constructed. Here the network
is built when first needed, from a local file or from torchvision's hub cache.
"""

import functools
import warnings
from pathlib import Path

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

    path = weights or _cached(net)
    state = _read(path)
    with warnings.catch_warnings():
        # lpips still passes torchvision's deprecated `pretrained`.
        warnings.simplefilter('ignore')
        network = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    # lpips cuts torchvision's `features.N` into `sliceK.N`.
    names = {name: _tv_name(name) for name in network.net.state_dict()}
    unfit = sorted(
        names[ours]
        for ours, tensor in network.net.state_dict().items()
        if getattr(state.get(names[ours]), 'shape', None) != tensor.shape
    )
    if unfit:
        raise InputError(
            f'{path} holds no {net} backbone for LPIPS: {", ".join(unfit)} missing or '
            f'of another shape; give the torchvision file {_url(net)}'
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


def _read(path: str | Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # pickle, zip and torch raise all kinds
        raise InputError(
            f'{path} cannot be read as weights for LPIPS '
            f'({type(error).__name__}); give a torchvision checkpoint, or remove it '
            "from torchvision's hub cache"
        ) from error
    if not isinstance(state, dict):
        raise InputError(
            f'{path} holds a {type(state).__name__}, not weights for LPIPS; give a '
            'torchvision checkpoint'
        )
    return state


def _cached(net: str) -> Path:
    """The backbone's file in torchvision's hub cache, downloaded there if absent."""
    url = _url(net)
    cached = Path(torch.hub.get_dir()) / 'checkpoints' / Path(url).name
    if not cached.exists():
        try:
            cached.parent.mkdir(parents=True, exist_ok=True)
            # The first digits of the hash stand in the name.
            torch.hub.download_url_to_file(
                url, str(cached), cached.stem.rsplit('-', 1)[1], progress=False
            )
        # RuntimeError: the hash of what came is another.
        except (OSError, RuntimeError) as error:
            raise InputError(
                f'LPIPS needs {url}, which is not at {cached} and cannot be downloaded '
                f'({error}); put it there, or name a copy with `weights=PATH` of the '
                f'LPIPS loss and `lpips_weights.{net}=PATH` of the metric, or take '
                'these out (`--cfg-options model.loss.losses.lpips=None` for the loss)'
            ) from error
    return cached


def _extend(image: Tensor, side: int) -> Tensor:
    bottom, right = (max(0, side - s) for s in image.shape[-2:])
    return F.pad(image, (0, right, 0, bottom), 'replicate')
