"""A layer of any network as a backbone."""

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from ..errors import InputError
from ..registry import MODELS
from .base_module import BaseModule
from .build import build_part
from .layers import PointConv2d
from .padding import extend_sides

_CONTAINERS = (nn.ModuleDict, nn.ModuleList, nn.Sequential)


class _Reached(BaseException):  # like GeneratorExit, no error
    """Carries a layer's output out of the network it is in the middle of."""

    def __init__(self, output: Any) -> None:
        self.output = output


@MODELS.register_module()
class TappedBackbone(BaseModule):
    """Features of any network, taken from one of its layers.

    The network runs up to ``layer`` and no further. A 1×1 convolution brings what the
    layer gives to C channels, and where it is coarser than the image, it is resized
    bilinearly (``align_corners=False``). For a network that wants sides of a certain
    multiple, the image is extended at bottom and right, by reflection or, where it is
    smaller than the extension, by replication; the feature is cropped back.

    The constructor runs the network once on a small black image, to learn the layer's
    channels and what comes before it. Modules behind the layer are replaced by
    identities; parameters that are passed on the way and do not reach the layer's
    output are frozen. So all that is trained has a gradient, as distributed training
    asks for, and checkpoints hold no weight that is never used.

    Args:
        network (dict | nn.Module): Takes an image (B, 3, H, W). The module itself is
            changed.
        layer (str): Dotted path of a module inside it, as in ``named_modules()``, whose
            output is (B, any, h, w). Where it is called more than once, the first
            call counts.
        channels (int): Channels C of the feature. Default: 32.
        size_divisor (int): What the sides given to the network are multiples of: 16 for
            a NAFNet of four levels, 8 for Restormer. Default: 1.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.

    Raises:
        InputError: If there is no such layer, the network does not call it, or it gives
            no feature whose sides divide the image's.
        ValueError: If a number is not positive.

    Example:
        >>> import torch
        >>> network = torch.nn.Sequential(
        ...     torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.Conv2d(8, 3, 3)
        ... )
        >>> backbone = TappedBackbone(network, '0', channels=4, size_divisor=2)
        >>> backbone(torch.rand(1, 3, 9, 7)).shape
        torch.Size([1, 4, 9, 7])
        >>> backbone.network[1]
        Identity()
    """

    def __init__(
        self,
        network: dict | nn.Module,
        layer: str,
        channels: int = 32,
        size_divisor: int = 1,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if min(channels, size_divisor) < 1:
            raise ValueError(
                'channels and size_divisor must be positive, got '
                f'{channels} and {size_divisor}'
            )
        self.network = build_part(network)
        self.layer = layer
        self.size_divisor = size_divisor
        _find_layer(self.network, layer).register_forward_hook(_leave)
        self.projection = PointConv2d(self._keep_what_is_reached(), channels)

    def forward(self, image: Tensor) -> Tensor:
        """Extract features.

        Args:
            image (Tensor): (B, 3, H, W), RGB in [0, 1], any size.

        Returns:
            Tensor: (B, C, H, W).
        """
        padded = extend_sides(image, self.size_divisor)
        feature = self.projection(self._run_to_layer(self.network, padded))
        if feature.shape[-2:] != padded.shape[-2:]:
            feature = F.interpolate(
                feature, padded.shape[-2:], mode='bilinear', align_corners=False
            )
        return feature[..., : image.shape[-2], : image.shape[-1]]

    def _run_to_layer(self, run: Callable[[Tensor], object], image: Tensor) -> Tensor:
        try:
            run(image)
        except _Reached as reached:
            return reached.output
        raise InputError(
            f'layer {self.layer!r} of {type(self.network).__name__} is not called by '
            'its forward(); name one that is, such as an item of a ModuleList'
        )

    def _keep_what_is_reached(self) -> int:
        """Drop or freeze what the layer does not depend on; return its channels."""
        network, called = self.network, set()
        hooks = [
            module.register_forward_pre_hook(lambda module, _: called.add(module))
            for module in network.modules()
        ]
        # Copies, so that parameters somebody has frozen count as well.
        copies = {
            name: parameter.detach().clone().requires_grad_()
            for name, parameter in network.named_parameters()
        }
        training = network.training
        network.eval()  # no step of batch norm's statistics
        with torch.enable_grad():
            feature = self._probe(
                lambda image: functional_call(network, copies, (image,))
            )
            gradients = torch.autograd.grad(
                feature.sum(), list(copies.values()), allow_unused=True
            )
        network.train(training)
        for hook in hooks:
            hook.remove()
        unreached = {
            parameter
            for parameter, gradient in zip(network.parameters(), gradients, strict=True)
            if gradient is None
        }
        _drop(network, unreached, called)
        for parameter in unreached:
            parameter.requires_grad_(False)
        return feature.shape[1]

    def _probe(self, run: Callable[[Tensor], object]) -> Tensor:
        """What the layer gives for a small image, checked."""
        like = next(self.network.parameters())
        # Two odd multiples: a network that pads to more than size_divisor is found out,
        # for its feature, however coarse, does not divide both.
        height = self.size_divisor * (32 // self.size_divisor | 1)
        image = like.new_zeros(1, 3, height, height + 2 * self.size_divisor)
        name, sides = type(self.network).__name__, tuple(image.shape[-2:])
        try:
            feature = self._run_to_layer(run, image)
        except (RuntimeError, AssertionError) as error:
            raise InputError(
                f'{name} cannot take an image of {sides} ({error}); give size_divisor '
                f'the multiple that its sides must be of, not {self.size_divisor}'
            ) from error
        shape = tuple(getattr(feature, 'shape', ()))
        if len(shape) != 4 or not _divides(shape[-2:], sides):
            raise InputError(
                f'layer {self.layer!r} of {name} gives a {type(feature).__name__} '
                f'{shape} for an image of {sides}, not a feature (B, C, h, w) whose '
                'sides divide it alike; name another layer, or give size_divisor the '
                f'multiple that {name} pads its image to, not {self.size_divisor}'
            )
        return feature


def _leave(module: nn.Module, inputs: tuple, output: object) -> None:
    raise _Reached(output)


def _find_layer(network: nn.Module, layer: str) -> nn.Module:
    modules = dict(network.named_modules())
    if layer and layer in modules:
        return modules[layer]
    names = [name for name in modules if name]
    near = get_close_matches(layer, names, n=5, cutoff=0.4)
    near = near or [name for name, _ in network.named_children()]
    raise InputError(
        f'layer {layer!r} is not in {type(network).__name__}; near names: '
        + ', '.join(near)
    )


def _divides(sides: tuple[int, ...], image_sides: tuple[int, ...]) -> bool:
    (h, w), (height, width) = sides, image_sides
    return height % h == 0 and width % w == 0 and height // h == width // w


def _drop(network: nn.Module, unreached: set, called: set) -> None:
    """Replace modules with nothing but unreached parameters by identities.

    Their containers stay, since a network may ask for their length.
    """
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            parameters = list(child.parameters())
            if (
                parameters
                and not isinstance(child, _CONTAINERS)
                and unreached.issuperset(parameters)
                and called.isdisjoint(child.modules())
            ):
                setattr(parent, name, nn.Identity())
