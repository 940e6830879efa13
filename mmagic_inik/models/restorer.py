"""MMagic's view of the networks: losses in training, predictions in testing."""

from typing import Any

from mmagic.models.base_models import BaseEditModel
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from mmengine.model import BaseModel
from torch import Tensor, nn

from ..ops.processor import resolve_dtype, say_if_slow
from ..options import DEFAULT_OVERLAP
from .build import build_part
from .prediction import Predicting, as_rgb, autocast_to, check_sides

# float16 would want losses scaled, as MMagic's --amp does.
TRAINING_DTYPES = ('auto', 'float32', 'bfloat16')


@MODELS.register_module()
class MultiScaleRestorer(Predicting, BaseEditModel):
    """Trains a network on all of its image scales and predicts the finest.

    A generator with a method ``forward_scales`` (INIKNet) is trained on every image it
    returns; any other generator on its one output, as the finest scale. Prediction
    calls the generator itself.

    For prediction, sides are extended at bottom and right to a multiple of
    ``size_divisor`` and to at least ``min_size``, by reflection, or by replication
    where the image is smaller than the extension; the output is cropped back. Images
    of one channel are restored as grey RGB and returned with one channel.

    ``test_cfg`` says how to predict; :meth:`restore` takes the last three per call:

    - ``clip=False`` delivers predictions beyond [0, 255], which MMagic would clip;
    - ``tile=512`` gives the generator overlapping pieces of so many pixels a side, for
      photos too large for the memory. Default: None, the whole image;
    - ``overlap`` is the number of pixels that neighbouring pieces share, at least.
      Default: 64. Both are multiples of ``size_divisor``;
    - ``dtype='bfloat16'`` or ``'float16'`` runs the generator under autocast;
      ``'auto'`` is bfloat16 where the processor has instructions for it, else float32.
      Default: ``'float32'``, which leaves types as they are, so that scores are the
      same on every machine.

    ``train_cfg=dict(dtype='bfloat16')``, or ``'auto'``, runs generator and loss under
    autocast in training; weights and gradients stay in float32. Default: ``'float32'``,
    which leaves an autocast around it alone, such as that of MMagic's ``--amp``.

    Args:
        generator (dict | nn.Module): (B, 3, H, W) in [0, 1] → the same.
        loss (dict | nn.Module): (list of predictions, finest first; target) → dict of
            named losses.
        size_divisor (int): Sides given to the generator are multiples of it.
            Default: 16, four pixels at the coarsest of three scales.
        min_size (int): Least side given to the generator. Default: 32.
        train_cfg (dict, optional): See above; other keys are ignored. Default: None.
        test_cfg (dict, optional): See above; other keys are ignored. Default: None.
        init_cfg (dict, optional): Initialisation, see mmengine's ``BaseModule``.
        data_preprocessor (dict, optional): Must scale images to [0, 1], RGB.

    Raises:
        ValueError: If ``size_divisor`` or ``min_size`` is not positive, or ``test_cfg``
            has a ``tile``, ``overlap`` or ``dtype`` that cannot be, or ``train_cfg`` a
            ``dtype``.
    """

    def __init__(
        self,
        generator: dict | nn.Module,
        loss: dict | nn.Module,
        size_divisor: int = 16,
        min_size: int = 32,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
    ) -> None:
        # BaseEditModel's own constructor would insist on configs and one pixel loss.
        BaseModel.__init__(self, init_cfg=init_cfg, data_preprocessor=data_preprocessor)
        check_sides(size_divisor, min_size)
        self.train_cfg = train_cfg
        self.test_cfg = test_cfg
        self.generator = build_part(generator)
        self.loss = build_part(loss)
        self.size_divisor = size_divisor
        self.min_size = min_size
        self.check_prediction(**self._prediction_options)
        if self._training_dtype not in TRAINING_DTYPES:
            raise ValueError(
                f'dtype of train_cfg must be in {TRAINING_DTYPES}, got '
                f'{self._training_dtype!r}'
            )

    @property
    def clips_predictions(self) -> bool:
        """Whether predictions are clipped to [0, 255] on their way to metrics."""
        return (self.test_cfg or {}).get('clip', True)

    @property
    def _prediction_options(self) -> dict:
        given = self.test_cfg or {}
        options = dict(tile=None, overlap=DEFAULT_OVERLAP, dtype='float32')
        return {key: given.get(key, default) for key, default in options.items()}

    @property
    def _training_dtype(self) -> str:
        return (self.train_cfg or {}).get('dtype', 'float32')

    def forward_tensor(
        self, inputs: Tensor, data_samples: DataSample | None = None, **kwargs: Any
    ) -> Tensor:
        """Restore a batch at the finest scale, as ``test_cfg`` says.

        Args:
            inputs (Tensor): (B, 3 or 1, H, W) in [0, 1], any size.
            data_samples (DataSample, optional): Not used.
            **kwargs: Passed to the generator.

        Returns:
            Tensor: Shape and type of ``inputs``, not clipped.
        """
        return self.restore(inputs, **self._prediction_options, **kwargs)

    def forward_inference(
        self, inputs: Tensor, data_samples: DataSample | None = None, **kwargs: Any
    ) -> DataSample:
        """Restore a batch and turn it into what metrics and visualizers take.

        Args:
            inputs (Tensor): (B, 3 or 1, H, W) in [0, 1], any size.
            data_samples (DataSample, optional): With the inputs' channel order.
            **kwargs: Passed to the generator.

        Returns:
            DataSample: ``pred_img`` (B, 3 or 1, H, W), BGR in [0, 255], or beyond that
            if ``test_cfg`` says ``clip=False``.
        """
        if self.clips_predictions:
            return super().forward_inference(inputs, data_samples, **kwargs)
        restored = self.forward_tensor(inputs, data_samples, **kwargs)
        # The two halves of MMagic's destruct(), which then clamps.
        preprocessor = self.data_preprocessor
        restored = preprocessor._destruct_norm_and_conversion(
            restored, data_samples, 'img'
        )
        restored = preprocessor._destruct_padding(restored, data_samples)
        return DataSample(pred_img=restored.cpu())

    def forward_train(
        self, inputs: Tensor, data_samples: DataSample, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Named losses of a batch, each summed over the scales.

        Args:
            inputs (Tensor): Blurred crops, (B, 3 or 1, H, W) in [0, 1].
            data_samples (DataSample): With the sharp crops ``gt_img``.
            **kwargs: Passed to the generator.

        Returns:
            dict[str, Tensor]: What ``loss`` returns.
        """
        inputs, target = as_rgb(inputs), as_rgb(data_samples.gt_img)
        dtype = resolve_dtype(self._training_dtype, inputs.device)
        say_if_slow(dtype, inputs.device)
        with autocast_to(dtype, inputs.device):
            forward_scales = getattr(self.generator, 'forward_scales', None)
            if forward_scales is None:
                predictions = [self.generator(inputs, **kwargs)]
            else:
                predictions = forward_scales(inputs, **kwargs)
            return self.loss(predictions, target)
