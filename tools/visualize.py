"""Draw what a network predicts for photographs: weights, inverse kernels, atoms.

`tools/visualize.py PHOTO... --config CONFIG --checkpoint FILE --out FOLDER` writes for
every photograph NAME the restored NAME_restored.png, the map of the expected kernel
size NAME_size.png, the weights NAME_mu.png and NAME_omega.png and the composed kernels
NAME_kernels.png; and atoms.png and atoms_fourier.png once.
"""

import mmagic_inik.full_setup  # noqa: F401

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmagic.structures import DataSample
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from natsort import natsorted
from PIL import Image
from torch import nn

from mmagic_inik.benchmark.contenders import build_contender
from mmagic_inik.datasets import photo_size, read_photo
from mmagic_inik.errors import InputError
from mmagic_inik.launch import check_device
from mmagic_inik.photos import EXTENSIONS
from mmagic_inik.visualization import (
    HeadWatch,
    Prediction,
    atom_comparison,
    extreme_places,
    has_weight_maps,
    kernel_sheet,
    size_map,
    weight_maps,
)

DPI = 110


def find_photos(given: Sequence[Path]) -> dict[str, Path]:
    """Photographs by the name that their pictures will bear.

    Args:
        given (Sequence[Path]): Files, and folders whose photographs are meant.

    Returns:
        dict[str, Path]: In the order given, those of a folder in natural order.

    Raises:
        InputError: If there is none, one is missing, or two would bear one name.
    """
    photos = {}
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


@torch.no_grad()
def restore(
    model: nn.Module, photo: np.ndarray, device: str
) -> tuple[np.ndarray, Prediction | None]:
    """Restore a photograph as tools/test.py does, and keep the predicted weights.

    Args:
        model (nn.Module): MMagic model on ``device``.
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


def draw(
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


def check_places(places: Sequence[tuple[int, int]], path: Path) -> None:
    """Refuse pixels that a photograph does not have, and what is no photograph."""
    width, height = photo_size(path)
    for x, y in places:
        if x >= width or y >= height:
            raise InputError(
                f'--at {x},{y} lies outside of {path}, which is {width}x{height} '
                f'pixels; x may be 0 to {width - 1} and y 0 to {height - 1}'
            )


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read and check the command line; ``--at`` becomes pairs of numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('photos', nargs='+', type=Path, help='photos, or folders')
    parser.add_argument('--config', required=True)
    parser.add_argument('--checkpoint', required=True, help='trained weights')
    parser.add_argument('--out', required=True, type=Path, help='folder for pictures')
    parser.add_argument(
        '--at',
        action='append',
        default=[],
        metavar='X,Y',
        help='pixel whose kernel to draw; repeatable. Default: where the expected '
        'size is largest and smallest',
    )
    parser.add_argument(
        '--max-side', type=int, default=1024, help='longest side of drawn maps'
    )
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu'
    )
    args = parser.parse_args(arguments)
    for place in args.at:
        if not re.fullmatch(r'\d+,\d+', place):
            raise InputError(f'--at {place} is no pixel; write x,y, such as 120,80')
    args.at = [tuple(map(int, place.split(','))) for place in args.at]
    if args.max_side < 1:
        raise InputError(f'--max-side must be positive, got {args.max_side}')
    check_device(args.device)
    return args


def visualize(args: argparse.Namespace) -> None:
    """Do what the command line asks for.

    Args:
        args (argparse.Namespace): From :func:`parse_arguments`.

    Raises:
        InputError: If a photograph, config or checkpoint cannot be used.
    """
    photos = find_photos(args.photos)
    for path in photos.values():
        check_places(args.at, path)
    model = build_contender('', args.config, args.checkpoint, clip=True).module
    # Maps are of whole photos.
    model.test_cfg = dict(model.test_cfg or {}, tile=None)
    model = model.to(args.device)
    # Or MMagic would remark on every photograph that it has no ground truth.
    model.data_preprocessor.data_keys = None
    network = model.generator
    args.out.mkdir(parents=True, exist_ok=True)
    if has_weight_maps(network):
        atoms = [atom.detach().cpu() for atom in network.head.atom_bank()]
        for name, in_space in (('atoms', True), ('atoms_fourier', False)):
            figure = atom_comparison(atoms, in_space)
            figure.savefig(args.out / f'{name}.png', dpi=DPI)
    else:
        print(
            f'{type(network).__name__} of {args.config} has no head that predicts '
            'weights of kernel sizes and atoms: only restored photos are written.'
        )
    for name, path in photos.items():
        photo = read_photo(path)
        restored, prediction = restore(model, photo, args.device)
        Image.fromarray(restored).save(args.out / f'{name}_restored.png')
        if prediction is not None:
            versions = [np.rint(photo).astype(np.uint8), restored]
            draw(name, versions, prediction, args.at, args.out, args.max_side)
        print(f'{path}: {args.out / name}_*.png')


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    MMLogger.get_instance('visualize', log_level='ERROR')
    init_default_scope('mmagic')
    try:
        visualize(parse_arguments(arguments))
    except InputError as error:
        sys.exit(f'visualize: {error}')


if __name__ == '__main__':
    main()
