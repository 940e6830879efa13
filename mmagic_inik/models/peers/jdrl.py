r"""JDRL: training with pairs that are not aligned.

Li, Ren, Shu, Zuo: "Learning Single Image Defocus Deblurring with Misaligned Training
Pairs", 2022. B is the blurred image, S the sharp one that does not lie on it, Ŝ what
the network makes of B, Φ(a→b) the optical flow for which b, sampled at p + Φ(p), is a,
and W(b, Φ) is b sampled so. After a warm-up with

.. math:: \rho(\hat S, W(S, \Phi(B \to S)))

the deblurring loss takes both directions, without pixels of unusual flow, and a network
R must be able to blur Ŝ back to B:

.. math::
    \rho(M \hat S, M W(S, \Phi)) + \rho(M' S, M' W(\hat S, \Phi'))
    + 0.5 \, \rho(R(\hat S, B), B), \quad
    \Phi = \Phi(\hat S \to S), \ \Phi' = \Phi(S \to \hat S)

with Charbonnier's ρ. The released warp mixes two conventions of where pixels lie, so
that no flow is a shift of up to half a pixel; here there is one. Its flow network,
PWC-Net, is replaced by torchvision's RAFT.
"""

from typing import Any

import torch
import torch.nn.functional as F
from mmagic.models.utils import flow_warp
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from torch import Tensor, nn
from torchvision.models import optical_flow
from torchvision.transforms.functional import rgb_to_grayscale
from torchvision.utils import flow_to_image

from ...engine import load_checkpoint_file
from ...errors import InputError
from ...losses.alternating_loss import iterations_done
from ..build import build_part
from ..restorer import MultiScaleRestorer

_TOLERANCE = 0.35


