import pytest

from mmagic_inik import cores


@pytest.mark.parametrize(
    ('line', 'files', 'expected'),
    [
        ('0::/a/b', {}, 8),
        ('0::/a/b', {'a/b/cpu.max': 'max 100000', 'cpu.max': 'max 100000'}, 8),
        ('0::/a/b', {'a/b/cpu.max': '250000 100000'}, 3),
        ('0::/a/b', {'a/cpu.max': '50000 100000'}, 1),
        (
            '3:cpu,cpuacct:/a',
            {'cpu/a/cpu.cfs_quota_us': '200000', 'cpu/a/cpu.cfs_period_us': '100000'},
            2,
        ),
        (
            '3:cpu,cpuacct:/a',
            {'cpu/a/cpu.cfs_quota_us': '-1', 'cpu/a/cpu.cfs_period_us': '100000'},
            8,
        ),
    ],
)
def test_cores_are_those_of_affinity_and_control_groups(
    tmp_path, monkeypatch, line, files, expected
):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f'{text}\n')
    (tmp_path / 'own').write_text(f'{line}\n')
    monkeypatch.setattr(cores, '_CGROUPS', tmp_path)
    monkeypatch.setattr(cores, '_OWN_GROUPS', tmp_path / 'own')
    monkeypatch.setattr(cores.os, 'sched_getaffinity', lambda _: range(8))
    assert cores.usable_cores() == expected
