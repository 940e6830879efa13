"""What the pages say is true: their code runs, their links lead somewhere."""

import ast
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from unittest import SkipTest

import page_commands
import pytest
import torch
import torchvision
from markdown_it import MarkdownIt
from mmengine.config import Config
from sphinx.util.inventory import InventoryFile

ROOT = Path(__file__).parents[1]
README, CHINESE = ROOT / 'README.md', ROOT / 'README.zh-CN.md'
DOCS = ROOT / 'docs'
TUTORIALS = sorted((DOCS / 'tutorial').glob('*.md'))
PAGES = [README, *sorted(p for p in DOCS.glob('*/*.md'))]
FIRST = [p for p in (README, *TUTORIALS) if p.name != 'index.md']
SLOW = 'skip: next if(not slow, reason='


def name_of(page):
    return str(page.relative_to(ROOT))


def blocks(page):
    return [
        token
        for token in MarkdownIt().parse(page.read_text())
        if token.type == 'fence' and token.info in ('bash', 'python')
    ]


def run(page, slow):
    document = page_commands.parse(page)
    document.namespace['slow'] = slow
    for example in document.examples():
        with suppress(SkipTest):
            example.evaluate()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    page_commands.lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('LOCAL_RANK', '0')
    # What a page's own files are found by.
    monkeypatch.setattr(sys, 'path', sys.path.copy())
    return tmp_path


@pytest.mark.long
@pytest.mark.parametrize('page', FIRST, ids=name_of)
def test_code_of_readme_and_tutorials_runs(page, folder):
    run(page, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize('page', [p for p in PAGES if blocks(p)], ids=name_of)
def test_all_code_of_pages_runs(page, folder):
    torch.save(torchvision.models.alexnet().state_dict(), folder / 'alexnet.pth')
    run(page, slow=True)


def test_readme_and_tutorials_leave_nothing_out():
    for page in (README, *TUTORIALS):
        given = re.findall(r'<!-- (skip: .*?) -->', page.read_text())
        assert all(skip.startswith(SLOW) for skip in given), page


def test_a_failing_command_fails(folder):
    page = folder / 'page.md'
    page.write_text('```bash\npython tools/train.py configs/no_such.py\n```\n')
    with pytest.raises((AssertionError, FileNotFoundError)):
        run(page, slow=False)
    page.write_text('```bash\nmmagic-inik restore no_such.jpg --out there\n```\n')
    with pytest.raises(AssertionError, match=r'no_such\.jpg'):
        run(page, slow=False)


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= 150
    assert len(CHINESE.read_text().splitlines()) <= 150


def test_both_readmes_have_the_same_parts():
    def parts(page):
        tokens = MarkdownIt().enable('table').parse(page.read_text())
        kinds = ('heading_open', 'fence', 'code_block', 'table_open')
        texts = ('fence', 'code_block')
        return [
            (t.type, t.tag, t.info, t.content if t.type in texts else '')
            for t in tokens
            if t.type in kinds
        ]

    assert parts(README) == parts(CHINESE)
    assert links(README) - {CHINESE.name} == links(CHINESE) - {README.name}
    assert CHINESE.name in links(README)
    assert README.name in links(CHINESE)


def test_the_mixture_that_is_shown_is_the_configs(folder):
    document = page_commands.parse(DOCS / 'howto' / 'mixed.md')
    mixture = next(e for e in document.examples() if 'backbone =' in str(e.parsed))
    mixture.evaluate()
    config = Config.fromfile('configs/mixed/iniknet_restormer_dpdd.py')
    assert mixture.namespace['backbone'] == config.model.generator.backbone


def links(page):
    """Addresses of links and pictures, those of the web left out."""
    found = set()
    for token in MarkdownIt().parse(page.read_text()):
        for child in token.children or []:
            address = child.attrs.get('href') or child.attrs.get('src') or ''
            if address and ':' not in address:
                found.add(address)
    return found


def anchors(page):
    """As GitHub names headings."""
    tokens = MarkdownIt().parse(page.read_text())
    titles = [
        tokens[n + 1].content.lower()
        for n, token in enumerate(tokens)
        if token.type == 'heading_open'
    ]
    return {re.sub(r'[^\w\- ]', '', title).replace(' ', '-') for title in titles}


def tracked_pages():
    listed = ['git', 'ls-files', '-z', '-co', '--exclude-standard', '*.md']
    files = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True).stdout
    return [ROOT / name for name in files.decode().split('\0') if name]


