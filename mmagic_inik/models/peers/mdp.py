"""MDP: left and right view and sharp image of one blurred photo.

Abuolaim, Afifi, Brown: "Improving Single-Image Defocus Deblurring: How Dual-Pixel
Images Help Through Multi-Task Learning", WACV 2022. One encoder, three decoders of
equal form; at half resolution each decoder's late part reads the early parts of all
three. There is no residual from input to output. The released code speaks of dropout
and has none; its test script pads with zeros at the top and left, which no published
score has met, for DPDD's sides are multiples of 16: here sides are extended as
everywhere else.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...registry import MODELS
from ..base_module import BaseModule
from ..padding import extend_sides
from .layers import UpConv, init_as_keras, relu_convs, scaled

VIEWS = ('left', 'right')
PARTS = (*VIEWS, 'sharp')


@MODELS.register_module()
class MDP(BaseModule):
    """The multi-task dual-pixel network, 46,860,397 parameters.

    The released weights expect BGR images; converted ones are of the same network on
    RGB images.

    Args:
        freeze_sharp (bool): Whether the decoder of the sharp image stays as it is, as
            in the first phase of training, which learns the views. Default: False.
        width (float): Share of the released channels, in multiples of 4; released
            weights fit 1 alone. Default: 1.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.
            Without it, He's normal one and zero biases, Glorot's uniform one before
            the sigmoids, as in the release.

    Raises:
        ValueError: If ``width`` is not positive.

    Example:
        >>> import torch
        >>> MDP()(torch.rand(1, 3, 5, 7)).shape
        torch.Size([1, 3, 5, 7])
    """

    def __init__(
        self,
        freeze_sharp: bool = False,
        width: float = 1.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        widths = c1, c2, c3, c4, _ = scaled((64, 128, 256, 512, 1024), width)
        self.encoder = nn.ModuleList(
            [relu_convs(3, c1, c1), relu_convs(c1, c2, c2), relu_convs(c2, c3, c3)]
        )
        self.encoder.append(relu_convs(c3, c4))
        self.early = nn.ModuleDict({part: _Early(*widths[1:]) for part in PARTS})
        self.late = nn.ModuleDict({part: _Late(c1, c2) for part in PARTS})
        init_as_keras(self)
        if freeze_sharp:
            for decoders in (self.early, self.late):
                decoders['sharp'].requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        """Restore an image; the late parts of the views are not run.

        Args:
            image (Tensor): Blurred image, (B, 3, H, W), RGB in [0, 1], any size.

        Returns:
            Tensor: Sharp image in (0, 1), same shape.
        """
        return self._decode(image, ('sharp',))['sharp']

    def forward_views(self, image: Tensor) -> dict[str, Tensor]:
        """Predict both views and the sharp image.

        Args:
            image (Tensor): As of :meth:`forward`.

        Returns:
            dict[str, Tensor]: ``left``, ``right`` and ``sharp``, each as of
            :meth:`forward`.
        """
        return self._decode(image, PARTS)

    def _decode(self, image: Tensor, parts: tuple[str, ...]) -> dict[str, Tensor]:
        height, width = image.shape[-2:]
        x, skips = extend_sides(image, 16), []
        for level in self.encoder:
            skips.append(level(x))
            x = F.max_pool2d(skips[-1], 2)
        early = [decoder(x, *skips[2:]) for decoder in self.early.values()]
        mixed = torch.cat([skips[1], *early], 1)
        del early
        outputs = {part: self.late[part](mixed, skips[0]) for part in parts}
        return {part: out[..., :height, :width] for part, out in outputs.items()}


class _Early(nn.Module):
    """Of a decoder, from 1/16 to half resolution."""

    def __init__(self, c2: int, c3: int, c4: int, c5: int) -> None:
        super().__init__()
        self.bottleneck = relu_convs(c4, c5)
        self.up4, self.dec4 = UpConv(c5, c4), relu_convs(2 * c4, c4)
        self.up3, self.dec3 = UpConv(c4, c3), relu_convs(2 * c3, c3, c3)
        self.up2 = UpConv(c3, c2)

    def forward(self, x: Tensor, s3: Tensor, s4: Tensor) -> Tensor:
        x = self.up4(self.bottleneck(x))
        x = self.dec4(torch.cat([s4, x], 1))
        x = self.dec3(torch.cat([s3, self.up3(x)], 1))
        return self.up2(x)


class _Late(nn.Module):
    """Of a decoder, from half resolution to the image."""

    def __init__(self, c1: int, c2: int) -> None:
        super().__init__()
        self.dec2 = relu_convs((1 + len(PARTS)) * c2, c2, c2)
        self.up1 = UpConv(c2, c1)
        # The last of three channels is activated, too, and can die in training.
        self.dec1 = relu_convs(2 * c1, c1, c1, 3)
        self.out = nn.Conv2d(3, 3, 1)

    def forward(self, mixed: Tensor, s1: Tensor) -> Tensor:
        x = self.up1(self.dec2(mixed))
        return self.out(self.dec1(torch.cat([s1, x], 1))).sigmoid()
