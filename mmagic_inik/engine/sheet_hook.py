"""Pictures of what a network does at every validation of a training run."""

import re
from collections.abc import Sequence

import numpy as np
from mmagic.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from torch import Tensor

from ..visualization.kernels import HeadWatch, has_weight_maps
from ..visualization.validation_sheet import as_pixels, validation_sheet


@HOOKS.register_module()
class ValidationSheetHook(Hook):
    """Leaves one sheet of pictures per validation and data set.

    On it is the set's first photograph: input, restored and, if any, target; of a
    network whose head predicts size weights, also the map of the expected kernel size
    and the weights μ. It goes to the runner's visualizer, whose backends write it to
    ``vis_data/vis_image/validation[_SET]_ITERATION.png`` and, where configured, to
    TensorBoard. Everything is taken from the validation's own pass through the
    network, on the first rank alone; nothing is computed twice and no random number
    drawn.

    Args:
        max_side (int): Longest side of each drawn picture in pixels; larger ones are
            reduced. Default: 512.

    Raises:
        ValueError: If ``max_side`` is not positive.
    """

    def __init__(self, max_side: int = 512) -> None:
        if max_side < 1:
            raise ValueError(f'max_side must be positive, got {max_side}')
        self.max_side = max_side
        self._drawn: set[int] = set()
        self._watch: HeadWatch | None = None

    def before_val_epoch(self, runner: Runner) -> None:
        """No set has been drawn yet."""
        self._drawn.clear()

    def before_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Watch the head while it restores a set's first batch."""
        if not is_main_process() or id(runner.val_loop.dataloader) in self._drawn:
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        network = getattr(model, 'generator', None)
        if network is not None and has_weight_maps(network):
            self._watch = HeadWatch(network.head)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None,
        outputs: Sequence,
    ) -> None:
        """Draw a set's first photograph."""
        loader = id(runner.val_loop.dataloader)
        if not is_main_process() or loader in self._drawn:
            return
        self._drawn.add(loader)
        photos = photos_of(outputs[0].to_dict())
        prediction = None
        if self._watch is not None:
            prediction = self._watch.stop(*photos['input'].shape[:2])
            self._watch = None
        name = 'validation' + prefix_of(runner.val_loop)
        title = f'{name}, iteration {runner.iter}'
        figure = validation_sheet(photos, prediction, title, self.max_side)
        runner.visualizer.add_image(name, as_pixels(figure, dpi=100), runner.iter)


def photos_of(sample: dict) -> dict[str, np.ndarray]:
    """What MMagic's validation returns for one photograph, to look at.

    Args:
        sample (dict): ``input``, ``output.pred_img`` and perhaps ``gt_img``, each
            (3 or 1, H, W), BGR in [0, 255].

    Returns:
        dict[str, np.ndarray]: (H, W, 3) uint8 RGB by title.
    """
    tensors = dict(input=sample['input'], restored=sample['output']['pred_img'])
    if 'gt_img' in sample:
        tensors['target'] = sample['gt_img']
    return {title: _as_rgb(tensor) for title, tensor in tensors.items()}


def prefix_of(loop: BaseLoop) -> str:
    """The prefix of a data set's scores, for file names: ``'_DPDD'``, or nothing."""
    prefixes = [metric.prefix for metric in loop.evaluator.metrics]
    if not prefixes or not prefixes[0]:
        return ''
    return '_' + re.sub(r'[^\w.-]+', '_', prefixes[0])


def _as_rgb(tensor: Tensor) -> np.ndarray:
    image = tensor.float().cpu().numpy().clip(0, 255)
    image = np.rint(image).astype(np.uint8)[::-1].transpose(1, 2, 0)
    return np.broadcast_to(image, (*image.shape[:2], 3))