def broken(page):
    for address in links(page):
        path, _, anchor = address.partition('#')
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            yield f'{address}: there is no {path}'
        # Pages that the code fills have their headings when they are built.
        elif target.parent.name == 'reference':
            continue
        elif anchor and anchor not in anchors(target):
            yield f'{address}: no heading #{anchor}'


def test_links_lead_somewhere():
    found = {name_of(p): list(broken(p)) for p in tracked_pages()}
    assert len(found) > 20
    assert not {name: faults for name, faults in found.items() if faults}


def test_broken_links_are_found(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('# A title\n[a](#a-title) [b](#other) [c](no.md)\n')
    assert sorted(broken(page)) == [
        '#other: no heading #other',
        'no.md: there is no no.md',
    ]


def test_every_variable_of_configs_is_explained():
    text = (DOCS / 'reference' / 'configs.md').read_text()
    theirs = re.compile(
        r'model|(train|val|test)_(dataloader|cfg|evaluator)|optim_wrapper|custom_\w+'
        r'|param_scheduler|default_hooks|model_wrapper_cfg|randomness|work_dir'
    )
    for config in (ROOT / 'configs').rglob('*.py'):
        for statement in ast.parse(config.read_text()).body:
            for target in getattr(statement, 'targets', []):
                name = getattr(target, 'id', '_')
                ours = not name.startswith('_') and not theirs.fullmatch(name)
                assert not ours or f'`{name}`' in text, f'{name} of {config}'
        for name in re.findall(r'\{\{\$(\w+):', config.read_text()):
            assert f'| `{name}` |' in text, f'{name} of {config}'


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """The documentation, built as by `make docs`, which is the faster check in CI."""
    out = tmp_path_factory.mktemp('docs')
    build = [sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', DOCS, out]
    ended = subprocess.run(build, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-5000:]
    return out


def described(built):
    with (built / 'objects.inv').open('rb') as file:
        kinds = InventoryFile.load(file, '', lambda base, uri: uri)
    return {name for kind in kinds if kind.startswith('py:') for name in kinds[kind]}


@pytest.mark.slow
def test_every_registered_part_is_described(built):
    from mmagic import registry

    names = described(built)
    count = 0
    for kind in ('MODELS', 'DATASETS', 'TRANSFORMS', 'METRICS', 'HOOKS', 'LOOPS'):
        known = getattr(registry, kind)
        known.import_from_location()
        for part in known.module_dict.values():
            if part.__module__.startswith('mmagic_inik.'):
                count += 1
                assert f'{part.__module__}.{part.__qualname__}' in names
    assert count > 50


@pytest.mark.slow
def test_every_tool_is_described(built):
    page = (built / 'reference' / 'tools.html').read_text()
    tools = [p.name for p in (ROOT / 'tools').iterdir() if p.suffix in ('.py', '.sh')]
    for tool in tools:
        assert f'tools/{tool}' in page
    assert page.count('usage: ') >= len([t for t in tools if t.endswith('.py')])


@pytest.mark.slow
def test_names_in_explanations_lead_to_the_reference(built):
    page = (built / 'explanation' / 'method.html').read_text()
    found = re.findall(r'href="\.\./reference/(?:parts|functions)\.html#(\S+?)"', page)
    assert set(found) <= described(built)
    assert len(found) > 15


@pytest.mark.slow
def test_a_name_that_is_nowhere_is_an_error(tmp_path):
    for file in ('conf.py', '_ext'):
        (tmp_path / file).symlink_to(DOCS / file)
    (tmp_path / 'index.md').write_text('# Page\n\n{func}`mmagic_inik.ops.no_such`\n')
    build = [sys.executable, '-m', 'sphinx', '-W', '-q', tmp_path, tmp_path / 'out']
    ended = subprocess.run(build, capture_output=True, text=True)
    assert ended.returncode
    assert 'nothing is described as mmagic_inik.ops.no_such' in ended.stderr
