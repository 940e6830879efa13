"""Runs the code blocks of a Markdown page, in a folder that has what the page names.

Commands run in this process, which has imported MMagic already, and trainings are
shortened: an iteration of tiny crops, no download.
"""

import re
import runpy
import subprocess
import sys
from pathlib import Path
from unittest import mock

from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.visualization import Visualizer
from PIL import Image
from skimage import data
from sybil import Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser, SkipParser

from mmagic_inik import command

ROOT = Path(__file__).parents[1]
WRITTEN = re.compile(r'<!-- written to: (\S+) -->\s*\Z')
# One iteration, one photo, and a network of the same parts, but thin.
SHORT = (
    'train_cfg.max_iters=1',
    'train_cfg.val_interval=1',
    'default_hooks.checkpoint.interval=1',
    'train_dataloader.batch_size=1',
    'test_evaluator.0.scores=[PSNR]',
)
THIN = {
    'INIKNet': (
        'model.generator.neck.channels=4',
        'model.generator.neck.num_res_blocks=1',
        'model.generator.head.in_channels=4',
    ),
    'UNet': ('model.generator.backbone.base_channels=4',),
    'TappedBackbone': (
        'model.generator.backbone.channels=4',
        'model.generator.backbone.network.dim=8',
        'model.generator.backbone.network.num_blocks=[1,1,1,1]',
    ),
}
LOADERS = ('train', 'val', 'test')


def lay_out(folder):
    """What pages name: the checkout, photos, and data sets of a few small pairs."""
    for name in ('configs', 'tools', 'mmagic_inik', 'benchmarks'):
        (folder / name).symlink_to(ROOT / name)
    sharp = Image.fromarray(data.chelsea()[100:260, 100:260])
    pairs = {
        'data/demo/{}/{}': (('train', 'test'), ('input', 'target')),
        'data/DPDD/{}_c/{}': (LOADERS, ('source', 'target')),
        'pairs{}/{}': (('',), ('input', 'target')),
        'my_pairs{}/{}': (('',), ('blurred', 'sharp')),
    }
    for pattern, (splits, kinds) in pairs.items():
        for place in (folder / pattern.format(s, k) for s in splits for k in kinds):
            place.mkdir(parents=True)
            for n, name in enumerate(('coffee', 'cup', 'tree', 'wall')):
                photo = sharp.crop((32 * n, 0, 32 * n + 48, 40))
                if place.name in ('input', 'source', 'blurred'):
                    photo = photo.reduce(2).resize(photo.size)
                photo.save(place / f'{name}.png')
    for name in ('photo.jpg', 'my_photos/a.png', 'sharp/a.png', 'sharp/b.png'):
        (folder / name).parent.mkdir(exist_ok=True)
        # Equal contents would not be divided between training and validation.
        sharp.crop((0, 0, 160 - ord(name[-5]) % 8, 120)).save(folder / name)


def shortened(config, words):
    """A command of train.py or test.py with options that the page's own outdo."""
    config = Config.fromfile(config)
    network = config.model.generator
    options = list(SHORT)
    if network.head.in_channels > 8:
        options += THIN['INIKNet'] + THIN[network.backbone.type]
    for loader in LOADERS:
        options += [f'{loader}_dataloader.num_workers=0']
        options += [f'{loader}_dataloader.persistent_workers=False']
        options += [f'{loader}_dataloader.dataset.indices=1']
    if config.model.loss.losses.get('lpips') and 'losses.lpips' not in ' '.join(words):
        options += ['model.loss.losses.lpips=None']
    if 'lpips_weights' in ' '.join(words):
        # Weights that no score uses are refused.
        options += ['test_evaluator.0.scores=[PSNR,LPIPS_alex]']
    maker = config.train_dataloader.dataset.pipeline[1]
    key = 'crop_size' if maker.type == 'SyntheticDefocus' else 'gt_patch_size'
    options += [f'train_dataloader.dataset.pipeline.1.{key}=32']
    place = words.index('--cfg-options') + 1 if '--cfg-options' in words else len(words)
    start = [] if '--cfg-options' in words else ['--cfg-options']
    return [*words[:place], *start, *options, *words[place:]]


def run_script(script, words):
    """``python SCRIPT ...`` in this process, as if it were a new one."""
    for manager in (DefaultScope, MMLogger, MessageHub, Visualizer):
        manager._instance_dict.clear()
    init_default_scope('mmagic')
    with mock.patch.object(sys, 'argv', [script, *words]):
        runpy.run_path(script, run_name='__main__')


def run_line(line):
    """One command of a page.

    Raises:
        AssertionError: If it fails, or is of a kind that is not known here.
    """
    # The shell's own quotes, variables and substitutions.
    spread = ['bash', '-euc', f'printf "%s\\0" {line}']
    spread = subprocess.run(spread, capture_output=True, text=True, check=True).stdout
    name, *words = spread.split('\0')[:-1]
    if name == 'make':
        # What is made has tests of its own; here that there is such a thing.
        dry = ['make', '-n', '-C', ROOT, *words]
        subprocess.run(dry, check=True, capture_output=True)
        return
    if name == 'python' and words[0] in ('tools/train.py', 'tools/test.py'):
        words = [words[0], *shortened(words[1], words[1:])]
    code = None
    try:
        if name == 'python':
            run_script(words[0], words[1:])
        elif name == 'mmagic-inik':
            command.main(words)
        else:
            raise AssertionError(f'no way to run {name}')
    except SystemExit as stop:
        code = stop.code
    assert not code, f'{line}: {code}'


class Python(CodeBlockParser):
    """Runs a block, or writes it to the file that a comment above it names."""

    language = 'python'

    def evaluate(self, example):
        named = WRITTEN.search(example.document.text[: example.region.start])
        if named is None:
            PythonEvaluator()(example)
        else:
            Path(named[1]).write_text(example.parsed)


class Shell(CodeBlockParser):
    """Runs the commands of a block, a line each."""

    language = 'bash'

    def evaluate(self, example):
        for line in example.parsed.splitlines():
            run_line(line)


def parse(page):
    """The blocks of a page.

    Args:
        page (Path): Markdown.

    Returns:
        sybil.Document: With `examples()`, and a `namespace` that wants `slow`.
    """
    return Sybil([Python(), Shell(), SkipParser()]).parse(page)
