"""What benchmarks/renderer_spectra.py tells of pairs: spectra of their windows."""

from collections.abc import Iterator

import numpy as np
from mmagic.registry import DATASETS
from mmengine.config import Config

from mmagic_inik.datasets import DefocusPairDataset, read_photo

SIDE, CROP = 64, 256
# Windows along a side of a crop.
COUNT = CROP // SIDE
RINGS = np.linspace(1.5 / SIDE, 0.5, 25)
MIDDLES = (RINGS[:-1] + RINGS[1:]) / 2
# Upper borders of f50: a disc of radius r falls to one half at about 0.36 / r.
CLASSES = 0.04, 0.08, 0.16, 0.32, 0.5
# Standard deviation in a window of the target, of [0, 255], below which it is flat.
LEAST_CONTRAST = 6
WINDOW = np.outer(np.hanning(SIDE), np.hanning(SIDE))[..., None]


def crops_of_pairs(root: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Inputs and targets, (256, 256, 3) RGB in [0, 255], side by side."""
    data = DefocusPairDataset(data_root=root, preset='folders', pipeline=[])
    for index in range(len(data)):
        paths = data.get_data_info(index)
        image, target = (read_photo(paths[key]) for key in ('img_path', 'gt_path'))
        height, width = target.shape[:2]
        for y in range(0, height - CROP + 1, CROP):
            for x in range(0, width - CROP + 1, CROP):
                yield tuple(p[y : y + CROP, x : x + CROP] for p in (image, target))


def crops_of_scenes(
    config: str, photos: str, count: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same, rendered as for training, without scenes in focus."""
    data = Config.fromfile(config).train_dataloader.dataset
    load, renderer = data.pipeline[:2]
    renderer.update(crop_size=CROP, in_focus=0, soft_in_focus=0)
    data.update(data_root=photos, pipeline=[load, renderer])
    data = DATASETS.build(data)
    for index in np.random.default_rng(0).choice(len(data), count, replace=False):
        scene = data[int(index)]
        yield tuple(scene[key].astype(np.float32) for key in ('img', 'gt'))


def powers(crop: np.ndarray) -> np.ndarray:
    """Power by window, ring and colour, (4, 4, R, 3), of (256, 256, 3)."""
    windows = crop.reshape(COUNT, SIDE, COUNT, SIDE, 3).swapaxes(1, 2)
    windows = (windows - windows.mean((2, 3), keepdims=True)) * WINDOW
    spectrum = np.abs(np.fft.fft2(windows, axes=(2, 3))) ** 2
    f = np.fft.fftfreq(SIDE)
    ring = np.digitize(np.hypot(f[:, None], f), RINGS) - 1
    return np.stack(
        [spectrum[:, :, ring == n].mean(2) for n in range(len(MIDDLES))], axis=2
    )


def half_frequency(transfer: np.ndarray) -> np.ndarray:
    """Where (..., R) falls to one half first, in cycles per pixel; 0.5: nowhere."""
    below = transfer < 0.5
    first = np.where(below.any(-1), below.argmax(-1), len(MIDDLES) - 1)
    return np.where(below.any(-1), MIDDLES[first], 0.5)


def describe(crops: Iterator[tuple[np.ndarray, np.ndarray]]) -> dict:
    """Statistics of pairs."""
    transfers, textured, ratios = [], [], []
    for image, target in crops:
        blurred, sharp = powers(image), powers(target)
        transfers.append(np.sqrt(blurred / np.maximum(sharp, 1e-3)))
        grey = target.mean(2).reshape(COUNT, SIDE, COUNT, SIDE)
        textured.append(grey.std((1, 3)) >= LEAST_CONTRAST)
        ratios.append((image.mean((0, 1)) + 1) / (target.mean((0, 1)) + 1))
    transfer, textured = np.array(transfers), np.array(textured)
    ratio = np.array(ratios)
    f50 = half_frequency(np.moveaxis(transfer, 3, -1))  # crop, row, column, colour
    green = f50[..., 1]
    kind = np.digitize(green, CLASSES)
    curves, shares = [], []
    for n in range(len(CLASSES) + 1):
        those = textured & (kind == n)
        shares.append(float(those.sum() / textured.sum()))
        # Of few windows there is nothing to say.
        enough = those.sum() >= 10
        curves.append(
            np.median(transfer[those][..., 1], 0).tolist() if enough else None
        )
    both = textured[:, :, 1:] & textured[:, :, :-1]
    steps = np.abs(np.log2(green[:, :, 1:] / green[:, :, :-1]))[both]

    def quantiles(values: np.ndarray) -> list[float]:
        return np.quantile(values, (0.1, 0.5, 0.9)).round(4).tolist()

    blurred = textured & (green < CLASSES[3])
    return dict(
        crops=len(transfer),
        windows=int(textured.sum()),
        shares=shares,
        transfer=curves,
        quantiles={
            'f50 of red over green': quantiles((f50[..., 0] / green)[blurred]),
            'f50 of blue over green': quantiles((f50[..., 2] / green)[blurred]),
            'neighbours, octaves of f50': quantiles(steps),
            'brightness, input over target': quantiles(ratio.mean(1)),
            'red over green, as much': quantiles(ratio[:, 0] / ratio[:, 1]),
            'blue over green, as much': quantiles(ratio[:, 2] / ratio[:, 1]),
        },
    )
