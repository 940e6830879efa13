"""The two layers that U-Net and ConvLSTM cells are made of."""

import torch.nn.functional as F
from torch import Tensor, nn


class ReflectConv2d(nn.Conv2d):
    """3x3 convolution without bias whose input is padded by reflection.

    A side of one pixel has nothing to reflect and is replicated instead, so that
    images of any size pass.

    Args:
        in_channels (int): Input channels.
        out_channels (int): Output channels.
        stride (int): 1 or 2; sides are divided by it, rounding up. Default: 1.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, 3, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, out_channels, ⌈H/stride⌉, ⌈W/stride⌉)."""
        mode = 'reflect' if min(x.shape[-2:]) > 1 else 'replicate'
        return super().forward(F.pad(x, (1, 1, 1, 1), mode))


class ResBlock(nn.Module):
    """x + conv(relu(conv(x))), both 3x3 and padded by reflection.

    Args:
        channels (int): Channels of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ReflectConv2d(channels, channels)
        self.conv2 = ReflectConv2d(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        return x + self.conv2(F.relu(self.conv1(x)))


def res_blocks(channels: int, num_res_blocks: int) -> nn.Sequential:
    """A chain of ``num_res_blocks`` blocks."""
    return nn.Sequential(*(ResBlock(channels) for _ in range(num_res_blocks)))
