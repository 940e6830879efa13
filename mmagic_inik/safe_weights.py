"""Weights as ``.safetensors``: tensors and text, with nothing that could be code."""

import json
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from .errors import InputError

# Key of what we add to a file's texts, which are all that it can hold besides.
_KEY = 'mmagic_inik'


def safetensors_of(weights: dict[str, Tensor], card: dict, dtype: str) -> bytes:
    """Content of a file.

    Args:
        weights (dict[str, Tensor]): By name.
        card (dict): What is known of them; plain data.
        dtype (str): ``'float32'`` or ``'float16'``; of the floating ones.

    Returns:
        bytes: All of the file.

    Raises:
        InputError: If the package is missing, or float16 cannot hold a weight.
    """
    save = _safetensors('write a .safetensors file').save
    narrowed = {}
    for name, weight in weights.items():
        kind = getattr(torch, dtype) if weight.is_floating_point() else weight.dtype
        narrowed[name] = weight.detach().to(kind).contiguous()
        if weight.is_floating_point() and not narrowed[name].isfinite().all():
            raise InputError(
                f'weight {name} is more than {dtype} can hold; write it in float32'
            )
    # Only text is allowed, and every reader expects the first.
    return save(narrowed, {'format': 'pt', _KEY: json.dumps(card)})


def load_safetensors(path: Path, device: str | None = None) -> dict:
    """What a file holds, as a checkpoint.

    Args:
        path (Path): File.
        device (str, optional): Where the tensors go. Default: None, the CPU.

    Returns:
        dict: ``state_dict``; ``card``, what :func:`safetensors_of` was given; ``meta``
        with its iterations; and ``metadata``, all texts of the file.

    Raises:
        InputError: If the package is missing.
        Exception: Whatever safetensors raises where the file is damaged.
    """
    module = _safetensors(f'read {path}')
    from safetensors import safe_open

    weights = module.load_file(path, device=str(device or 'cpu'))
    with safe_open(path, 'pt') as file:
        texts = file.metadata() or {}
    card = json.loads(texts.get(_KEY, '{}'))
    return dict(
        state_dict=weights,
        card=card,
        meta=dict(iter=card.get('iterations')),
        metadata=texts,
    )


def _safetensors(what: str) -> ModuleType:
    try:
        import safetensors.torch
    except ModuleNotFoundError as error:
        raise InputError(
            f"the package safetensors is needed to {what}; pip install 'safetensors>="
            "0.4', or use a .pth file"
        ) from error
    return safetensors.torch
