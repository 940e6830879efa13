import pytest

from mmagic_inik.benchmark.records import ImageRecords, Run
from mmagic_inik.errors import InputError

RUN = Run('a model, "quoted"', 'set', '0123')


def test_records_are_read_back_exactly(tmp_path):
    path = tmp_path / 'r.csv'
    records = ImageRecords(path)
    scores = {'PSNR': 0.1 + 0.2, 'NIQE': float('inf'), 'seconds': 1e-9}
    records.append(RUN, 'a, b.png', scores)
    records.append(RUN._replace(fingerprint='4567'), 'a, b.png', {'PSNR': 1.0})
    again = ImageRecords(path)
    assert again.of(RUN, ['a, b.png', 'other']) == {'a, b.png': scores}
    assert again.drop_outdated(RUN) == 1
    assert ImageRecords(path).drop_outdated(RUN) == 0
    assert ImageRecords(path).of(RUN, ['a, b.png']) == {'a, b.png': scores}


def test_records_survive_a_kill_at_any_byte(tmp_path):
    path = tmp_path / 'r.csv'
    records = ImageRecords(path)
    start = path.stat().st_size
    for name in ('é.png', 'b.png'):
        records.append(RUN, name, {'PSNR': 24.824, 'seconds': 0.5})
    content = path.read_bytes()
    first = content.index(b'\n', start) + 1
    for end in range(start, len(content)):
        path.write_bytes(content[:end])
        records = ImageRecords(path)
        assert list(records.of(RUN, ['é.png', 'b.png'])) == ['é.png'] * (end >= first)
        records.append(RUN, 'b.png', {'PSNR': 24.824, 'seconds': 0.5})
        assert 'b.png' in ImageRecords(path).of(RUN, ['b.png'])


@pytest.mark.parametrize('text', ['', 'a,b\n1,2\n'], ids=['empty', 'other'])
def test_a_foreign_file_is_not_overwritten(tmp_path, text):
    path = tmp_path / 'r.csv'
    path.write_text(text)
    with pytest.raises(InputError, match='r.csv is no table of scores per image'):
        ImageRecords(path)
    assert path.read_text() == text
