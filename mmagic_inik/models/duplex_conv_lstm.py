"""ConvLSTM that runs over image scales in both directions."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import gated_update, using_references
from ..registry import MODELS
from .base_module import BaseModule
from .layers import PointConv2d, ResBlocks

CELL_STATES = ('recurrent', 'feature')


class ConvLSTMCell(nn.Module):
    """One step of the recurrence over scales.

    With z = ResBlocks([feature, h]) and (i, f, o, g) = conv1x1(z):
    c' = σ(f)·c + σ(i)·tanh(g) and h' = σ(o)·tanh(c').

    Args:
        channels (int): Channels C of feature, hidden state h and cell state c.
        num_res_blocks (int): Residual blocks on the 2C channels of [feature, h].
    """

    def __init__(self, channels: int, num_res_blocks: int) -> None:
        super().__init__()
        self.blocks = ResBlocks(2 * channels, num_res_blocks)
        self.gates = PointConv2d(2 * channels, 4 * channels)

    def forward(
        self, feature: Tensor, h: Tensor | None = None, c: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Advance one scale.

        Args:
            feature (Tensor): (B, C, H, W).
            h (Tensor, optional): Hidden state, same shape. Default: None, zero.
            c (Tensor, optional): Cell state, same shape. Default: None, zero.

        Returns:
            tuple[Tensor, Tensor]: New hidden and cell state, same shapes.
        """
        first, *others = self.blocks
        if h is None and using_references():
            h = torch.zeros_like(feature)
        if h is None:
            z = first.forward_padded(feature)
        else:
            z = first(torch.cat([feature, h], 1), overwrite=True)
        for block in others:
            z = block(z, overwrite=True)
        return gated_update(z, self.gates.weight, self.gates.bias, c)


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of every pixel, for (B, C, H, W) tensors."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


@MODELS.register_module()
class DuplexConvLSTM(BaseModule):
    """Neck that exchanges information between image scales in both directions.

    A fine-to-coarse pass over the normalised features gives h¹ at every scale, a
    coarse-to-fine pass over h¹ gives h²; the output is feature + h².

    Args:
        channels (int): Channels C of the features. Default: 32.
        num_res_blocks (int): Residual blocks per cell. Default: 2.
        cell_state (str): What a cell receives as its cell state c.
            ``'recurrent'`` (released implementation): the resized c of the scale
            before, like h. ``'feature'`` (the paper's text): the normalised feature of
            its own scale, in both passes; only h crosses scales.
            Default: ``'recurrent'``.
        reduction (int): Factor s by which the recurrence is coarser than the features:
            it reads their means over s × s pixels, and its h² is interpolated, which
            makes it s² times cheaper. Default: 1.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.

    Raises:
        ValueError: If a number is not positive or ``cell_state`` is unknown.

    Example:
        >>> import torch
        >>> neck = DuplexConvLSTM(channels=4, num_res_blocks=1)
        >>> scales = [torch.rand(1, 4, 8, 6), torch.rand(1, 4, 4, 3)]
        >>> [tuple(output.shape) for output in neck(scales)]
        [(1, 4, 8, 6), (1, 4, 4, 3)]
    """

    def __init__(
        self,
        channels: int = 32,
        num_res_blocks: int = 2,
        cell_state: str = 'recurrent',
        reduction: int = 1,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if min(channels, num_res_blocks, reduction) < 1:
            raise ValueError(
                'channels, num_res_blocks and reduction must be positive, got '
                f'{channels}, {num_res_blocks} and {reduction}'
            )
        if cell_state not in CELL_STATES:
            raise ValueError(f'cell_state must be in {CELL_STATES}, got {cell_state!r}')
        self.cell_state = cell_state
        self.reduction = reduction
        self.norm = ChannelNorm(channels)
        self.fine_to_coarse = ConvLSTMCell(channels, num_res_blocks)
        self.coarse_to_fine = ConvLSTMCell(channels, num_res_blocks)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Exchange information between scales.

        Args:
            features (list[Tensor]): (B, C, h, w) per scale, finest first.

        Returns:
            list[Tensor]: Same shapes, finest first.
        """
        normed = [self.norm(self._reduced(feature)) for feature in features]
        h1 = self._run(self.fine_to_coarse, normed, normed)
        h2 = self._run(self.coarse_to_fine, h1[::-1], normed[::-1])[::-1]
        return [
            feature + resize(h, feature)
            for feature, h in zip(features, h2, strict=True)
        ]

    def _reduced(self, feature: Tensor) -> Tensor:
        if self.reduction == 1:
            return feature
        # Partial blocks at the lower and right border are means of what there is.
        return F.avg_pool2d(feature, self.reduction, ceil_mode=True)

    def _run(
        self, cell: ConvLSTMCell, inputs: list[Tensor], features: list[Tensor]
    ) -> list[Tensor]:
        """Hidden states of one pass, in the order of ``inputs``."""
        state, hidden_states = None, []
        for x, feature in zip(inputs, features, strict=True):
            state = advance(cell, x, feature, state, self.cell_state)
            hidden_states.append(state[0])
        return hidden_states


def advance(
    cell: ConvLSTMCell,
    x: Tensor,
    feature: Tensor,
    state: tuple[Tensor, Tensor] | None,
    cell_state: str,
) -> tuple[Tensor, Tensor]:
    """Take a cell to the next scale.

    Args:
        cell (ConvLSTMCell): The cell.
        x (Tensor): What it reads at this scale, (B, C, H, W).
        feature (Tensor): Normalised feature of this scale, same shape.
        state (tuple[Tensor, Tensor], optional): h and c of the scale before, of any
            sides; None at the first scale, where both are zero.
        cell_state (str): As in :class:`DuplexConvLSTM`.

    Returns:
        tuple[Tensor, Tensor]: h and c of this scale, shape of ``x``.
    """
    h, c = state or (None, None)
    h = h if h is None else resize(h, x)
    if cell_state == 'feature':
        c = feature
    elif c is not None:
        c = resize(c, x)
    return cell(x, h, c)


def resize(x: Tensor, like: Tensor) -> Tensor:
    """Resize bilinearly, without antialiasing.

    Args:
        x (Tensor): (B, C, h, w).
        like (Tensor): With sides H and W.

    Returns:
        Tensor: (B, C, H, W).
    """
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return F.interpolate(x, like.shape[-2:], mode='bilinear', align_corners=False)
