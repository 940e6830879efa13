"""What benchmarks/speed.py measures: jobs, sizes and forms."""

import argparse
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from mmagic_inik.benchmark.complexity import WARM_UPS
from mmagic_inik.errors import InputError

REPEATS = {'cpu': 5, 'cuda': 50}
# Height and width.
SMALL, MIDDLE, LARGE = (256, 256), (640, 640), (1120, 1680)
PLAIN, FAST, HALF = 'plain', 'fast', 'bfloat16'
BFLOAT16 = dict(dtype='bfloat16')
# Forms of each device. Compiling takes a minute on a CPU, which is done at SMALL alone.
COMPILED = {
    'compiled': dict(compiled='default'),
    'compiled bfloat16': dict(compiled='default', **BFLOAT16),
}
FORMS = {
    'cpu': {
        FAST: {},
        HALF: BFLOAT16,
        'huge pages': dict(huge_pages=True),
        'pieces of 384': dict(tile=384),
        'pieces of 384 bfloat16': dict(tile=384, **BFLOAT16),
    },
    'cuda': {
        FAST: {},
        'channels last': dict(channels_last=True),
        HALF: BFLOAT16,
        'channels last bfloat16': dict(channels_last=True, **BFLOAT16),
        **COMPILED,
        'CUDA graphs': dict(compiled='reduce-overhead'),
        'CUDA graphs bfloat16': dict(compiled='reduce-overhead', **BFLOAT16),
    },
}


class Case(NamedTuple):
    """Something to measure, in a process of its own.

    Attributes:
        job (str): Of ``JOBS``, or ``'agreement'``.
        height (int): Of the image, in pixels.
        width (int): Likewise.
        form (str): What the case is called among those of its job and size.
        config (str): Of the network.
        checkpoint (str | None): Its weights; None for random ones of seed 0.
        device (str): ``'cpu'`` or ``'cuda'``.
        batch (int): Images.
        plain (bool): Whether it is the straightforward form.
        dtype (str): ``'bfloat16'``: under autocast; of the op, that of the weights.
        compiled (str | None): Mode of ``torch.compile``.
        channels_last (bool): Memory format of network and image.
        tile (int | None): Side of overlapping pieces in pixels; None for whole images.
        huge_pages (bool): Whether PyTorch asks Linux for huge pages.
        warm_ups (int): Measurements to drop.
        repeats (int): Measurements to keep.
        calls (int): Calls per measurement, for what a GPU does faster than it starts.
    """

    job: str
    height: int
    width: int
    form: str
    config: str
    checkpoint: str | None = None
    device: str = 'cpu'
    batch: int = 1
    plain: bool = False
    dtype: str = 'float32'
    compiled: str | None = None
    channels_last: bool = False
    tile: int | None = None
    huge_pages: bool = False
    warm_ups: int = 1
    repeats: int = 5
    calls: int = 1

    @property
    def group(self) -> str:
        """Name of what a case shares with its plain form; width before height."""
        batch = f'{self.batch}x' if self.batch > 1 else ''
        return f'{self.job} {batch}{self.width}x{self.height}'


def all_cases(device: str, scale: float) -> Iterator[tuple[dict, dict[str, dict]]]:
    """Groups: what their cases share, and what their forms differ by.

    Args:
        device (str): ``'cpu'`` or ``'cuda'``.
        scale (float): Factor of all sides, which stay multiples of 16.

    Yields:
        tuple[dict, dict[str, dict]]: Fields of :class:`Case`; such fields by form.
    """
    on_gpu = device == 'cuda'
    sides = {
        size: dict(zip(('height', 'width'), _scaled(size, scale), strict=True))
        for size in (SMALL, MIDDLE, LARGE)
    }
    plain = {PLAIN: dict(plain=True)}
    for job, size in product(('op forward', 'op forward and backward'), sides):
        if size != LARGE:
            forms = {FAST: {}, **({HALF: BFLOAT16} if on_gpu else {})}
            # Shorter than a GPU's own time to start and to stop.
            calls = dict(calls=10) if on_gpu else {}
            yield dict(job=job, **sides[size], **calls), plain | forms
    for size in sides:
        forms = FORMS[device] | ({} if on_gpu or size != SMALL else COMPILED)
        slow = {PLAIN: dict(plain=True, warm_ups=0, repeats=1)}
        first = plain if on_gpu or size != LARGE else slow
        yield dict(job='inference', **sides[size]), first | forms
    forms = {
        form: fields
        for form, fields in FORMS[device].items()
        # These want weights that stay where and as they are, or no gradients.
        if not form.startswith(('CUDA graphs', 'channels last', 'pieces'))
    }
    yield dict(job='training step', batch=4, **sides[SMALL]), plain | forms
    yield dict(job='agreement', **sides[MIDDLE]), {HALF: BFLOAT16}


def _scaled(size: tuple[int, int], scale: float) -> list[int]:
    return [max(16, round(scale * side / 16) * 16) for side in size]


def choose(args: argparse.Namespace) -> list[list[Case]]:
    """Cases by group, those whose name has one of ``--cases``, and their plain forms.

    Raises:
        InputError: If there is none.
    """
    common = dict(config=args.config, checkpoint=args.checkpoint, device=args.device)
    common['warm_ups'] = WARM_UPS[args.device]
    common['repeats'] = args.repeats or REPEATS[args.device]
    chosen, names = [], []
    for shared, forms in all_cases(args.device, args.scale):
        group = [
            Case(**(common | shared | fields), form=form)
            for form, fields in forms.items()
        ]
        names += [f'{case.group}: {case.form}' for case in group]
        wanted = [
            any(text in f'{case.group}: {case.form}' for text in args.cases)
            for case in group
        ]
        if any(wanted):
            pairs = zip(group, wanted, strict=True)
            chosen.append([case for case, want in pairs if want or case.plain])
    if not chosen:
        raise InputError(
            f'--cases {" ".join(args.cases)} is in no name of a case; give a part of '
            f'one of: {"; ".join(names)}'
        )
    return chosen
