"""The backbone that all image scales share."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..registry import MODELS
from .base_module import BaseModule
from .frequency_bands import local_energies, normalised_bands
from .layers import DoublingConv2d, ReflectConv2d, ResBlocks
from .padding import extend_sides


@MODELS.register_module()
class UNet(BaseModule):
    """Three-level U-Net of residual blocks, INIKNet's feature extractor.

    Args:
        in_channels (int): Image channels. Default: 3.
        base_channels (int): Channels C of the output and the finest level; the levels
            below have 2C and 4C. Default: 32.
        num_res_blocks (int): Residual blocks per level and direction. Default: 2.
        reduction (int): Factor s by which the features are coarser than the image:
            blocks of s × s pixels become channels (pixel unshuffling) before the first
            convolution, which makes everything behind it s² times cheaper.
            Default: 1, the image's own resolution.
        energy_bands (int): Frequency bands K whose :func:`local_energies`, 2K channels,
            go into the first convolution beside the image: a training finds out how
            blurred a photo is many times sooner. Default: 0, the image alone.
        signed_bands (int): Bands K whose :func:`normalised_bands`, K s² channels, go in
            likewise: where an edge is, however little a wide blur left of it.
            Default: 0, none.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.

    Raises:
        ValueError: If a number is not positive.

    Example:
        >>> import torch
        >>> UNet(base_channels=4, num_res_blocks=1)(torch.rand(1, 3, 5, 7)).shape
        torch.Size([1, 4, 5, 7])
        >>> UNet(base_channels=4, reduction=4)(torch.rand(1, 3, 16, 9)).shape
        torch.Size([1, 4, 4, 3])
    """

    def __init__(
        self,
        in_channels: int = 3,
        base_channels: int = 32,
        num_res_blocks: int = 2,
        reduction: int = 1,
        energy_bands: int = 0,
        signed_bands: int = 0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if min(in_channels, base_channels, num_res_blocks, reduction) < 1:
            raise ValueError(
                'in_channels, base_channels, num_res_blocks and reduction must be '
                f'positive, got {in_channels}, {base_channels}, {num_res_blocks} and '
                f'{reduction}'
            )
        if min(energy_bands, signed_bands) < 0:
            raise ValueError(
                'energy_bands and signed_bands must not be negative, got '
                f'{energy_bands} and {signed_bands}'
            )
        self.reduction = reduction
        self.energy_bands = energy_bands
        self.signed_bands = signed_bands
        widths = [base_channels, 2 * base_channels, 4 * base_channels]
        inputs = (in_channels + signed_bands) * reduction**2 + 2 * energy_bands
        sources = [inputs, *widths[:-1]]
        # Finest level first, in encoder and decoder alike.
        self.downs = nn.ModuleList(
            ReflectConv2d(source, width, stride=2 if level else 1)
            for level, (source, width) in enumerate(zip(sources, widths, strict=True))
        )
        self.encoders = nn.ModuleList(ResBlocks(w, num_res_blocks) for w in widths)
        self.ups = nn.ModuleList(DoublingConv2d(2 * w, w) for w in widths[:-1])
        self.merges = nn.ModuleList(ReflectConv2d(2 * w, w) for w in widths[:-1])
        self.decoders = nn.ModuleList(ResBlocks(w, num_res_blocks) for w in widths[:-1])

    def forward(self, image: Tensor) -> Tensor:
        """Extract features.

        Args:
            image (Tensor): (B, in_channels, H, W), RGB in [0, 1], any size.

        Returns:
            Tensor: (B, C, ⌈H/s⌉, ⌈W/s⌉) with s = ``reduction``.
        """
        x, skips = image, []
        if self.reduction > 1:
            x = F.pixel_unshuffle(extend_sides(x, self.reduction), self.reduction)
        if self.energy_bands:
            energies = local_energies(image, self.energy_bands, self.reduction)
            x = torch.cat([x, energies], 1)
        if self.signed_bands:
            bands = normalised_bands(image, self.signed_bands, self.reduction)
            x = torch.cat([x, F.pixel_unshuffle(bands, self.reduction)], 1)
        for down, encoder in zip(self.downs, self.encoders, strict=True):
            x = encoder(down(x, relu=True), overwrite=True)
            skips.append(x)
        for level in reversed(range(len(self.ups))):
            skip = skips[level]
            # Odd sides come back one pixel too long.
            up = self.ups[level](x).relu_()[..., : skip.shape[-2], : skip.shape[-1]]
            merged = self.merges[level](torch.cat([up, skip], 1), relu=True)
            x = self.decoders[level](merged, overwrite=True)
        return x
