r"""IFAN: features filtered seventeen times by filters of their own.

Lee, Son, Rim, Cho, Lee: "Iterative Filter Adaptive Network for Single Image Defocus
Deblurring", CVPR 2021. From the image, a disparity map and both, filters are predicted
at 1/8 of the size: two of three taps and a bias per pixel, channel and iteration,

.. math::
    v = a_i \star_\mathrm{vertical} z^i, \quad
    h = q_i \star_\mathrm{horizontal} v, \quad
    z^{i+1} = \mathrm{LReLU}(h + \beta_i),

correlations padded by replication. In the paper :math:`q_i` is a second filter
:math:`b_i`; the release uses :math:`a_i` twice, by mistake, and its published weights
and numbers are made that way.

``inverse_filter`` is no form of this: its atoms are shared by all pixels. Here every
iteration predicts its filters when it needs them, by its rows of the last convolution;
all 15232 maps of a photo of 1680 × 1120 would be 1.8 GB, those of one iteration are
0.1 GB.
"""

from collections.abc import Iterable
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...registry import MODELS
from ..base_module import BaseModule
from ..padding import extend_sides
from .layers import scaled

FORMS = ('released', 'corrected')
_SLOPE = 0.1
_TAPS = 3
# At 1, 1/2, 1/4 and 1/8 of the size.
_WIDTHS = (32, 64, 128, 128)
_ITERATIONS = 17


