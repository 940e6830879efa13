"""Pictures of the best, median and worst results of a benchmark."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..evaluation import ImageQuality
from ..evaluation.image_quality import format_score
from ..visualization.gallery import Case, best_median_worst, gallery
from .contenders import Contender
from .scoring import PhotoSet, Scored, restore

LARGER_IS_BETTER = ('PSNR', 'PSNR_matched', 'SSIM_7x7', 'SSIM_11x11')


def write_galleries(scored: Scored, out: Path) -> None:
    """Write a picture of the best, median and worst image per network and data set.

    Args:
        scored (Scored): The first model is the untouched input.
        out (Path): Folder, of pictures called as :func:`gallery_name` says.
    """
    untouched, *networks = scored.models
    for model in networks:
        model.module.to(scored.device)
        for data in scored.sets:
            before, after = (scored.of(m, data) for m in (untouched, model))
            cases = cases_of(model, data, scored.device, before, after)
            if cases:
                file = out / gallery_name(model.name, data.name)
                gallery(cases).savefig(file, dpi=100)
        model.module.to('cpu')


def cases_of(
    model: Contender,
    data: PhotoSet,
    device: str,
    before: dict[str, dict[str, float]],
    after: dict[str, dict[str, float]],
) -> list[Case]:
    """Restore the images of a gallery again.

    Args:
        model (Contender): A network that is on ``device``.
        data (PhotoSet): Its first score decides, or PSNR if it has that.
        device (str): As torch names it.
        before (dict[str, dict[str, float]]): Scores of the input, by image and score.
        after (dict[str, dict[str, float]]): Likewise, of the network.

    Returns:
        list[Case]: Best, median and worst; fewer of fewer than three images.
    """
    score = 'PSNR' if 'PSNR' in data.metric.scores else data.metric.scores[0]
    sign = 1 if score in LARGER_IS_BETTER else -1
    gains = [sign * (after[i][score] - before[i][score]) for i in data.images]
    cases = []
    for word, index in best_median_worst(gains).items():
        image = data.images[index]
        sample, _ = restore(model, data, image, device)
        heading = (
            f'{word} of {len(gains)}: {image}, {score} '
            f'{format_score(score, before[image][score])} → '
            f'{format_score(score, after[image][score])}'
        )
        cases.append(case_of(sample, heading, data.metric, before[image], after[image]))
    return cases


def case_of(
    sample: dict,
    heading: str,
    metric: ImageQuality,
    before: dict[str, float],
    after: dict[str, float],
) -> Case:
    """One image of a gallery.

    Args:
        sample (dict): MMagic's data sample: ``input``, ``output`` and perhaps
            ``gt_img``, (3, H, W) BGR in [0, 255].
        heading (str): Above it.
        metric (ImageQuality): Whose scores are told.
        before (dict[str, float]): Of the input, by score.
        after (dict[str, float]): Of the restored image.

    Returns:
        Case: Input, restored, and target if there is one.
    """

    def titled(word: str, scores: dict[str, float]) -> str:
        shown = (f'{k} {format_score(k, scores[k])}' for k in metric.scores)
        return f'{word}\n' + ', '.join(shown)

    tensors = [sample['input'], sample['output']['pred_img']]
    titles = [titled('input', before), titled('restored', after)]
    if 'gt_img' in sample:
        tensors.append(sample['gt_img'])
        titles.append('target\n')
    images = [
        np.rint(x.cpu().numpy().clip(0, 255)).astype(np.uint8)[::-1].transpose(1, 2, 0)
        for x in tensors
    ]
    return Case(heading, images, titles)


def gallery_name(model: str, data: str) -> str:
    """File of a gallery: what file systems may not take becomes ``_``.

    Args:
        model (str): Name of a network.
        data (str): Name of a data set.

    Returns:
        str: Ends in ``.png``.

    Example:
        >>> gallery_name('A+B', 'My set')
        'gallery_My_set_A_B.png'
    """
    name = re.sub(r'[^\w.-]+', '_', f'gallery_{data}_{model}')
    return f'{name}.png'


def check_gallery_names(models: Sequence[str], sets: Sequence[str]) -> None:
    """Refuse names of which two pairs would have one file.

    Args:
        models (Sequence[str]): Names of networks.
        sets (Sequence[str]): Names of data sets.

    Raises:
        InputError: Names both pairs.
    """
    files: dict[str, tuple[str, str]] = {}
    for pair in ((model, data) for model in models for data in sets):
        other = files.setdefault(gallery_name(*pair).casefold(), pair)
        if other != pair:
            raise InputError(
                f'{" on ".join(other)} and {" on ".join(pair)} would have one gallery, '
                f'{gallery_name(*pair)}; rename one of --model or --data'
            )
