"""A neck of convolutions, with which the ConvLSTMs are compared."""

from torch import Tensor, nn

from ..registry import MODELS
from .base_module import BaseModule
from .duplex_conv_lstm import ChannelNorm
from .layers import PointConv2d, ResBlocks


@MODELS.register_module()
class ConvNeck(BaseModule):
    """Residual blocks in place of the ConvLSTMs; no scale learns of another.

    output = feature + conv1x1(ResBlocks(conv1x1(norm(feature)))), the blocks on 2C
    channels as in a ``ConvLSTMCell``, the weights shared by the scales. Not in the
    paper: it tells what the recurrence over scales gives beyond more layers. As many
    blocks of the same width as in both cells of a ``DuplexConvLSTM``, and 299,168
    parameters in place of 311,616; the network then has 1,951,951.

    Args:
        channels (int): Channels C of the features. Default: 32.
        num_res_blocks (int): Residual blocks per cell replaced; there are two cells.
            Default: 2.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.

    Raises:
        ValueError: If a number is not positive.

    Example:
        >>> import torch
        >>> neck = ConvNeck(channels=4, num_res_blocks=1)
        >>> scales = [torch.rand(1, 4, 8, 6), torch.rand(1, 4, 4, 3)]
        >>> [tuple(output.shape) for output in neck(scales)]
        [(1, 4, 8, 6), (1, 4, 4, 3)]
    """

    def __init__(
        self, channels: int = 32, num_res_blocks: int = 2, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        if min(channels, num_res_blocks) < 1:
            raise ValueError(
                'channels and num_res_blocks must be positive, got '
                f'{channels} and {num_res_blocks}'
            )
        self.layers = nn.Sequential(
            ChannelNorm(channels),
            PointConv2d(channels, 2 * channels),
            ResBlocks(2 * channels, 2 * num_res_blocks),
            PointConv2d(2 * channels, channels),
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Refine each scale by itself.

        Args:
            features (list[Tensor]): (B, C, h, w) per scale, finest first.

        Returns:
            list[Tensor]: Same shapes, finest first.
        """
        return [feature + self.layers(feature) for feature in features]
