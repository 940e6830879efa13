"""The head: predicts size and shape weights and filters the image with them."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import enlarging_conv, inverse_filter
from ..ops.inverse_filter import BORDERS
from ..registry import MODELS
from .atom_banks import INRAtomBank
from .base_module import BaseModule
from .build import build_part
from .frequency_bands import normalised_bands
from .layers import PointConv2d, ResBlocks

FUSIONS = ('conv', 'sum')
ENLARGEMENTS = ('shuffle', 'bilinear')
# Of the image, which a head with detail_channels looks at: to 16 pixels and more.
DETAIL_BANDS = 4


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
        reduction (int): Factor s by which the features are coarser than the image, as
            of a backbone with the same option; μ and ω are brought back to the image's
            resolution, the filtering is at full resolution as ever. Default: 1.
        enlargement (str): How: ``'shuffle'`` predicts the logits of s × s pixels from
            each coarse one (pixel shuffling), so that neighbours may have filters of
            their own (all start alike); ``'bilinear'`` interpolates the logits.
            Default: ``'shuffle'``.
        border (str): What the kernels find beyond the image: ``'zero'``, black
            (paper and released), or ``'reflect'``, the image mirrored, replicated where
            it is too small for that. Default: ``'zero'``.
        mixing_start (float): Range of the mixing weights at the start, as a share of
            that of a convolution. Larger, training starts earlier. Default: 0.1.
        detail_channels (int): Channels D of a layer at the image's resolution, by which
            kernels may differ from pixel to pixel though the features are coarse: a 1×1
            convolution of the image's :func:`normalised_bands` plus one of both
            features, rectified; what a 1×1 convolution makes of it is added to the
            logits of μ and to ω. Default: 0, none.
        detail_blocks (int): Residual blocks of that layer, before the last convolution,
            by which kernels may depend on the details around. Default: 0.
        coarser (Sequence[int]): Factors s > 1. For each, the largest atoms also filter
            the image reduced by s, with a size weight of their own and with ω averaged
            over s × s pixels; the result is enlarged and added. So kernels reach s
            times as far for 1/s² of the work, with the coarse detail that wide blur
            leaves. These sizes count among the R, behind the bank's.
            Default: (), none.
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
        reduction: int = 1,
        enlargement: str = 'shuffle',
        border: str = 'zero',
        mixing_start: float = 0.1,
        detail_channels: int = 0,
        detail_blocks: int = 0,
        coarser: Sequence[int] = (),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if min(in_channels, image_channels, reduction) < 1:
            raise ValueError(
                'in_channels, image_channels and reduction must be positive, got '
                f'{in_channels}, {image_channels} and {reduction}'
            )
        if fusion not in FUSIONS:
            raise ValueError(f'fusion must be in {FUSIONS}, got {fusion!r}')
        if enlargement not in ENLARGEMENTS:
            raise ValueError(
                f'enlargement must be in {ENLARGEMENTS}, got {enlargement!r}'
            )
        if border not in BORDERS:
            raise ValueError(f'border must be in {BORDERS}, got {border!r}')
        if mixing_start <= 0:
            raise ValueError(f'mixing_start must be positive, got {mixing_start}')
        if detail_channels < 0:
            raise ValueError(
                f'detail_channels must not be negative, got {detail_channels}'
            )
        if detail_blocks < 0 or (detail_blocks and not detail_channels):
            raise ValueError(
                'detail_blocks must not be negative, and none without detail_channels, '
                f'got {detail_blocks}'
            )
        if any(factor < 2 for factor in coarser):
            raise ValueError(f'coarser must be factors above 1, got {tuple(coarser)}')
        self.border = border
        self.coarser = tuple(coarser)
        self.reduction = reduction
        self.enlargement = enlargement
        # Or another with the same attributes.
        bank: INRAtomBank = build_part(atom_bank or dict(type='INRAtomBank'))
        self.atom_bank: nn.Module = bank
        self.residual = residual
        num_sizes, num_atoms = len(bank.kernel_sizes) + len(coarser), bank.num_atoms
        copies = reduction**2 if enlargement == 'shuffle' else 1
        self.size_predictor = PointConv2d(in_channels, num_sizes * copies)
        self.shape_predictor = PointConv2d(in_channels, num_atoms * copies)
        if copies > 1:
            _start_copies_alike(self.size_predictor, copies)
            _start_copies_alike(self.shape_predictor, copies)
        self.detail: nn.Conv2d | None = None
        if detail_channels:
            self.detail = nn.Conv2d(DETAIL_BANDS, detail_channels, 1, bias=False)
            self.context = PointConv2d(2 * in_channels, detail_channels * copies)
            self.detail_blocks = ResBlocks(detail_channels, detail_blocks)
            self.detail_predictor = PointConv2d(detail_channels, num_sizes + num_atoms)
            if copies > 1:
                _start_copies_alike(self.context, copies)
            # Begins as a head without it, nearly.
            with torch.no_grad():
                self.detail_predictor.weight.mul_(0.1)
                self.detail_predictor.bias.zero_()
        if fusion == 'conv':
            products = num_sizes * image_channels * num_atoms
            bound = mixing_start * products**-0.5
            mixing = torch.empty(image_channels, num_sizes, image_channels, num_atoms)
            self.mixing: nn.Parameter | None = nn.Parameter(
                mixing.uniform_(-bound, bound)
            )
            self.bias: nn.Parameter | None = nn.Parameter(torch.zeros(image_channels))
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
        self,
        size_feature: Tensor,
        shape_feature: Tensor,
        image: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Weights of sizes and atoms at every pixel.

        Args:
            size_feature (Tensor): (B, in_channels, ⌈H/s⌉, ⌈W/s⌉), s = ``reduction``.
            shape_feature (Tensor): The same.
            image (Tensor, optional): What is filtered, (B, image_channels, H, W).
                Default: None, one whose sides are multiples of s; not with
                ``detail_channels``, which look at it.

        Returns:
            tuple[Tensor, Tensor]: μ (B, R, H, W), positive, sum one over R, which
            counts the bank's sizes and those of ``coarser``; and ω (B, N, H, W).

        Raises:
            ValueError: If the image is missing.
        """
        size = None if image is None else image.shape[-2:]
        mu = self._enlarged(self.size_predictor, size_feature, size)
        omega = self._enlarged(self.shape_predictor, shape_feature, size)
        if self.detail is not None:
            if image is None:
                raise ValueError('weights with detail_channels depend on the image')
            features = torch.cat([size_feature, shape_feature], 1)
            bands = normalised_bands(image, DETAIL_BANDS, self.reduction)
            hidden = self._enlarged(self.context, features, size, bands, self.detail)
            logits = self.detail_predictor(self.detail_blocks(F.relu(hidden)))
            of_mu, of_omega = logits.split([mu.shape[1], omega.shape[1]], 1)
            mu, omega = mu + of_mu, omega + of_omega
        return mu.softmax(1), omega

    def _enlarged(
        self,
        predictor: nn.Conv2d,
        feature: Tensor,
        size: Sequence[int] | None,
        fine: Tensor | None = None,
        of_fine: nn.Conv2d | None = None,
    ) -> Tensor:
        """What is predicted of every pixel, plus what is of a fine image."""
        s = self.reduction
        if s > 1 and self.enlargement == 'shuffle':
            weights = predictor.weight, predictor.bias, s
            fine_weight = None if of_fine is None else of_fine.weight
            full = enlarging_conv(feature, *weights, fine, fine_weight)
        else:
            full = predictor(feature)
            if s > 1:
                full = F.interpolate(full, scale_factor=s, mode='bilinear')
            if of_fine is not None:
                full = full + of_fine(fine)
        return full if size is None else full[..., : size[0], : size[1]]

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
            size_feature (Tensor): (B, in_channels, ⌈H/s⌉, ⌈W/s⌉), for μ, with
                s = ``reduction``.
            shape_feature (Tensor): The same, for ω.
            atoms (list[Tensor], optional): What ``atom_bank()`` returned, where one
                evaluation serves several calls. Default: None, evaluated here.

        Returns:
            Tensor: Restored image, shape of ``image``, not clipped.
        """
        mu, omega = self.predict_weights(size_feature, shape_feature, image)
        if atoms is None:
            atoms = self.atom_bank()
        sizes, mixing = len(atoms), self.mixing
        restored = inverse_filter(
            image,
            mu[:, :sizes],
            omega,
            atoms,
            None if mixing is None else mixing[:, :sizes],
            self.bias,
            self.border,
        )
        for r, factor in enumerate(self.coarser, sizes):
            coarse = inverse_filter(
                reduce(image, factor),
                reduce(mu[:, r : r + 1], factor),
                reduce(omega, factor),
                atoms[-1:],
                None if mixing is None else mixing[:, r : r + 1],
                border=self.border,
            )
            restored = restored + enlarge(coarse, factor, image)
        return image + restored if self.residual else restored


def reduce(planes: Tensor, factor: int) -> Tensor:
    """Means of blocks of pixels; at the lower and right border of what there is.

    Args:
        planes (Tensor): (B, K, H, W).
        factor (int): Side s of the blocks.

    Returns:
        Tensor: (B, K, ⌈H/s⌉, ⌈W/s⌉).
    """
    return F.avg_pool2d(planes, factor, ceil_mode=True)


def enlarged_side(side: int, factor: int) -> int:
    """Side of what a kernel that filters a reduced image does to the image itself.

    Args:
        side (int): Of the kernel, M.
        factor (int): By which the image is reduced, s.

    Returns:
        int: s (M − 1) + 2 ⌊3s/2⌋ − 1.
    """
    return factor * (side - 1) + 2 * (3 * factor // 2) - 1


def enlarge(coarse: Tensor, factor: int, image: Tensor) -> Tensor:
    """Interpolate what was found of a reduced image bilinearly.

    Args:
        coarse (Tensor): (B, C, ⌈H/s⌉, ⌈W/s⌉).
        factor (int): s.
        image (Tensor): Of the wanted size, (B, C, H, W).

    Returns:
        Tensor: (B, C, H, W).
    """
    enlarged = F.interpolate(coarse, scale_factor=factor, mode='bilinear')
    return enlarged[..., : image.shape[-2], : image.shape[-1]]


def _start_copies_alike(predictor: nn.Conv2d, copies: int) -> None:
    """Let the pixels that pixel shuffling makes of one begin with the same weights."""
    with torch.no_grad():
        for parameter in predictor.parameters():
            parameter.copy_(parameter[::copies].repeat_interleave(copies, 0))
