"""What a result of benchmarks/speed.py is meant to reach."""

from collections.abc import Sequence
from typing import NamedTuple


class Target(NamedTuple):
    """What a result is meant to reach.

    Attributes:
        device (str): On which.
        group (str): Job and size.
        quantity (str): A ratio, ``'psnr'`` (dB) or ``'seconds'`` (median).
        limit (float): Least value; of seconds, the greatest.
        forms (str): A case counts if its form is one of these; the first is the usual.
    """

    device: str
    group: str
    quantity: str
    limit: float
    forms: tuple[str, ...]


SINGLE = ('fast', 'huge pages', 'pieces of 384')
HALF = ('bfloat16', 'pieces of 384 bfloat16')
GPU_HALF = (
    *('bfloat16', 'channels last bfloat16'),
    *('compiled bfloat16', 'CUDA graphs bfloat16'),
)
TRAINING = 'training step 4x256x256'
TARGETS = (
    Target('cpu', 'inference 640x640', 'times_faster', 1.8, SINGLE),
    Target('cpu', 'inference 640x640', 'times_faster', 5, HALF),
    Target('cpu', 'agreement 640x640', 'psnr', 55, HALF),
    Target('cpu', 'inference 1680x1120', 'times_less_memory', 4, SINGLE + HALF),
    Target('cpu', TRAINING, 'times_faster', 1.5, SINGLE + HALF),
    Target('cpu', TRAINING, 'times_less_memory', 2, SINGLE + HALF),
    Target('cuda', 'inference 640x640', 'times_faster', 12, GPU_HALF),
    Target('cuda', 'inference 640x640', 'seconds', 4e-3, GPU_HALF),
    Target('cuda', TRAINING, 'times_faster', 6, GPU_HALF),
    Target('cuda', TRAINING, 'seconds', 30e-3, GPU_HALF),
    Target('cuda', 'op forward 640x640', 'seconds', 3e-4, ('fast', 'bfloat16')),
)


def judge(cases: Sequence[dict], device: str) -> list[dict]:
    """How the targets fare.

    Args:
        cases (Sequence[dict]): Of :func:`speed.main`, with ratios.
        device (str): ``'cpu'`` or ``'cuda'``, of the cases.

    Returns:
        list[dict]: Each target with what was ``measured`` by form, and a ``verdict``:
        ``met``, with the form if it is not the usual one; ``missed``; ``not measured``;
        or ``waits for a GPU``.
    """
    judged = []
    for target in TARGETS:
        measured, verdict = {}, 'waits for a GPU'
        if target.device == device:
            measured = _measured(target, cases)
            verdict = _verdict(target, measured)
        elif device == 'cuda':
            verdict = 'not measured'
        judged.append({**target._asdict(), 'measured': measured, 'verdict': verdict})
    return judged


def _measured(target: Target, cases: Sequence[dict]) -> dict[str, float]:
    values = {
        case['form']: case[target.quantity]
        for case in cases
        if case['group'] == target.group and target.quantity in case
    }
    if target.quantity == 'seconds':
        values = {form: seconds['median'] for form, seconds in values.items()}
    return {form: values[form] for form in target.forms if form in values}


def _verdict(target: Target, measured: dict[str, float]) -> str:
    reached = [
        form
        for form, value in measured.items()
        if (
            value <= target.limit
            if target.quantity == 'seconds'
            else value >= target.limit
        )
    ]
    if not measured:
        return 'not measured'
    if not reached:
        return 'missed'
    return 'met' if reached[0] == target.forms[0] else f'met ({reached[0]})'


def targets_as_markdown(judged: Sequence[dict]) -> str:
    """The table of :func:`judge`."""
    words = {
        'times_faster': 'at least {:g} times faster',
        'times_less_memory': 'at most 1/{:g} of the memory',
        'psnr': 'at least {:g} dB',
        'seconds': 'at most {:g} ms',
    }
    lines = ['| target | wanted | measured | verdict |', '|---|---|---|---|']
    for row in judged:
        factor = 1e3 if row['quantity'] == 'seconds' else 1
        measured = '; '.join(
            f'{factor * value:.3g} ({form})' for form, value in row['measured'].items()
        )
        wanted = words[row['quantity']].format(factor * row['limit'])
        kind = 'bfloat16' if row['forms'][0] == 'bfloat16' else 'float32'
        lines.append(
            f'| {row["device"]}: {row["group"]}, {kind} | {wanted} '
            f'| {measured or "–"} | {row["verdict"]} |'
        )
    return '\n'.join(lines)