@MODELS.register_module()
class IFAN(BaseModule):
    """The filter adaptive network, 10,476,996 parameters; RGB as released.

    Args:
        form (str): ``'released'``: the vertical filter is used horizontally, too, as in
            the release. ``'corrected'``: as in the paper's equations, which the
            authors recommend for training anew. Weights of one are not for the other.
            Default: ``'released'``.
        width (float): Share of the released channels, in multiples of 4; released
            weights fit 1 alone. Default: 1.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.
            Without it, Xavier's uniform one, of the filter predictor with gain 1.5, and
            zero biases, as in the release.

    Raises:
        ValueError: If ``form`` is unknown or ``width`` not positive.

    Example:
        >>> import torch
        >>> IFAN()(torch.rand(1, 3, 5, 7)).shape
        torch.Size([1, 3, 5, 7])
    """

    def __init__(
        self,
        form: str = 'released',
        width: float = 1.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if form not in FORMS:
            raise ValueError(f'form must be in {FORMS}, got {form!r}')
        self.form = form
        self.width = width
        widths = scaled(_WIDTHS, width)
        c = self.channels = widths[-1]
        self.encoder = _Encoder(widths)
        self.filter_encoder = _Encoder(widths)
        self.disparity_estimator = nn.Sequential(
            _conv(c, c), Residuals(c, 2), Residuals(c, 2), nn.Conv2d(c, 1, 3, padding=1)
        )
        self.disparity_encoder = _conv(1, c)
        self.fusion = nn.Sequential(
            _conv(2 * c, c), Residuals(c, 2), Residuals(c, 2), _conv(c, c)
        )
        self.predictor = nn.Sequential(
            _conv(c, c),
            Residuals(c, 2),
            Residuals(c, 2),
            nn.Conv2d(c, num_filters(c, _ITERATIONS), 1),
        )
        self.bottom = nn.Sequential(_conv(c, c), Residuals(c, 3), _conv(c, c))
        self.ups = nn.ModuleList(map(_Up, widths[:0:-1], widths[-2::-1]))
        self.out = _conv(widths[0], 3)
        init_xavier(self)
        init_xavier(self.predictor, gain=1.5)

    def forward(self, image: Tensor) -> Tensor:
        """Restore an image.

        Args:
            image (Tensor): Blurred image, (B, 3, H, W), RGB in [0, 1], any size.

        Returns:
            Tensor: Same shape, not clipped.
        """
        height, width = image.shape[-2:]
        padded = extend_sides(image, 8)
        features = self.filter_features(padded)
        levels = self.encoder(padded)
        z = levels.pop()
        last = self.predictor[-1]
        weight, bias = (last.get_parameter(name) for name in ('weight', 'bias'))
        for i in range(_ITERATIONS):
            a, b, beta = (
                F.conv2d(features, weight[rows], bias[rows]) for rows in self._rows(i)
            )
            z = filter_once(z, a, b, beta)
        return self.reconstruct(padded, z, levels)[..., :height, :width]

    def forward_filters(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Restore an image, and give all filters at once, for reblurring.

        Args:
            image (Tensor): As of :meth:`forward`.

        Returns:
            tuple[Tensor, Tensor]: The former; and K, (B, 119 C, ⌈H/8⌉, ⌈W/8⌉).
        """
        height, width = image.shape[-2:]
        padded = extend_sides(image, 8)
        filters = self.predictor[-1](self.filter_features(padded))
        *levels, z = self.encoder(padded)
        z = iterative_filter(z, filters, _ITERATIONS, self.form)
        return self.reconstruct(padded, z, levels)[..., :height, :width], filters

    def disparity(self, image: Tensor) -> Tensor:
        """Estimate d of an image, in pixels of 1/8 of the size.

        Args:
            image (Tensor): (B, 3, H, W) in [0, 1], sides multiples of 8.

        Returns:
            Tensor: (B, 1, H/8, W/8).
        """
        return self.disparity_estimator(self.filter_encoder(image)[-1])

    def filter_features(self, image: Tensor) -> Tensor:
        """What filters are made of: (B, C, H/8, W/8), C 128 as released."""
        e = self.filter_encoder(image)[-1]
        d = self.disparity_encoder(self.disparity_estimator(e))
        fused = self.fusion(torch.cat([e, d], 1))
        for layer in [*self.predictor][:-1]:
            fused = layer(fused)
        return fused

    def reconstruct(self, image: Tensor, z: Tensor, levels: list[Tensor]) -> Tensor:
        """The image and what is made of filtered features and those of the levels.

        Args:
            image (Tensor): (B, 3, H, W).
            z (Tensor): (B, C, H/8, W/8).
            levels (list[Tensor]): Of the encoder, finest first, without the coarsest.

        Returns:
            Tensor: (B, 3, H, W), not clipped.
        """
        x = self.bottom(z)
        for up, skip in zip(self.ups, levels[::-1], strict=True):
            x = up(x, skip)
        # The residual is activated, too, as released.
        return image + self.out(x)

    def _rows(self, i: int) -> tuple[slice, slice, slice]:
        """Where iteration i's a, its horizontal filter and its biases are predicted."""
        size = self.channels * _TAPS
        first = slice(2 * size * i, 2 * size * i + size)
        second = slice(first.stop, first.stop + size)
        start = 2 * size * _ITERATIONS + self.channels * i
        biases = slice(start, start + self.channels)
        return first, first if self.form == 'released' else second, biases


class IFANReblurNet(BaseModule):
    """Blurs the sharp image by what filters tell of the blur; for training alone.

    19,139,685 parameters. The same filters of 17 iterations, of three colours and at
    1/8 of the size, without an activation behind the last.

    Args:
        form (str): As of :class:`IFAN`. Default: ``'released'``.
        width (float): Of the IFAN whose filters these are. Default: 1.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.
            Without it, Xavier's uniform one and zero biases, as in the release.
    """

    def __init__(
        self,
        form: str = 'released',
        width: float = 1.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.form = form
        c = scaled(_WIDTHS, width)[-1]
        self.layers = nn.Sequential(
            _conv(num_filters(c, _ITERATIONS), c),
            Residuals(c, 2),
            Residuals(c, 2),
            nn.Conv2d(c, num_filters(3, _ITERATIONS), 3, padding=1),
        )
        init_xavier(self)

    def forward(self, filters: Tensor, sharp: Tensor) -> Tensor:
        """Blur a reduced image.

        Args:
            filters (Tensor): K of the blurred image, (B, 119 C, H/8, W/8).
            sharp (Tensor): The sharp image reduced, (B, 3, H/8, W/8).

        Returns:
            Tensor: Shape of ``sharp``.
        """
        own = self.layers(filters)
        return sharp + iterative_filter(
            sharp, own, _ITERATIONS, self.form, activate_last=False
        )


def iterative_filter(
    z: Tensor, filters: Tensor, iterations: int, form: str, activate_last: bool = True
) -> Tensor:
    """Filter with all the filters of a prediction.

    Args:
        z (Tensor): (B, C, H, W).
        filters (Tensor): (B, N · 7 C, H, W) for N iterations: per iteration, 3 C
            numbers of the first filter, taps of a channel next to each other, and 3 C
            of the second; behind all of these C biases per iteration.
        iterations (int): N.
        form (str): As of :class:`IFAN`.
        activate_last (bool): Whether the last iteration is activated. Default: True.

    Returns:
        Tensor: (B, C, H, W).
    """
    size = _TAPS * z.shape[1]
    pairs, biases = filters.tensor_split([2 * size * iterations], 1)
    for i, (pair, beta) in enumerate(
        zip(pairs.chunk(iterations, 1), biases.chunk(iterations, 1), strict=True)
    ):
        a, b = pair.chunk(2, 1)
        activate = activate_last or i < iterations - 1
        z = filter_once(z, a, a if form == 'released' else b, beta, activate)
    return z


def filter_once(
    z: Tensor, a: Tensor, q: Tensor, beta: Tensor, activate: bool = True
) -> Tensor:
    """One iteration of the module's docstring.

    Args:
        z (Tensor): (B, C, H, W).
        a (Tensor): Vertical filter, (B, 3 C, H, W), taps of a channel next to each
            other, the first that of the pixel above.
        q (Tensor): Horizontal filter, likewise, the first that of the pixel left.
        beta (Tensor): (B, C, H, W).
        activate (bool): Whether the result is activated. Default: True.

    Returns:
        Tensor: (B, C, H, W).
    """
    height, width = z.shape[-2:]
    # (B, C, 3, H, W)
    a, q = (w.unflatten(1, (-1, _TAPS)) for w in (a, q))
    padded = F.pad(z, (0, 0, 1, 1), 'replicate')
    v = _sum(a[:, :, t] * padded[..., t : t + height, :] for t in range(_TAPS))
    padded = F.pad(v, (1, 1, 0, 0), 'replicate')
    h = _sum(q[:, :, t] * padded[..., t : t + width] for t in range(_TAPS)) + beta
    return F.leaky_relu(h, _SLOPE) if activate else h


def _sum(terms: Iterable[Tensor]) -> Tensor:
    return reduce(torch.add, terms)


def num_filters(channels: int, iterations: int) -> int:
    """Numbers per pixel: two filters of three taps and a bias."""
    return iterations * channels * (2 * _TAPS + 1)


def init_xavier(network: nn.Module, gain: float = 1.0) -> None:
    """Xavier's uniform weights and zero biases.

    Args:
        network (nn.Module): All of its convolutions.
        gain (float): Factor. Default: 1.0.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight, gain)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class Residuals(nn.Module):
    """x ← LReLU(x + conv(LReLU(conv(x)))), m times; of several, x₀ is added.

    Args:
        channels (int): Of input and output.
        count (int): m.
    """

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.units = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.LeakyReLU(_SLOPE, inplace=True),
                nn.Conv2d(channels, channels, 3, padding=1),
            )
            for _ in range(count)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        start = x
        for unit in self.units:
            x = F.leaky_relu(x + unit(x), _SLOPE)
        return x + start if len(self.units) > 1 else x


class _Encoder(nn.Module):
    """Twelve convolutions; features at 1, 1/2, 1/4 and 1/8 of the size."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(
                _conv(source, width, stride=2 if depth else 1),
                _conv(width, width),
                _conv(width, width),
            )
            for depth, (source, width) in enumerate(
                zip((3, *widths[:-1]), widths, strict=True)
            )
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        features: list[Tensor] = []
        for level in self.levels:
            features.append(level(features[-1] if features else image))
        return features


class _Up(nn.Module):
    def __init__(self, source: int, width: int) -> None:
        super().__init__()
        self.up = nn.Sequential(
            nn.ConvTranspose2d(source, width, 4, 2, 1),
            nn.LeakyReLU(_SLOPE, inplace=True),
        )
        self.blocks = nn.Sequential(Residuals(width, 1), Residuals(width, 1))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.blocks(self.up(x) + skip)


def _conv(source: int, width: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(source, width, 3, stride, padding=1),
        nn.LeakyReLU(_SLOPE, inplace=True),
    )
