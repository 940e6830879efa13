"""Which photos are restored, and where to."""

import os
from pathlib import Path

import pytest
from PIL import Image

from mmagic_inik import photo_formats
from mmagic_inik.errors import InputError
from mmagic_inik.photos import read_photo
from mmagic_inik.restoration import make_plan


@pytest.fixture
def folder(tmp_path):
    """A folder of photos, made by names."""
    root = tmp_path / 'photos'

    def make(*names):
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new('RGB', (5, 7)).save(path, 'PNG')
        return root

    return make


def planned(plan, out):
    return [str(job.target.relative_to(out)) for job in plan.jobs]


def test_a_link_does_not_hide_its_photo(tmp_path, folder):
    root, out = folder('photo.jpg', 'sub/other.png'), tmp_path / 'out'
    (root / 'link.jpg').symlink_to('photo.jpg')
    (root / 'folder').symlink_to('sub')
    elsewhere = tmp_path / 'elsewhere.png'
    (root / 'sub' / 'other.png').rename(elsewhere)
    (root / 'sub' / 'other.png').symlink_to(elsewhere)
    plan = make_plan([root], out, False)
    assert plan.refused == []
    assert planned(plan, out) == [
        *('folder/other.png', 'link.jpg', 'photo.jpg', 'sub/other.png')
    ]
    # Named twice, it is restored once.
    photo = root / 'photo.jpg'
    assert len(make_plan([photo, photo, root], out, False).jobs) == 4


def test_links_in_circles_end(tmp_path, folder):
    root, out = folder('sub/a.png'), tmp_path / 'out'
    (root / 'sub' / 'up').symlink_to(root)
    assert planned(make_plan([root], out, False), out) == ['sub/a.png']


def test_a_broken_link_is_named(tmp_path, folder):
    root = folder('a.png')
    (root / 'b.png').symlink_to('nowhere.png')
    plan = make_plan([root], tmp_path / 'out', False)
    assert [job.photo.name for job in plan.jobs] == ['a.png']
    (refusal,) = map(str, plan.refused)
    assert refusal.startswith(f'{root / "b.png"} cannot be read as a photograph (No su')


def test_a_folder_that_is_closed_is_named(tmp_path, folder, monkeypatch):
    root = folder('a.png', 'closed/b.png')
    looked = Path.iterdir

    def refuse(path):
        if path.name == 'closed':
            raise PermissionError(13, 'Permission denied')
        return looked(path)

    monkeypatch.setattr(Path, 'iterdir', refuse)
    plan = make_plan([root], tmp_path / 'out', False)
    assert len(plan.jobs) == 1
    assert f'{root / "closed"} cannot be looked into (Permission denied)' in str(
        plan.refused[0]
    )


@pytest.mark.parametrize('link', ['photo', 'result'])
def test_a_result_never_goes_through_a_link_to_a_photo(tmp_path, folder, link):
    root, out = folder('a.png', 'sub/a.png'), tmp_path / 'out'
    out.mkdir()
    if link == 'result':
        (out / 'a.png').symlink_to(root / 'a.png')
        given = root / 'a.png'
    else:
        (root / 'a.png').rename(out / 'a.png')
        (root / 'a.png').symlink_to(out / 'a.png')
        given = root / 'a.png'
    plan = make_plan([given], out, True)
    assert plan.jobs == []
    assert 'which is a photo to restore; give another --out' in str(plan.refused[0])


def test_what_is_left_out_of_a_folder_is_told(tmp_path, folder):
    root = folder('a.jpe', 'b.jfif', 'c.JIF', '1.gif', '2.GIF', 'sub/3.gif', '.hid.gif')
    for name in ('d.jp2', 'notes.txt', 'README', '.DS_Store'):
        (root / name).write_text('')
    plan = make_plan([root], tmp_path / 'out', False)
    assert [job.photo.name for job in plan.jobs] == ['a.jpe', 'b.jfif', 'c.JIF']
    assert plan.refused == []
    assert plan.describe_left_out() == [
        'left out: 1 without extension (no photos)',
        'left out: 3 .gif (256 colours, mostly moving; save what is a photo as PNG)',
        'left out: 1 .jp2 (no format that is read; save them as TIFF or PNG)',
        'left out: 1 .txt (no photos)',
    ]


def test_results_inside_the_folder_are_neither_photos_nor_left_out(tmp_path, folder):
    root = folder('a.png', 'restored/a.png')
    (root / 'restored' / 'list.txt').write_text('')
    plan = make_plan([root], root / 'restored', True)
    assert [job.photo for job in plan.jobs] == [root / 'a.png']
    assert not plan.left_out
    assert os.path.lexists(plan.jobs[0].target)


def test_photos_whose_library_is_missing_are_left_out(tmp_path, folder, monkeypatch):
    # Their content is looked at only if it can be.
    monkeypatch.setattr(photo_formats, 'find_spec', lambda name: None)
    root = folder('a.png', 'b.HEIC', 'c.heic', 'd.jxl', 'e.nef')
    plan = make_plan([root], tmp_path / 'out', False)
    assert [job.photo.name for job in plan.jobs] == ['a.png']
    cure = "(install their library: pip install 'mmagic_inik[formats]')"
    assert plan.describe_left_out() == [
        f'left out: {what} {cure}' for what in ('2 .heic', '1 .jxl', '1 .nef')
    ]


@pytest.mark.parametrize('name', ['a.heic', 'a.jxl', 'a.dng'])
def test_a_photo_by_name_whose_library_is_missing(tmp_path, monkeypatch, name):
    def missing(module):
        raise ImportError(f'No module named {module}')

    monkeypatch.setattr(photo_formats, 'import_module', missing)
    start = b'\xff\x0a' if name == 'a.jxl' else b'\0\0\0\x18ftypheic\0\0\0\0mif1heic'
    (tmp_path / name).write_bytes(start)
    plan = make_plan([tmp_path / name], tmp_path / 'out', False)
    assert plan.jobs == []
    cure = "to be read; install it with pip install 'mmagic_inik[formats]'"
    assert str(plan.refused[0]).endswith(cure)
    with pytest.raises(InputError, match=name):
        read_photo(tmp_path / name)