@MODELS.register_module()
class JDRLRestorer(MultiScaleRestorer):
    """Trains any network with misaligned pairs; predicts as its base does.

    Of a network with several outputs, the result alone is compared, since the release
    shows nothing for MPRNet.

    Args:
        flow (dict | nn.Module): (image a, image b), (B, 3, H, W) in [0, 1] → Φ(a→b),
            (B, 2, H, W), in pixels to the right and down; never trained.
        reblurring (dict | nn.Module): R: (restored, blurred) → blurred.
        warm_up (int): Iterations of the first loss alone. Default: 0.
        reblurring_first (int): Iterations after it that train R alone, as the authors
            advise for networks that are trained already. Default: 0.
        reblur_weight (float): Of R's loss. Default: 0.5.
        **kwargs: As of ``MultiScaleRestorer``; ``loss`` is ρ, (prediction, target) →
            scalar.

    Raises:
        ValueError: If a number is negative.
    """

    def __init__(
        self,
        flow: dict | nn.Module,
        reblurring: dict | nn.Module,
        warm_up: int = 0,
        reblurring_first: int = 0,
        reblur_weight: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if min(warm_up, reblurring_first, reblur_weight) < 0:
            raise ValueError(
                'warm_up, reblurring_first and reblur_weight must not be negative, got '
                f'{warm_up}, {reblurring_first} and {reblur_weight}'
            )
        self.flow = build_part(flow).requires_grad_(False)
        self.reblurring = build_part(reblurring)
        self.warm_up = warm_up
        self.reblurring_first = reblurring_first
        self.reblur_weight = reblur_weight

    def forward_train(
        self, inputs: Tensor, data_samples: DataSample, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Named losses of a batch.

        Args:
            inputs (Tensor): Blurred crops B, (B, 3, H, W) in [0, 1].
            data_samples (DataSample): With the sharp crops ``gt_img``.
            **kwargs: Passed to the generator.

        Returns:
            dict[str, Tensor]: ``loss_deblur`` and, after the warm-up, ``loss_reblur``.
        """
        sharp = data_samples.gt_img
        restored = self.generator(inputs, **kwargs)
        done = iterations_done()
        if done < self.warm_up:
            # A loss of nothing, so that every parameter has a gradient.
            idle = 0 * sum(p.sum() for p in self.reblurring.parameters())
            aligned = warp(sharp, self._flow(inputs, sharp))
            return dict(loss_deblur=self.loss(restored, aligned) + idle)
        fixed = done < self.warm_up + self.reblurring_first
        reblurred = self.reblurring(restored.detach() if fixed else restored, inputs)
        loss_reblur = self.reblur_weight * self.loss(reblurred, inputs)
        if fixed:
            return dict(loss_deblur=0 * restored.mean(), loss_reblur=loss_reblur)
        return dict(
            loss_deblur=self._both_ways(restored, sharp), loss_reblur=loss_reblur
        )

    def _both_ways(self, restored: Tensor, sharp: Tensor) -> Tensor:
        losses = []
        for image, moved in ((restored, sharp), (sharp, restored)):
            flow = self._flow(image, moved)
            mask = usual_flow(flow)
            losses.append(self.loss(mask * image, mask * warp(moved, flow)))
        return losses[0] + losses[1]

    @torch.no_grad()
    def _flow(self, a: Tensor, b: Tensor) -> Tensor:
        return self.flow(a.detach(), b.detach())


@MODELS.register_module()
class RAFTFlow(nn.Module):
    """Optical flow by torchvision's RAFT (Teed and Deng, ECCV 2020).

    The network is loaded at the first call and is no part of the module's state, so
    that checkpoints do not carry it.

    Args:
        weights (str): File with torchvision's weights of it, such as
            ``raft_large_C_T_SKHT_V2-ff5fadd5.pth``.
        network (str): ``'raft_large'`` or ``'raft_small'``. Default: ``'raft_large'``.

    Raises:
        ValueError: If ``network`` is unknown.
        InputError: At the first call, if the weights cannot be had, and if a side is
            below 128.
    """

    NETWORKS = ('raft_large', 'raft_small')
    LEAST_SIDE = 128

    def __init__(self, weights: str, network: str = 'raft_large') -> None:
        super().__init__()
        if network not in self.NETWORKS:
            raise ValueError(f'network must be in {self.NETWORKS}, got {network!r}')
        self.weights = weights
        self.network = network
        # In a list, whose content is no part of the module.
        self._loaded: list[nn.Module] = []

    @torch.no_grad()
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Φ(a→b).

        Args:
            a (Tensor): (B, 3, H, W), RGB in [0, 1].
            b (Tensor): Same shape.

        Returns:
            Tensor: (B, 2, H, W), pixels to the right and down.
        """
        height, width = a.shape[-2:]
        if min(height, width) < self.LEAST_SIDE:
            raise InputError(
                f'RAFT needs sides from {self.LEAST_SIDE}, got {height}x{width}; give '
                'larger crops'
            )
        # As JDRL resizes for its own flow network; RAFT wants multiples of 8.
        sides = [-(-side // 8) * 8 for side in (height, width)]
        frames = [
            2 * F.interpolate(x, sides, mode='bilinear', align_corners=False) - 1
            for x in (a.clamp(0, 1), b.clamp(0, 1))
        ]
        flow = self._network(a.device)(*frames)[-1]
        flow = F.interpolate(
            flow, (height, width), mode='bilinear', align_corners=False
        )
        scale = flow.new_tensor([width / sides[1], height / sides[0]])
        return flow * scale.view(2, 1, 1)

    def _network(self, device: torch.device) -> nn.Module:
        if not self._loaded:
            network = getattr(optical_flow, self.network)(weights=None)
            state = dict(load_checkpoint_file(self.weights, map_location='cpu'))
            try:
                network.load_state_dict(state)
            except RuntimeError as error:
                raise InputError(
                    f'{self.weights} has no weights of {self.network}; give the file '
                    "that torchvision's models of optical flow load"
                ) from error
            self._loaded.append(network.eval().requires_grad_(False))
        return self._loaded[0].to(device)


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Sample an image at p + Φ(p), bilinearly; beyond the border, its last pixel.

    Args:
        image (Tensor): (B, C, H, W).
        flow (Tensor): Φ, (B, 2, H, W), pixels to the right and down.

    Returns:
        Tensor: Shape of ``image``; differentiable in it.
    """
    flow = flow.to(image.dtype).movedim(1, -1)
    return flow_warp(image, flow, padding_mode='border', align_corners=True)


def usual_flow(flow: Tensor) -> Tensor:
    """Where flow is like that of the rest of the image.

    Drawn with the colour wheel (Baker et al., 2007) and turned to 8-bit grey, it is
    within 35 % of the mean grey.

    Args:
        flow (Tensor): (B, 2, H, W), in pixels.

    Returns:
        Tensor: (B, 1, H, W), 1 or 0.
    """
    # One by one: torchvision would divide by the largest flow of the batch.
    drawn = torch.stack([flow_to_image(one.float()) for one in flow])
    grey = rgb_to_grayscale(drawn).float()
    mean = grey.mean((1, 2, 3), keepdim=True)
    return ((grey - mean).abs() <= _TOLERANCE * mean).to(flow.dtype)
