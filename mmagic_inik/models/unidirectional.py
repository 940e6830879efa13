"""INIKNet from coarse to fine alone, an ablation of the paper's Table 3."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..registry import MODELS
from .base_module import BaseModule
from .duplex_conv_lstm import CELL_STATES, ChannelNorm, ConvLSTMCell, advance, resize
from .iniknet import INIKNet

# h and c of both cells at the scale before.
State = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]


@MODELS.register_module()
class UnidirectionalConvLSTM(BaseModule):
    """Neck of two ConvLSTMs that both run from coarse to fine.

    The first reads the normalised features and gives h¹, the second reads h¹ and gives
    h²; the output is feature + h². These are a ``DuplexConvLSTM``'s parts and
    parameters (311,616) with the first pass turned round, so that a scale knows nothing
    of finer ones and can be computed before them: :meth:`step` does that.

    Args:
        channels (int): Channels C of the features. Default: 32.
        num_res_blocks (int): Residual blocks per cell. Default: 2.
        cell_state (str): As in ``DuplexConvLSTM``. Default: ``'recurrent'``.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.

    Raises:
        ValueError: If a number is not positive or ``cell_state`` is unknown.

    Example:
        >>> import torch
        >>> neck = UnidirectionalConvLSTM(channels=4, num_res_blocks=1)
        >>> scales = [torch.rand(1, 4, 8, 6), torch.rand(1, 4, 4, 3)]
        >>> [tuple(output.shape) for output in neck(scales)]
        [(1, 4, 8, 6), (1, 4, 4, 3)]
    """

    def __init__(
        self,
        channels: int = 32,
        num_res_blocks: int = 2,
        cell_state: str = 'recurrent',
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if min(channels, num_res_blocks) < 1:
            raise ValueError(
                'channels and num_res_blocks must be positive, got '
                f'{channels} and {num_res_blocks}'
            )
        if cell_state not in CELL_STATES:
            raise ValueError(f'cell_state must be in {CELL_STATES}, got {cell_state!r}')
        self.cell_state = cell_state
        self.norm = ChannelNorm(channels)
        self.first = ConvLSTMCell(channels, num_res_blocks)
        self.second = ConvLSTMCell(channels, num_res_blocks)

    def step(self, feature: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Go one scale finer.

        Args:
            feature (Tensor): Feature of this scale, (B, C, H, W).
            state (State, optional): What the step at the next coarser scale returned.
                Default: None, at the coarsest.

        Returns:
            tuple[Tensor, State]: The neck's output, shape of ``feature``, and what the
            next step needs.
        """
        before1, before2 = state or (None, None)
        normed = self.norm(feature)
        state1 = advance(self.first, normed, normed, before1, self.cell_state)
        state2 = advance(self.second, state1[0], normed, before2, self.cell_state)
        return feature + state2[0], (state1, state2)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Carry information from coarse to fine.

        Args:
            features (list[Tensor]): (B, C, h, w) per scale, finest first.

        Returns:
            list[Tensor]: Same shapes, finest first.
        """
        state, outputs = None, []
        for feature in features[::-1]:
            output, state = self.step(feature, state)
            outputs.append(output)
        return outputs[::-1]


@MODELS.register_module()
class UnidirectionalINIKNet(INIKNet):
    """INIKNet without exchange in both directions ("Unidirectional" of Table 3).

    The paper's ablation of the duplex necks: the network restores scale after scale
    from coarse to fine, both necks carry their state that way alone, and the backbone
    sees, beside the image, the image restored at the scale before, enlarged bilinearly;
    at the coarsest scale it sees the image twice. Gradients flow through the restored
    image. Default parts give 1,977,711 parameters in place of 1,976,847: the first
    convolution reads three channels more. No scale can be left out or start early, so
    that inference filters at all of them.

    Args:
        backbone (dict | nn.Module): (B, 6, H, W), image and restored image → feature
            (B, C, H, W), shared by all scales.
        neck (dict | Sequence[dict | nn.Module]): As in ``INIKNet``, with the method
            ``step`` of :class:`UnidirectionalConvLSTM`.
        head (dict | nn.Module): As in ``INIKNet``.
        num_scales (int): As in ``INIKNet``. Default: 3.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.

    Raises:
        ValueError: If ``num_scales`` is not positive, ``neck`` is no pair or a neck
            cannot go step by step.
    """

    def __init__(
        self,
        backbone: dict | nn.Module,
        neck: dict | Sequence[dict | nn.Module],
        head: dict | nn.Module,
        num_scales: int = 3,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(backbone, neck, head, num_scales, init_cfg)
        for part in (self.size_neck, self.shape_neck):
            if not hasattr(part, 'step'):
                raise ValueError(
                    'neck must go scale by scale, as UnidirectionalConvLSTM does, got '
                    f'{type(part).__name__}'
                )

    def extract(self, images: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Features for μ and for ω; restores all scales on the way.

        Args:
            images (list[Tensor]): What :meth:`pyramid` returns.

        Returns:
            tuple[list[Tensor], list[Tensor]]: Size and shape features (B, C, h, w),
            finest scale first.
        """
        size_features, shape_features, _ = self._restore(images)
        return size_features, shape_features

    def forward(self, y: Tensor) -> Tensor:
        """Restore an image.

        Args:
            y (Tensor): Blurred image, (B, 3, H, W), RGB in [0, 1], any size.

        Returns:
            Tensor: Restored image, same shape, not clipped.
        """
        return self.forward_scales(y)[0]

    def forward_scales(self, y: Tensor) -> list[Tensor]:
        """Restore an image at every scale.

        Args:
            y (Tensor): Blurred image, (B, 3, H, W), RGB in [0, 1], any size.

        Returns:
            list[Tensor]: Restored images, finest first, shapes as of :meth:`pyramid`.
        """
        return self._restore(self.pyramid(y))[2]

    def _restore(
        self, images: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Size features, shape features and restored images, finest first."""
        atoms = self.head.atom_bank()
        restored, size_state, shape_state = images[-1], None, None
        scales = []
        for image in images[::-1]:
            feature = self.backbone(torch.cat([image, resize(restored, image)], 1))
            size_feature, size_state = self.size_neck.step(feature, size_state)
            shape_feature, shape_state = self.shape_neck.step(feature, shape_state)
            restored = self.head(image, size_feature, shape_feature, atoms)
            scales.append((size_feature, shape_feature, restored))
        sizes, shapes, results = zip(*scales[::-1], strict=True)
        return list(sizes), list(shapes), list(results)
