"""Pictures of what a network predicts for photographs: weights, kernels, atoms."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmagic.structures import DataSample
from mmengine.model import BaseModel
from natsort import natsorted
from PIL import Image
from torch import Tensor

from ..benchmark.contenders import build_contender
from ..errors import InputError
from ..launch import check_device
from ..photos import EXTENSIONS, photo_size, read_photo
from .atom_figures import atom_comparison
from .figures import size_map, weight_maps
from .kernel_figures import kernel_sheet
from .kernels import HeadWatch, Prediction, extreme_places, has_weight_maps

DPI = 110


def draw_predictions(
    photos: Sequence[Path],
    config: str,
    checkpoint: str,
    out: Path,
    places: Sequence[tuple[int, int]] = (),
    max_side: int = 1024,
    device: str | None = None,
) -> None:
    """Restore photographs, draw what the head predicts, and print what was written.

    Args:
        photos (Sequence[Path]): Files, and folders whose photographs are meant.
        config (str): Path, or one of MMagic's configs behind ``mmagic::``.
        checkpoint (str): Trained weights.
        out (Path): Folder for pictures; made if absent.
        places (Sequence[tuple[int, int]]): As of :func:`draw_prediction`. Default: ().
        max_side (int): Longest side of a drawn map in pixels. Default: 1024.
        device (str, optional): As torch names it. Default: None, a GPU if there is one.

    Raises:
        InputError: If a photograph, config or checkpoint cannot be used.
    """
    if max_side < 1:
        raise InputError(f'--max-side must be positive, got {max_side}')
    device = check_device(device)
    named = find_photos(photos)
    for path in named.values():
        check_places(places, path)
    model = build_contender('', config, checkpoint, clip=True).module
    # Maps are of whole photos.
    model.test_cfg = dict(model.test_cfg or {}, tile=None)
    model = model.to(device)
    # Or MMagic would remark on every photograph that it has no ground truth.
    model.data_preprocessor.data_keys = None
    network = model.generator
    out.mkdir(parents=True, exist_ok=True)
    if has_weight_maps(network):
        draw_atoms(network.head.atom_bank(), out)
    else:
        print(
            f'{type(network).__name__} of {config} has no head that predicts '
            'weights of kernel sizes and atoms: only restored photos are written.'
        )
    for name, path in named.items():
        photo = read_photo(path)
        restored, prediction = restore_and_predict(model, photo, device)
        Image.fromarray(restored).save(out / f'{name}_restored.png')
        if prediction is not None:
            versions = [np.rint(photo).astype(np.uint8), restored]
            draw_prediction(name, versions, prediction, places, out, max_side)
        print(f'{path}: {out / name}_*.png')


def find_photos(given: Sequence[Path]) -> dict[str, Path]:
    """Photographs by the name that their pictures will bear.

    Args:
        given (Sequence[Path]): Files, and folders whose photographs are meant.

    Returns:
        dict[str, Path]: In the order given, those of a folder in natural order.

    Raises:
        InputError: If there is none, one is missing, or two would bear one name.
    """
    photos: dict[str, Path] = {}
    for path in given:
        if not path.exists():
            raise InputError(
                f'{path} does not exist; name a photo, or a folder of them'
            )
        found = [path]
        if path.is_dir():
            inside = natsorted(path.iterdir(), key=str)
            # Other systems' hidden files bear names of photos.
            found = [
                p
                for p in inside
                if p.suffix.lower() in EXTENSIONS and not p.name.startswith('.')
            ]
            if not found:
                raise InputError(f'{path} holds no photo; name one, or its folder')
        for photo in found:
            other = photos.setdefault(photo.stem, photo)
            if other != photo:
                raise InputError(
                    f'{other} and {photo} would both become {photo.stem}_*.png; '
                    'draw them into two folders'
                )
    return photos


def check_places(places: Sequence[tuple[int, int]], path: Path) -> None:
    """Refuse pixels that a photograph does not have, and what is no photograph.

    Args:
        places (Sequence[tuple[int, int]]): Columns and rows (x, y).
        path (Path): Photograph.

    Raises:
        InputError: Names the pixel and the size, or the file.
    """
    width, height = photo_size(path)
    for x, y in places:
        if x >= width or y >= height:
            raise InputError(
                f'--at {x},{y} lies outside of {path}, which is {width}x{height} '
                f'pixels; x may be 0 to {width - 1} and y 0 to {height - 1}'
            )


@torch.no_grad()
def restore_and_predict(
    model: BaseModel, photo: np.ndarray, device: str
) -> tuple[np.ndarray, Prediction | None]:
    """Restore a photograph as tools/test.py does, and keep the predicted weights.

    Args:
        model (BaseModel): MMagic model on ``device``.
        photo (np.ndarray): (H, W, 3), RGB in [0, 255].
        device (str): As torch names it.

    Returns:
        tuple[np.ndarray, Prediction | None]: Restored, (H, W, 3) uint8 RGB; and what
        the head predicted, if the network has one like INIKNet's.
    """
    sample = DataSample(metainfo=dict(img_channel_order='RGB'))
    inputs = torch.from_numpy(photo).permute(2, 0, 1)[None].float().to(device)
    network = model.generator
    watch = HeadWatch(network.head) if has_weight_maps(network) else None
    (result,) = model.test_step(dict(inputs=inputs, data_samples=[sample]))
    restored = result.output.pred_img.numpy()[::-1].transpose(1, 2, 0)
    restored = np.rint(restored.clip(0, 255)).astype(np.uint8)
    return restored, watch.stop(*photo.shape[:2]) if watch else None


def draw_atoms(atoms: Sequence[Tensor], out: Path) -> None:
    """Write ``atoms.png`` and ``atoms_fourier.png``.

    Args:
        atoms (Sequence[Tensor]): Tensors (N, M, M), one per size M.
        out (Path): Folder.
    """
    atoms = [atom.detach().cpu() for atom in atoms]
    for name, in_space in (('atoms', True), ('atoms_fourier', False)):
        atom_comparison(atoms, in_space).savefig(out / f'{name}.png', dpi=DPI)


def draw_prediction(
    name: str,
    versions: Sequence[np.ndarray],
    prediction: Prediction,
    places: Sequence[tuple[int, int]],
    folder: Path,
    max_side: int,
) -> None:
    """Write the figures of one photograph.

    Args:
        name (str): Of the photograph.
        versions (Sequence[np.ndarray]): Blurred and restored, (H, W, 3) uint8 RGB.
        prediction (Prediction): Of the photograph.
        places (Sequence[tuple[int, int]]): Columns and rows (x, y) of kernels to draw;
            if there are none, where the expected size is largest and smallest.
        folder (Path): Where to write.
        max_side (int): Longest side of a drawn map in pixels.
    """
    sizes = prediction.expected_size()
    margin = prediction.kernel_sizes[-1] // 2
    places = places or extreme_places(sizes, margin)
    height, width = sizes.shape
    title = f'{name}, {width} × {height} pixels'
    if max(height, width) > max_side:
        title += f', maps drawn at {max_side / max(height, width):.0%} of that'
    mu_names = [f'M = {size}' for size in prediction.kernel_sizes]
    omega_names = [f'n = {n + 1}' for n in range(len(prediction.omega))]
    figures = {
        'size': size_map(
            versions, ['blurred', 'restored'], sizes, places, title, max_side
        ),
        'mu': weight_maps(
            prediction.mu,
            mu_names,
            f'μ: weight of each kernel size; {title}',
            False,
            max_side,
        ),
        'omega': weight_maps(
            prediction.omega,
            omega_names,
            f'ω: weight of each atom; {title}',
            True,
            max_side,
        ),
        'kernels': kernel_sheet(
            versions[0], prediction, places, f'Composed inverse kernels; {name}'
        ),
    }
    for kind, figure in figures.items():
        figure.savefig(folder / f'{name}_{kind}.png', dpi=DPI)
