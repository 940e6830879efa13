"""What benchmarks/speed.py times: each job in its straightforward and its fast form.

The straightforward form filters all image scales where the finest is wanted, pads in a
pass of its own, holds all products of Eq. 9 and starts the ConvLSTM from zeros.
"""

from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
import torch
import torch.nn.functional as F
from mmagic.registry import MODELS
from overlap import load
from skimage.data import astronaut
from speed_cases import Case
from torch import Tensor

from mmagic_inik.benchmark.contenders import load_config
from mmagic_inik.ops import inverse_filter, use_references

# As released: R, N and the image's colours.
KERNEL_SIZES, ATOMS, COLOURS = range(1, 16, 2), 10, 3
# By how much random weights are made to change the image (rms), as trained ones do.
CHANGE = 0.05

Job = tuple[Callable[[Tensor], object], Tensor]


def photo(case: Case) -> Tensor:
    """A photo that comes with scikit-image, continued by mirroring.

    Args:
        case (Case): With the size.

    Returns:
        Tensor: (batch, 3, height, width) in [0, 1] on the case's device.
    """
    image = astronaut()
    missing = [(0, max(0, side - 512)) for side in (case.height, case.width)]
    image = np.pad(image, [*missing, (0, 0)], 'reflect')[: case.height, : case.width]
    tensor = torch.from_numpy(image / 255).float().permute(2, 0, 1).contiguous()
    return tensor.expand(case.batch, -1, -1, -1).contiguous().to(case.device)


def conditions(case: Case) -> ExitStack:
    """A context with the plain forms and autocast, as the case wants."""
    stack = ExitStack()
    if case.plain:
        stack.enter_context(use_references())
    if case.dtype != 'float32':
        dtype = getattr(torch, case.dtype)
        stack.enter_context(torch.autocast(case.device, dtype))
    return stack


def filtering(case: Case) -> Job:
    """The op on released sizes: forward, or forward and backward."""
    torch.manual_seed(0)
    backward = case.job == 'op forward and backward'
    size = case.batch, case.height, case.width
    batch, *sides = size
    mu = torch.randn(batch, len(KERNEL_SIZES), *sides).softmax(1)
    omega = torch.randn(batch, ATOMS, *sides)
    atoms = [torch.randn(ATOMS, m, m) / m for m in KERNEL_SIZES]
    mixing = torch.randn(COLOURS, len(KERNEL_SIZES), COLOURS, ATOMS) / 100
    mu, omega, mixing, *atoms = (
        w.to(case.device, getattr(torch, case.dtype)).requires_grad_(backward)
        for w in (mu, omega, mixing, *atoms)
    )

    def step(y: Tensor) -> None:
        with conditions(case._replace(dtype='float32')):
            out = inverse_filter(y, mu, omega, atoms, mixing)
        if backward:
            torch.autograd.grad(out.sum(), [mu, omega, mixing, *atoms])

    return step, photo(case)


def inference(case: Case) -> Job:
    """The network, from image to restored image."""
    restorer = load(case.config, case.checkpoint).to(case.device)
    network = restorer.generator
    y = photo(case)
    if case.channels_last:
        network.to(memory_format=torch.channels_last)
        y = y.to(memory_format=torch.channels_last)
    run = torch.compile(network, mode=case.compiled) if case.compiled else network

    @torch.inference_mode()
    def step(y: Tensor) -> Tensor:
        with conditions(case):
            if case.tile:
                return restorer.restore(y, case.tile)
            return network.forward_scales(y)[0] if case.plain else run(y)

    return step, y


def training(case: Case) -> Job:
    """A step of training with the config's loss, but LPIPS, and Adam."""
    network = load(case.config, case.checkpoint).generator.to(case.device).train()
    loss = load_config(case.config).model.loss.to_dict()
    # It would need the weights of another network.
    loss['losses']['lpips'] = None
    criterion = MODELS.build(loss)
    adam = torch.optim.Adam(network.parameters(), 2e-4)
    run = network.forward_scales
    if case.compiled:
        run = torch.compile(run, mode=case.compiled)
    sharp = photo(case)
    blurred = F.avg_pool2d(sharp, 5, 1, 2)

    def step(y: Tensor) -> None:
        adam.zero_grad()
        with conditions(case):
            losses = criterion(run(y), sharp)
        sum(losses.values()).backward()
        adam.step()

    return step, blurred


JOBS: dict[str, Callable[[Case], Job]] = {
    'op forward': filtering,
    'op forward and backward': filtering,
    'inference': inference,
    'training step': training,
}


@torch.inference_mode()
def agreement(case: Case) -> dict:
    """How near the result in the case's type comes to that in float32.

    Random weights hardly change an image, so that any type would do. Their mixing is
    enlarged until the change is ``CHANGE``; the result is linear in it.

    Args:
        case (Case): With type, size and network.

    Returns:
        dict: PSNR in dB for a peak of 1, the rms change of the image, and the weights.
    """
    network = load(case.config, case.checkpoint).generator.to(case.device)
    y = photo(case)
    weights = case.checkpoint
    if weights is None:
        factor = CHANGE / (network(y) - y).square().mean().sqrt()
        network.head.mixing.mul_(factor)
        weights = f'random, seed 0, mixing x {factor:.1f}'
    exact = network(y)
    with conditions(case):
        error = network(y) - exact
    return {
        'psnr': -10 * error.square().mean().log10().item(),
        'rms_change': (exact - y).square().mean().sqrt().item(),
        'weights': weights,
    }
