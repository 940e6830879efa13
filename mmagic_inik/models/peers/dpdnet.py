"""DPDNet: a U-Net from two dual-pixel views, or from one photo.

Abuolaim, Brown: "Defocus Deblurring Using Dual-Pixel Data", ECCV 2020. No residual
from input to output and no normalisation. The released code has 31,035,151 parameters
with six channels and, as the paper describes its variant for one image, 31,033,423 with
three; later papers print 32.25 M, which the layers do not explain. The released code
resizes every photo to 1680 × 1120; here sides are extended as everywhere else.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...registry import MODELS
from ..base_module import BaseModule
from ..padding import extend_sides
from .layers import UpConv, init_as_keras, relu_convs, scaled

_WIDTHS = (64, 128, 256, 512, 1024)


@MODELS.register_module()
class DPDNet(BaseModule):
    """The dual-pixel network.

    The released weights expect BGR images; converted ones are of the same network on
    RGB images.

    Args:
        in_channels (int): 3: a photo; 6: its left and right view, in this order.
            Default: 3.
        dropout (float): Share of the numbers at 1/8 and 1/16 of the size that training
            leaves out. Default: 0.4.
        width (float): Share of the released channels, in multiples of 4; released
            weights fit 1 alone. Default: 1.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.
            Without it, He's normal one and zero biases, Glorot's uniform one before
            the sigmoid, as in the release.

    Raises:
        ValueError: If ``in_channels`` is neither 3 nor 6, or ``width`` not positive.

    Example:
        >>> import torch
        >>> DPDNet()(torch.rand(1, 3, 5, 7)).shape
        torch.Size([1, 3, 5, 7])
    """

    def __init__(
        self,
        in_channels: int = 3,
        dropout: float = 0.4,
        width: float = 1.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if in_channels not in (3, 6):
            raise ValueError(f'in_channels must be 3 or 6, got {in_channels}')
        widths = scaled(_WIDTHS, width)
        self.encoder = nn.ModuleList(
            relu_convs(source, c, c)
            for source, c in zip((in_channels, *widths[:-1]), widths, strict=True)
        )
        self.dropout = nn.Dropout(dropout)
        self.ups = nn.ModuleList(map(UpConv, widths[:0:-1], widths[-2::-1]))
        self.decoder = nn.ModuleList(relu_convs(2 * c, c, c) for c in widths[-2:0:-1])
        # The last of three channels is activated, too, and can die in training.
        self.decoder.append(relu_convs(2 * widths[0], widths[0], widths[0], 3))
        self.out = nn.Conv2d(3, 3, 1)
        init_as_keras(self)

    def forward(self, image: Tensor) -> Tensor:
        """Restore an image.

        Args:
            image (Tensor): Blurred image, (B, in_channels, H, W), RGB in [0, 1], any
                size.

        Returns:
            Tensor: Sharp image in (0, 1), (B, 3, H, W).
        """
        height, width = image.shape[-2:]
        x, skips = extend_sides(image, 16), []
        for depth, level in enumerate(self.encoder):
            x = level(F.max_pool2d(x, 2) if depth else x)
            skips.append(self.dropout(x) if depth > 2 else x)
        x = skips.pop()
        for up, level in zip(self.ups, self.decoder, strict=True):
            x = level(torch.cat([skips.pop(), up(x)], 1))
        return self.out(x).sigmoid()[..., :height, :width]
