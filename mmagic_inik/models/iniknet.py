"""INIKNet: pyramid → shared backbone → two necks → inverse-filtering head."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ..registry import MODELS
from .base_module import BaseModule
from .build import build_part
from .inverse_filter_head import InverseFilterHead


@MODELS.register_module()
class INIKNet(BaseModule):
    """Single-image defocus deblurring by predicted inverse kernels.

    Quan, Yao, Ji: "Single Image Defocus Deblurring via Implicit Neural Inverse
    Kernels", ICCV 2023. With the defaults of its parts this is the released network,
    1,976,847 parameters.

    Args:
        backbone (dict | nn.Module): image (B, 3, H, W) → feature (B, C, H, W), shared
            by all scales.
        neck (dict | Sequence[dict | nn.Module]): list of features, finest first → list
            of the same shapes. One config is built twice, for the size weights μ and
            the shape weights ω; a pair gives each its own.
        head (dict | nn.Module): (image, size feature, shape feature) → image, with an
            ``atom_bank``.
        num_scales (int): Image scales 1, 1/2, 1/4, …: P of the paper. Default: 3.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.

    Raises:
        ValueError: If ``num_scales`` is not positive or ``neck`` is no pair.
    """

    def __init__(
        self,
        backbone: dict | nn.Module,
        neck: dict | Sequence[dict | nn.Module],
        head: dict | nn.Module,
        num_scales: int = 3,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_scales < 1:
            raise ValueError(f'num_scales must be positive, got {num_scales}')
        necks = (neck, neck) if isinstance(neck, dict) else tuple(neck)
        if len(necks) != 2:
            raise ValueError(f'neck must be one config or a pair, got {len(necks)}')
        self.num_scales = num_scales
        self.backbone = build_part(backbone)
        self.size_neck, self.shape_neck = map(build_part, necks)
        self.head: InverseFilterHead = build_part(head)

    def pyramid(self, y: Tensor) -> list[Tensor]:
        """The image at all scales, finest first.

        Bilinear without antialiasing, as in the released code; odd sides round up.

        Args:
            y (Tensor): (B, C, H, W).

        Returns:
            list[Tensor]: (B, C, ⌈H/2^p⌉, ⌈W/2^p⌉) for p = 0 … num_scales − 1.
        """
        sides = [[-(-s // 2**p) for s in y.shape[-2:]] for p in range(self.num_scales)]
        return [y] + [
            F.interpolate(y, size, mode='bilinear', align_corners=False)
            for size in sides[1:]
        ]

    def extract(self, images: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Features for μ and for ω.

        Args:
            images (list[Tensor]): What :meth:`pyramid` returns.

        Returns:
            tuple[list[Tensor], list[Tensor]]: Size and shape features (B, C, h, w),
            finest scale first.
        """
        features = [self.backbone(image) for image in images]
        return self.size_neck(features), self.shape_neck(features)

    def forward(self, y: Tensor) -> Tensor:
        """Restore an image; filters at the finest scale alone.

        Args:
            y (Tensor): Blurred image, (B, 3, H, W), RGB in [0, 1], any size.

        Returns:
            Tensor: Restored image, same shape, not clipped.
        """
        size_features, shape_features = self.extract(self.pyramid(y))
        return self.head(y, size_features[0], shape_features[0])

    def forward_scales(self, y: Tensor) -> list[Tensor]:
        """Restore an image at every scale, for training.

        Args:
            y (Tensor): Blurred image, (B, 3, H, W), RGB in [0, 1], any size.

        Returns:
            list[Tensor]: Restored images, finest first, shapes as of :meth:`pyramid`.
        """
        images = self.pyramid(y)
        atoms = self.head.atom_bank()
        return [
            self.head(*parts, atoms)
            for parts in zip(images, *self.extract(images), strict=True)
        ]
