"""What ``MMagicInferencer('iniknet')`` runs: photos and arrays through ``restore``.

MMagic's inferencer of restoring models takes one path, makes 8 bits of it, and gives
the whole image to the network at once. This one keeps what ``tools/restore.py`` keeps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from mmagic.apis.inferencers.base_mmagic_inferencer import BaseMMagicInferencer
from mmagic.structures import DataSample
from mmengine.config import Config

from .errors import InputError
from .launch import check_device
from .mmagic_api import own_weights
from .options import DEFAULT_OVERLAP
from .photos import EXTENSIONS
from .restoration import load_restorer, open_photo, restore
from .restoration.encoding import encode_array, write_photo, write_whole
from .restoration.jobs import check_target, forms_of, place_of

Image = str | Path | np.ndarray
# Endings of one format.
_FAMILIES = (
    {'.jfif', '.jif', '.jpe', '.jpeg', '.jpg'},
    {'.tif', '.tiff'},
    {'.heic', '.heif', '.hif'},
)


@dataclass
class Given:
    """One image that is to be restored.

    Attributes:
        image (Path | np.ndarray): A photo's file, or pixels as
            :func:`~.restoration.restore` takes them.
        target (Path, optional): Where the restored one goes.
        remarks (list[str]): What of a photo's file could not be kept.
    """

    image: Path | np.ndarray
    target: Path | None
    remarks: list[str] = field(default_factory=list)


class PhotoInferencer(BaseMMagicInferencer):
    """Restores photos and arrays, as they are.

    Args:
        config (str | Config): Of a restoring network.
        ckpt (str): Path of its weights.
        device (str | torch.device, optional): Default: CUDA where there is a GPU.
        extra_parameters (dict, optional): ``tile``, ``overlap`` and ``dtype`` of
            :func:`~.restoration.restore`.
        seed (int): Nothing here is random; MMagic gives it to all. Default: 2022.

    Raises:
        InputError: If config, checkpoint or device cannot be used, or a parameter is
            none of these.
    """

    def __init__(
        self,
        config: str | Config,
        ckpt: str | None = None,
        device: str | torch.device | None = None,
        extra_parameters: dict | None = None,
        seed: int = 2022,
    ) -> None:
        # MMagic's would also build the config's data pipeline and visualizer.
        self.device = check_device(str(device) if device else None, 'device')
        self.seed = seed
        # Of this object; MMagic's other inferencers share theirs by class.
        self.extra_parameters = dict(tile='auto', overlap=DEFAULT_OVERLAP, dtype='auto')
        self._update_extra_parameters(extra_parameters)
        self.model = load_restorer(config, own_weights(config, ckpt), self.device)

    def base_call(
        self,
        img: Image | Sequence[Image] | None = None,
        result_out_dir: str | Path = '',
        extra_parameters: dict | None = None,
        **others: object,
    ) -> tuple:
        """Restore an image or several; ``MMagicInferencer.infer(…)`` calls it.

        Args:
            img (str | Path | np.ndarray | Sequence): A photo's path, an array
                (H, W, 3) RGB or (H, W) in uint8, uint16, or float32 in [0, 1], or a
                list of these.
            result_out_dir (str | Path): The result's file for one image, of the
                photo's own format; else the folder. What is there is replaced, but
                never a photo that is restored. Default: write nothing.
            extra_parameters (dict, optional): As the constructor's, from now on.
            **others (object): What MMagic's other models are given: None.

        Returns:
            tuple: ``dict(infer_results=DataSample)`` and the restored image as
            :func:`~.restoration.restore` returns it; of a list, lists of both.

        Raises:
            InputError: If an image cannot be read or restored, or its result not be
                written. What was written before is complete.
        """
        unknown = sorted(name for name, value in others.items() if value is not None)
        if unknown:
            raise InputError(
                f'{", ".join(unknown)} cannot be given to a network that restores '
                'photos; give img, result_out_dir and extra_parameters'
            )
        self._update_extra_parameters(extra_parameters)
        asked = img if isinstance(img, list | tuple) else [img]
        images = self.preprocess(asked, result_out_dir)
        results = []
        for given in images:
            pixels = self.forward(given)
            results.append((self.postprocess(given, pixels), pixels))
        if asked is img:
            return [sample for sample, _ in results], [pixels for _, pixels in results]
        return results[0]

    def preprocess(
        self, images: Sequence[object], result_out_dir: str | Path = ''
    ) -> list[Given]:
        """Find where each result goes before anything is restored.

        Args:
            images (Sequence[str | Path | np.ndarray]): Photos and arrays.
            result_out_dir (str | Path): As for :meth:`base_call`.

        Returns:
            list[Given]: As many.

        Raises:
            InputError: If one is neither, or its result would replace a photo or
                another's result, or would be of another format.
        """
        found = [_check_kind(image) for image in images]
        if not result_out_dir:
            return [Given(image, None) for image in found]
        out = Path(result_out_dir)
        if out.suffix.lower() in EXTENSIONS and not out.is_dir():
            if len(found) != 1:
                raise InputError(
                    f'result_out_dir {out} is one file for {len(found)} images; name '
                    'a folder'
                )
            places = [out]
        else:
            places = [out / _name(image, n) for n, image in enumerate(found)]
        _check_places(found, places)
        return list(map(Given, found, places))

    def forward(self, given: Given) -> np.ndarray:
        """Restore an image, and write it where it has a place.

        Args:
            given (Given): From :meth:`preprocess`.

        Returns:
            np.ndarray: As :func:`~.restoration.restore` returns it.

        Raises:
            InputError: If it cannot be read, restored or written.
        """
        options = self.extra_parameters
        if isinstance(given.image, np.ndarray):
            restored = restore(given.image, self.model, **options)
            if given.target:
                content = encode_array(restored, given.target.suffix.lower())
                write_whole(given.target, content)
            return restored
        photo = open_photo(given.image)
        restored = restore(photo.pixels, self.model, **options)
        if given.target:
            write_photo(photo, restored, given.target)
            given.remarks += photo.remarks
        return restored

    def postprocess(self, given: Given, pixels: np.ndarray) -> dict:
        """The result in MMagic's form.

        Args:
            given (Given): From :meth:`preprocess`.
            pixels (np.ndarray): Its restored image.

        Returns:
            dict: ``infer_results``, a DataSample: ``output.pred_img`` is a view
            (C, H, W) of ``pixels``, RGB or grey, in their type; as metadata it has
            ``img_path``, ``result_path`` and ``remarks``.
        """
        planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        output = DataSample(pred_img=torch.from_numpy(planes))
        array = isinstance(given.image, np.ndarray)
        sample = DataSample(
            metainfo=dict(
                img_path=None if array else str(given.image),
                result_path=given.target and str(given.target),
                remarks=given.remarks,
            ),
            output=output,
        )
        return dict(infer_results=sample)

    def _update_extra_parameters(self, parameters: dict | None = None) -> None:
        unknown = sorted((parameters or {}).keys() - self.extra_parameters.keys())
        if unknown:
            raise InputError(
                f'extra_parameters has {", ".join(unknown)}; it takes '
                f'{", ".join(self.extra_parameters)}'
            )
        self.extra_parameters |= parameters or {}


def _check_kind(image: object) -> Path | np.ndarray:
    if isinstance(image, np.ndarray):
        return image
    if not isinstance(image, str | Path):
        raise InputError(
            f'img is {type(image).__name__}; give the path of a photo, an array, or a '
            'list of these'
        )
    if Path(image).is_dir():
        raise InputError(
            f'{image} is a folder; give a list of its photos, or run mmagic-inik '
            f'restore {image}'
        )
    return Path(image)


def _name(image: Path | np.ndarray, number: int) -> str:
    """What a result is called in a folder."""
    if isinstance(image, Path):
        return place_of(image).name
    return f'{number:08}{".tif" if image.dtype == np.float32 else ".png"}'


def _check_places(images: Sequence[Path | np.ndarray], places: Sequence[Path]) -> None:
    photos = [image for image in images if isinstance(image, Path)]
    forms = {form for photo in photos for form in forms_of(photo)}
    taken: dict[Path, Path] = {}
    for number, (image, place) in enumerate(zip(images, places, strict=True)):
        source = image if isinstance(image, Path) else Path(f'array {number}')
        # The same photo twice becomes the same file.
        if taken.get(place) != source:
            check_target(source, place, taken, forms, force=True)
        taken[place] = source
        if not isinstance(image, Path):
            continue
        endings = {path.suffix.lower() for path in (place_of(image), place)}
        if len(endings) > 1 and not any(endings <= family for family in _FAMILIES):
            raise InputError(
                f'{image} stays what it is, and {place} would be of another format; '
                f'name a {place_of(image).suffix} file, or a folder'
            )
