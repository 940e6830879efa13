r"""GKMNet: Gaussian blurs of the image, mixed per pixel, from coarse to fine.

Quan, Wu, Ji: "Gaussian Kernel Mixture Network for Single Image Defocus Deblurring",
NeurIPS 2021. At the scales 1/4, 1/2 and 1, of features F of the reduced image y and of
a ConvLSTM come maps W in (−1, 1), and

.. math::
    x = \mathrm{conv}_{1 \times 1} [\, W_m G_k y_c, \; W_{m + 22} G_k \hat x_c \,],

:math:`\hat x` the estimate of the next coarser scale, doubled; :math:`G_0` is the
identity and :math:`G_k` a Gaussian with :math:`\sigma = k / 4`, cut at about
:math:`2 \sigma`. What c, k and m are, see :data:`BANKS`.

``inverse_filter`` computes such a mixture, too, with one atom of each size: two
products per pixel for each of its 3500 taps. Gaussians are separable: as rows and
columns they have 500 taps. Where no gradients are needed, the 132 maps, of 1680 × 1120
pixels a gigabyte, are held for some rows at a time.

The release reduces images in 8 bits; here they stay as exact as they are.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...registry import MODELS
from ..base_module import BaseModule
from ..duplex_conv_lstm import resize
from ..padding import extend_sides
from .layers import scaled

STATISTICS = ('batch', 'running')
NUM_KERNELS = 22
_RADIUS = 10
_COUNT = 3 * NUM_KERNELS
# Of the maps o = 0 … 65: colour, kernel and weight, and how borders are padded. In the
# first release, an error of indexing shows every colour a third of the kernels, and
# weights that do not follow them; the later release is what the paper's formula says.
BANKS = {
    'released': (
        [(o // NUM_KERNELS, o // 3, o % NUM_KERNELS) for o in range(_COUNT)],
        'constant',
    ),
    'updated': ([(o % 3, o // 3, o // 3) for o in range(_COUNT)], 'reflect'),
}
# At 1/4 of the size, features have 1/4 of its sides, and need more than one pixel for
# statistics; reflection needs a row more than it takes.
_LEAST = {'constant': 32, 'reflect': 4 * (_RADIUS + 1)}
_BAND = 65536


@MODELS.register_module()
class GKMNet(BaseModule):
    """The Gaussian mixture network, 1,409,131 parameters; RGB as released.

    Args:
        bank (str): ``'released'`` or ``'updated'``, see :data:`BANKS`; weights of one
            are not for the other. Default: ``'released'``, whose weights are published.
        statistics (str): What normalisation uses outside training. ``'batch'``: mean
            and variance of the image itself at its scale, as in both releases, which
            never leave training mode. ``'running'``: the averages of training, which
            mix the three scales. Default: ``'batch'``.
        width (float): Share of the released channels, in multiples of 4, but for
            the maps W and the ConvLSTM that makes them; released weights fit 1
            alone. Default: 1.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.

    Raises:
        ValueError: If ``bank`` or ``statistics`` is unknown or ``width`` not positive.

    Example:
        >>> import torch
        >>> GKMNet()(torch.rand(1, 3, 5, 7)).shape
        torch.Size([1, 3, 5, 7])
    """

    def __init__(
        self,
        bank: str = 'released',
        statistics: str = 'batch',
        width: float = 1.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if bank not in BANKS:
            raise ValueError(f'bank must be in {tuple(BANKS)}, got {bank!r}')
        if statistics not in STATISTICS:
            raise ValueError(f'statistics must be in {STATISTICS}, got {statistics!r}')
        widths = scaled((32, 64, 128), width)
        self.features = _FeatureNet(*widths)
        self.weights = _WeightPredictor(widths[0], 2 * NUM_KERNELS)
        self.bank = GaussianBank(bank)
        self.fuse = nn.Conv2d(2 * _COUNT, 3, 1)
        for module in self.modules():
            if isinstance(module, ImageNorm):
                module.statistics = statistics

    def forward(self, image: Tensor) -> Tensor:
        """Restore an image.

        Args:
            image (Tensor): Blurred image, (B, 3, H, W), RGB in [0, 1], any size.

        Returns:
            Tensor: Same shape, not clipped.
        """
        return self.forward_scales(image)[0]

    def forward_scales(self, image: Tensor) -> list[Tensor]:
        """Images of all scales, for training.

        Args:
            image (Tensor): As of :meth:`forward`.

        Returns:
            list[Tensor]: (B, 3, ⌈H/s⌉, ⌈W/s⌉) for s = 1, 2, 4.
        """
        height, width = image.shape[-2:]
        padded = extend_sides(image, 16, _LEAST[self.bank.border])
        half = halved(padded)
        estimates = self.estimates([padded, half, halved(half)])
        return [
            x[..., : -(-height // 2**s), : -(-width // 2**s)]
            for s, x in enumerate(estimates)
        ]

    def estimates(self, images: list[Tensor]) -> list[Tensor]:
        """Estimate the sharp image at every scale.

        Args:
            images (list[Tensor]): y at 1, 1/2 and 1/4 of the size, (B, 3, h, w), sides
                of the first multiples of 16.

        Returns:
            list[Tensor]: x, same shapes.
        """
        last, state, found = images[-1], None, []
        for y in images[::-1]:
            maps, state = self.weights(self.features(y), state)
            last = resize(last, y)
            last = self.mix([y, last], maps)
            found.append(last)
        return found[::-1]

    def mix(self, images: list[Tensor], maps: Tensor) -> Tensor:
        """Blur images by the bank, weigh the results and fuse them.

        Args:
            images (list[Tensor]): y and the last estimate, (B, 3, H, W).
            maps (Tensor): W, (B, 44, H, W).

        Returns:
            Tensor: x, (B, 3, H, W), of the type of y.
        """
        dtype = images[0].dtype
        with torch.autocast(maps.device.type, enabled=False):
            padded = [self.bank.pad(image) for image in images]
            if torch.is_grad_enabled():
                return self._mix(padded, maps.to(dtype))
            out = torch.empty_like(images[0])
            batch, _, height, width = out.shape
            count = max(1, _BAND // (batch * width))
            for start in range(0, height, count):
                end = min(start + count, height)
                seen = [p[:, :, start : end + 2 * _RADIUS] for p in padded]
                part = maps[:, :, start:end].to(dtype)
                out[:, :, start:end] = self._mix(seen, part)
            return out

    def _mix(self, padded: list[Tensor], maps: Tensor) -> Tensor:
        weighted = [
            self.bank(image) * part.index_select(1, self.bank.weights)
            for image, part in zip(padded, maps.chunk(2, 1), strict=True)
        ]
        weight, bias = (p.to(maps.dtype) for p in self.fuse.parameters())
        return F.conv2d(torch.cat(weighted, 1), weight, bias)


class GaussianBank(nn.Module):
    """Blurred images, 66 maps; nothing in it is trained.

    Args:
        name (str): In :data:`BANKS`.
    """

    order: Tensor
    weights: Tensor
    taps: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        maps, self.border = BANKS[name]
        colors, kernels, weights = zip(*maps, strict=True)
        # What is needed of a colour is computed once.
        distinct = sorted(set(zip(colors, kernels, strict=True)))
        self.kernels = [[k for color, k in distinct if color == c] for c in range(3)]
        order = [distinct.index((c, k)) for c, k, _ in maps]
        self.register_buffer('order', torch.tensor(order), persistent=False)
        self.register_buffer('weights', torch.tensor(weights), persistent=False)
        self.register_buffer('taps', gaussians(), persistent=False)

    def pad(self, image: Tensor) -> Tensor:
        """Extend an image by ten pixels on all sides, as :meth:`forward` needs it."""
        return F.pad(image, [_RADIUS] * 4, self.border)

    def forward(self, padded: Tensor) -> Tensor:
        """Blur an image.

        Args:
            padded (Tensor): (B, 3, H + 20, W + 20).

        Returns:
            Tensor: (B, 66, H, W).
        """
        blurred = []
        for c, kernels in enumerate(self.kernels):
            taps = self.taps[kernels].to(padded).unsqueeze(1)
            rows = F.conv2d(padded[:, c : c + 1], taps.unsqueeze(-1))
            blurred.append(F.conv2d(rows, taps.unsqueeze(-2), groups=len(kernels)))
        return torch.cat(blurred, 1).index_select(1, self.order)


class ImageNorm(nn.BatchNorm2d):
    """Batch norm that outside training can use the statistics of each image.

    Args:
        channels (int): Of its input.
        momentum (float): Of the running averages. Default: 0.1.
    """

    def __init__(self, channels: int, momentum: float = 0.1) -> None:
        super().__init__(channels, momentum=momentum)
        self.statistics = 'running'

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        if self.training or self.statistics == 'running':
            return super().forward(x)
        # Of every image alone: the releases test them one by one.
        return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)


def gaussians() -> Tensor:
    """Taps of all kernels, (22, 21), each with the sum one."""
    t = torch.arange(-_RADIUS, _RADIUS + 1, dtype=torch.float64)
    rows = [(t == 0).double()]
    for k in range(1, NUM_KERNELS):
        g = (-(t**2) / (2 * (k / 4) ** 2)).exp() * (t.abs() <= max(1, k // 2))
        rows.append(g / g.sum())
    return torch.stack(rows).float()


def halved(image: Tensor) -> Tensor:
    """Half of an image's size, by a triangle of twice a pixel's width, as PIL does.

    Args:
        image (Tensor): (B, C, H, W), even sides.

    Returns:
        Tensor: (B, C, H/2, W/2).
    """
    size = [side // 2 for side in image.shape[-2:]]
    # On a CPU, PyTorch has it in no narrower type.
    wide = image.to(torch.promote_types(image.dtype, torch.float32))
    half = F.interpolate(
        wide, size, mode='bilinear', align_corners=False, antialias=True
    )
    return half.to(image.dtype)


class _FeatureNet(nn.Module):
    """F of an image; skips are added."""

    def __init__(self, c1: int, c2: int, c3: int) -> None:
        super().__init__()
        self.first = _Block(nn.Conv2d(3, c1, 3, padding=1), c1, plain=True)
        self.down1 = _Block(nn.Conv2d(c1, c2, 3, 2, 1), c2)
        self.down2 = _Block(nn.Conv2d(c2, c3, 3, 2, 1), c3)
        self.bottleneck = _Block(nn.Conv2d(c3, c3, 3, padding=1), c3)
        self.up1 = _Block(nn.ConvTranspose2d(c3, c2, 2, 2), c2)
        self.up2 = _Block(nn.ConvTranspose2d(c2, c1, 2, 2), c1)

    def forward(self, image: Tensor) -> Tensor:
        f1 = self.down1(self.first(image))
        f2 = self.down2(f1)
        f3 = self.up1(self.bottleneck(f2) + f2)
        return self.up2(f3 + f1)


class _Block(nn.Module):
    """Head, two residual steps, triplet attention."""

    def __init__(self, conv: nn.Module, channels: int, plain: bool = False) -> None:
        super().__init__()
        self.head = nn.Sequential(conv)
        if not plain:
            self.head.extend([ImageNorm(channels), nn.ReLU(inplace=True)])
        self.steps = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1),
                ImageNorm(channels),
                nn.ReLU(inplace=True),
            )
            for _ in range(2)
        )
        self.attention = TripletAttention()

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(x)
        for step in self.steps:
            x = x + step(x)
        return self.attention(x)


class TripletAttention(nn.Module):
    """Mean of x gated by its maps over (H, W), (C, W) and (H, C)."""

    def __init__(self) -> None:
        super().__init__()
        # By the axis that each pools over.
        self.channels, self.height, self.width = (_Gate() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        gates = self.channels(x, 1), self.height(x, 2), self.width(x, 3)
        return x * (sum(gates) / 3)


class _Gate(nn.Module):
    """What multiplies x, of its maximum and mean over one axis."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.norm = ImageNorm(1, momentum=0.01)

    def forward(self, x: Tensor, dim: int) -> Tensor:
        pooled = [x.amax(dim, keepdim=True), x.mean(dim, keepdim=True)]
        # The axis takes the place of the channels: (B, 2, …).
        maps = torch.cat([m.transpose(1, dim) for m in pooled], 1)
        return self.norm(self.conv(maps)).sigmoid().transpose(1, dim)


class _WeightPredictor(nn.Module):
    """W from features and a ConvLSTM at half their size."""

    def __init__(self, channels: int, num_maps: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, num_maps, 3, padding=1)
        self.norm = ImageNorm(num_maps)
        self.gates = nn.Conv2d(channels + num_maps, 4 * num_maps, 5, padding=2)

    def forward(
        self, features: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Predict weights.

        Args:
            features (Tensor): F, (B, channels, H, W), even sides.
            state (tuple[Tensor, Tensor], optional): h and c of the coarser scale.

        Returns:
            tuple[Tensor, tuple[Tensor, Tensor]]: W, (B, num_maps, H, W), and h and c,
            (B, num_maps, H/2, W/2).
        """
        r = F.relu(self.norm(self.conv(features)))
        a = F.avg_pool2d(features, 2)
        if state is None:
            h = c = a.new_zeros(len(a), r.shape[1], *a.shape[2:])
        else:
            h, c = (resize(s, a) for s in state)
        i, f, o, g = self.gates(torch.cat([a, h], 1)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        u = F.interpolate(h, scale_factor=2, mode='nearest')
        # 2σ(ur + u) − 1.
        return (u * (r + 1) / 2).tanh(), (h, c)
