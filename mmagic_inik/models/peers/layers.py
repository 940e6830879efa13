"""What several peers are made of: widths, TensorFlow's paddings, plain U-Net levels."""

from collections.abc import Iterable

import torch.nn.functional as F
from torch import Tensor, nn


def scaled(channels: Iterable[int], width: float, multiple: int = 4) -> tuple[int, ...]:
    """Channels of a network that is narrower or wider than released.

    Args:
        channels (Iterable[int]): Of hidden layers as released, multiples of
            ``multiple``.
        width (float): Share of them.
        multiple (int): What all results are multiples of. Default: 4.

    Returns:
        tuple[int, ...]: The nearest multiples, at least ``multiple``.

    Raises:
        ValueError: If ``width`` is not positive.

    Example:
        >>> scaled((48, 96), 0.3), scaled((48, 96), 0.01)
        ((16, 28), (4, 4))
    """
    if width <= 0:
        raise ValueError(f'width must be positive, got {width}')
    return tuple(multiple * max(1, round(c * width / multiple)) for c in channels)


class UpConv(nn.Module):
    """Pixels doubled, then a 2 × 2 convolution, padded at bottom and right alone.

    Args:
        source (int): Input channels.
        width (int): Output channels.
    """

    def __init__(self, source: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(source, width, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, source, H, W) → (B, width, 2 H, 2 W)."""
        x = F.interpolate(x, scale_factor=2, mode='nearest')
        return F.relu(self.conv(F.pad(x, (0, 1, 0, 1))), inplace=True)


class DownConv(nn.Conv2d):
    """3 × 3 with stride 2 as TensorFlow pads it: at bottom and right alone.

    Args:
        source (int): Input channels.
        width (int): Output channels.
    """

    def __init__(self, source: int, width: int) -> None:
        super().__init__(source, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, source, H, W), even sides → (B, width, H/2, W/2)."""
        return super().forward(F.pad(x, (0, 1, 0, 1)))


def relu_convs(*widths: int) -> nn.Sequential:
    """3 × 3 convolutions, each with a ReLU.

    Args:
        *widths (int): Channels before, between and behind them.

    Returns:
        nn.Sequential: Convolution, ReLU, convolution, …
    """
    layers = []
    for source, width in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Conv2d(source, width, 3, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def init_as_keras(network: nn.Module) -> None:
    """He's normal weights and zero biases; Glorot's uniform ones before a sigmoid.

    Args:
        network (nn.Module): Kernels of one pixel are those before a sigmoid.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            if module.kernel_size == (1, 1):
                nn.init.xavier_uniform_(module.weight)
            else:
                nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
