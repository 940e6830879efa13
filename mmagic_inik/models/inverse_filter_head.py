"""The head: predicts size and shape weights and filters the image with them."""

import torch
from mmagic.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..ops import inverse_filter
from .build import build_part

FUSIONS = ('conv', 'sum')


@MODELS.register_module()
class InverseFilterHead(BaseModule):
    """Inverse filtering with kernels composed from atoms (Eq. 9).

    1×1 convolutions turn features into the size weights μ (softmax over the R sizes)
    and the shape weights ω (N channels, linear); the image is then filtered with
    Σ_n Σ_r μ_r ω_n v_n^r at every pixel.

    The start is the identity or close to it:

    - ``fusion='conv', residual=True`` (released): mixing weights a tenth of a
      convolution's default, bias zero;
    - ``fusion='sum', residual=False`` (paper, wants the bank's ``center='delta'``): μ
      and ω weights zero, ω bias R/N, which with the delta atom is exactly y;
    - ``fusion='sum', residual=True``: ω weights × 0.3, ω bias zero;
    - ``fusion='conv', residual=False``: nothing carries y, the start is as of the
      first.

    Args:
        in_channels (int): Channels of both features. Default: 32.
        atom_bank (dict | nn.Module): Config or module that returns R tensors
            (N, M_r, M_r) when called and has ``num_atoms`` and ``kernel_sizes``.
            Default: ``dict(type='INRAtomBank')``.
        image_channels (int): Colour channels of the image. Default: 3.
        fusion (str): ``'conv'``, a learned 1×1 convolution over the R·C·N products
            (released), or ``'sum'``, Eq. 9. Default: ``'conv'``.
        residual (bool): Whether y is added to the result. Default: True.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.

    Raises:
        ValueError: If a number is not positive or ``fusion`` is unknown.

    Example:
        A training step on the features of any network, here of one convolution; one
        feature may serve for both.

        >>> import torch
        >>> from mmagic_inik.models import INRAtomBank
        >>> network = torch.nn.Conv2d(3, 16, 3, padding=1)
        >>> head = InverseFilterHead(16, INRAtomBank(num_atoms=4))
        >>> adam = torch.optim.Adam([*network.parameters(), *head.parameters()])
        >>> blurred, sharp = torch.rand(2, 1, 3, 9, 7)
        >>> feature = network(blurred)
        >>> restored = head(blurred, feature, feature)
        >>> (restored - sharp).square().mean().backward()
        >>> adam.step()
        >>> restored.shape
        torch.Size([1, 3, 9, 7])
    """

    def __init__(
        self,
        in_channels: int = 32,
        atom_bank: dict | nn.Module | None = None,
        image_channels: int = 3,
        fusion: str = 'conv',
        residual: bool = True,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if min(in_channels, image_channels) < 1:
            raise ValueError(
                'in_channels and image_channels must be positive, got '
                f'{in_channels} and {image_channels}'
            )
        if fusion not in FUSIONS:
            raise ValueError(f'fusion must be in {FUSIONS}, got {fusion!r}')
        atom_bank = build_part(atom_bank or dict(type='INRAtomBank'))
        self.atom_bank = atom_bank
        self.residual = residual
        num_sizes, num_atoms = len(atom_bank.kernel_sizes), atom_bank.num_atoms
        self.size_predictor = nn.Conv2d(in_channels, num_sizes, 1)
        self.shape_predictor = nn.Conv2d(in_channels, num_atoms, 1)
        if fusion == 'conv':
            products = num_sizes * image_channels * num_atoms
            bound = 0.1 * products**-0.5
            mixing = torch.empty(image_channels, num_sizes, image_channels, num_atoms)
            self.mixing = nn.Parameter(mixing.uniform_(-bound, bound))
            self.bias = nn.Parameter(torch.zeros(image_channels))
        else:
            self.mixing = self.bias = None
            self._start_plain_sum(num_sizes / num_atoms)

    def _start_plain_sum(self, omega_bias: float) -> None:
        with torch.no_grad():
            if self.residual:
                self.shape_predictor.weight.mul_(0.3)
                self.shape_predictor.bias.zero_()
                return
            for parameter in (
                *self.size_predictor.parameters(),
                self.shape_predictor.weight,
            ):
                parameter.zero_()
            self.shape_predictor.bias.fill_(omega_bias)

    def predict_weights(
        self, size_feature: Tensor, shape_feature: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Weights of sizes and atoms at every pixel.

        Args:
            size_feature (Tensor): (B, in_channels, H, W).
            shape_feature (Tensor): (B, in_channels, H, W).

        Returns:
            tuple[Tensor, Tensor]: μ (B, R, H, W), positive, sum one over R; and ω
            (B, N, H, W).
        """
        mu = self.size_predictor(size_feature).softmax(1)
        return mu, self.shape_predictor(shape_feature)

    def forward(
        self,
        image: Tensor,
        size_feature: Tensor,
        shape_feature: Tensor,
        atoms: list[Tensor] | None = None,
    ) -> Tensor:
        """Filter an image.

        Args:
            image (Tensor): Blurred image y, (B, image_channels, H, W), in [0, 1].
            size_feature (Tensor): (B, in_channels, H, W), for μ.
            shape_feature (Tensor): (B, in_channels, H, W), for ω.
            atoms (list[Tensor], optional): What ``atom_bank()`` returned, where one
                evaluation serves several calls. Default: None, evaluated here.

        Returns:
            Tensor: Restored image, shape of ``image``, not clipped.
        """
        mu, omega = self.predict_weights(size_feature, shape_feature)
        if atoms is None:
            atoms = self.atom_bank()
        restored = inverse_filter(image, mu, omega, atoms, self.mixing, self.bias)
        return image + restored if self.residual else restored
