"""Figures of the INIKNet paper (ICCV 2023), to stand beside our own.

They follow the paper's protocol: 8-bit images cropped to multiples of 32, LPIPS of
unclipped BGR images.
"""

from typing import TypeVar

_Found = TypeVar('_Found')

SCORES = ('PSNR', 'SSIM_7x7', 'LPIPS_alex')

# Tables 1 and 2. Networks were trained on DPDD, those called (LFDOF) on LFDOF.
_FIGURES = {
    'DPDNet': {'DPDD': (24.348, 0.747, 0.277)},
    'AIFNet': {'DPDD': (24.213, 0.742, 0.309)},
    'IFANet': {'DPDD': (25.366, 0.789, 0.217)},
    'KPAC': {'DPDD': (25.221, 0.774, 0.226)},
    'GKMNet': {'DPDD': (25.468, 0.789, 0.219)},
    'MDP': {'DPDD': (25.347, 0.763, 0.268)},
    'DRBNet': {'DPDD': (25.485, 0.792, 0.254)},
    'MPRNet': {'DPDD': (25.730, 0.792, 0.232)},
    'Restormer': {'DPDD': (25.980, 0.811, 0.178)},
    'INIKNet': {
        'DPDD': (26.055, 0.803, 0.185),
        'RealDOF': (25.231, 0.765, 0.287),
        'RTF': (25.450, 0.834, 0.215),
    },
    'AIFNet (LFDOF)': {'LFDOF': (29.677, 0.884, 0.202)},
    'IFANet (LFDOF)': {'LFDOF': (29.787, 0.872, 0.156)},
    'KPAC (LFDOF)': {'LFDOF': (28.942, 0.857, 0.174)},
    'GKMNet (LFDOF)': {'LFDOF': (29.081, 0.867, 0.171)},
    'MDP (LFDOF)': {'LFDOF': (28.069, 0.834, 0.185)},
    'DRBNet (LFDOF)': {'LFDOF': (30.253, 0.883, 0.147)},
    'INIKNet (LFDOF)': {
        'LFDOF': (30.293, 0.886, 0.132),
        'RealDOF': (23.810, 0.724, 0.356),
        'RTF': (27.401, 0.885, 0.179),
    },
}
# Table 1, in millions.
_PARAMETERS = {
    'DPDNet': 32.25,
    'AIFNet': 41.55,
    'IFANet': 10.48,
    'KPAC': 2.06,
    'GKMNet': 1.41,
    'MDP': 46.86,
    'DRBNet': 11.69,
    'MPRNet': 20.10,
    'Restormer': 26.10,
    'INIKNet': 1.98,
}
# Table 1, of an image of 640 × 640 on an RTX 2080 Ti.
_SECONDS = {
    'DPDNet': 1.430,
    'AIFNet': 0.276,
    'IFANet': 0.063,
    'KPAC': 0.037,
    'GKMNet': 0.129,
    'MDP': 3.317,
    'DRBNet': 0.085,
    'MPRNet': 1.161,
    'Restormer': 0.672,
    'INIKNet': 0.228,
}


def published_scores(model: str, data: str) -> dict[str, float]:
    """What the paper gives for a network on a test set.

    Args:
        model (str): Name as in the paper, any case; of a network trained on LFDOF with
            `` (LFDOF)`` behind it.
        data (str): Name of the test set as in the paper, any case.

    Returns:
        dict[str, float]: By score; empty if the paper has none.

    Example:
        >>> published_scores('iniknet', 'RTF')
        {'PSNR': 25.45, 'SSIM_7x7': 0.834, 'LPIPS_alex': 0.215}
    """
    figures = _find(_find(_FIGURES, model) or {}, data)
    return dict(zip(SCORES, figures, strict=True)) if figures else {}


def published_parameters(model: str) -> float | None:
    """Parameters of a network in millions as the paper gives them, if it does.

    Args:
        model (str): As in :func:`published_scores`.

    Returns:
        float | None: Millions.
    """
    return _find(_PARAMETERS, model.removesuffix(' (LFDOF)'))


def published_seconds(model: str) -> float | None:
    """Seconds for 640 × 640 on an RTX 2080 Ti as the paper gives them, if it does.

    Args:
        model (str): As in :func:`published_scores`.

    Returns:
        float | None: Seconds.
    """
    return _find(_SECONDS, model.removesuffix(' (LFDOF)'))


def _find(table: dict[str, _Found], name: str) -> _Found | None:
    matching = (value for key, value in table.items() if key.lower() == name.lower())
    return next(matching, None)
