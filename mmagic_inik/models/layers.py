"""The layers that the parts of the network are made of."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import reflect_conv
from ..ops.precision import autocast, compute


class PointConv2d(nn.Conv2d):
    """1x1 convolution, also fast in types that a CPU has no instructions for.

    Args:
        in_channels (int): Input channels.
        out_channels (int): Output channels.
    """

    bias: nn.Parameter

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, out_channels, H, W)."""
        return compute(F.conv2d, *autocast(x, self.weight, self.bias))


class DoublingConv2d(nn.ConvTranspose2d):
    """Transposed 4x4 convolution without bias that doubles sides; fast likewise.

    Args:
        in_channels (int): Input channels.
        out_channels (int): Output channels.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 4, 2, 1, bias=False)

    # Of one size alone, which torch's could be given.
    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """(B, in_channels, H, W) → (B, out_channels, 2H, 2W)."""
        double = partial(F.conv_transpose2d, stride=2, padding=1)
        return compute(double, *autocast(x, self.weight))


class ReflectConv2d(nn.Conv2d):
    """3x3 convolution without bias whose input is padded by reflection.

    An image with a side of one pixel is replicated instead, so that any size passes.

    Args:
        in_channels (int): Input channels.
        out_channels (int): Output channels.
        stride (int): 1 or 2; sides are divided by it, rounding up. Default: 1.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, 3, stride, bias=False)

    def forward(
        self,
        x: Tensor,
        relu: bool = False,
        residual: Tensor | None = None,
        overwrite: bool = False,
    ) -> Tensor:
        """Convolve, add a residual, rectify.

        Args:
            x (Tensor): (B, in_channels, H, W), or its first channels where the others
                are zero.
            relu (bool): Whether to rectify. Default: False.
            residual (Tensor, optional): Of the result's shape.
            overwrite (bool): Whether the result may take its place. Default: False.

        Returns:
            Tensor: (B, out_channels, ⌈H/stride⌉, ⌈W/stride⌉).
        """
        # A number in a trace, too: exporters want kernels of known shape.
        weight = self.weight[:, : int(x.shape[1])]
        return reflect_conv(x, weight, self.stride[0], relu, residual, overwrite)


class ResBlock(nn.Module):
    """x + conv(relu(conv(x))), both 3x3 and padded by reflection.

    Args:
        channels (int): Channels of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ReflectConv2d(channels, channels)
        self.conv2 = ReflectConv2d(channels, channels)

    def forward(self, x: Tensor, overwrite: bool = False) -> Tensor:
        """Refine features.

        Args:
            x (Tensor): (B, C, H, W).
            overwrite (bool): Whether the result may take the place of x, where no
                gradients are needed. Default: False.

        Returns:
            Tensor: Shape of x.
        """
        inner = self.conv1(x, relu=True)
        return self.conv2(inner, residual=x, overwrite=overwrite)

    def forward_padded(self, x: Tensor) -> Tensor:
        """As ``forward`` of x and zeros.

        Args:
            x (Tensor): (B, K, H, W), the first K of the C channels.

        Returns:
            Tensor: (B, C, H, W).
        """
        batch, given, *size = x.shape
        zeros = x.new_zeros(batch, self.conv1.in_channels - int(given), *size)
        inner = self.conv1(x, relu=True)
        padded = torch.cat([x, zeros], 1)
        return self.conv2(inner, residual=padded, overwrite=True)


class ResBlocks(nn.Sequential):
    """A chain of residual blocks.

    Args:
        channels (int): Channels of input and output.
        num_res_blocks (int): Number of blocks.
    """

    def __init__(self, channels: int, num_res_blocks: int) -> None:
        super().__init__(*(ResBlock(channels) for _ in range(num_res_blocks)))

    if TYPE_CHECKING:

        def __iter__(self) -> Iterator[ResBlock]:
            """All are of one class."""

    def forward(self, x: Tensor, overwrite: bool = False) -> Tensor:
        """Refine features; arguments and result as of :class:`ResBlock`."""
        for block in self:
            x = block(x, overwrite)
            overwrite = True
        return x
