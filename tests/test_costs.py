"""Tables of made-up costs, by hand."""

import json

from mmagic_inik.benchmark.complexity import Complexity, Cost
from mmagic_inik.benchmark.costs import Costs, costs_notes, costs_record, costs_table

COUNT = Complexity(
    'Net',
    {'total': 1_500_000, 'head': 1_500_000},
    {'total': 4_000_000_000, 'head': 3_000_000_000, 'rest': 1_000_000_000},
    (32, 48),
)
COST = Cost(3 * 2**20, [0.3, 0.1, 0.25], 2)


def costs_of(*measured, size=(30, 48)):
    configs = [f'configs/{name}.py' for name in 'ab'][: len(measured)]
    return Costs(configs, [COUNT] * len(measured), measured, size, 'cpu', 'float32')


def test_table():
    head, line, *rows = costs_table(costs_of(COST, None)).splitlines()
    assert head == (
        '| network | parameters (M) | GMAC | GFLOP | memory (MiB) | time (s) |'
    )
    assert line == '| --- | --- | --- | --- | --- | --- |'
    parts = [
        '| · head | 1.500 | 1.50 | 3.00 |  |  |',
        '| · rest | 0.000 | 0.50 | 1.00 |  |  |',
    ]
    assert rows == [
        '| **Net**, a | 1.500 | 2.00 | 4.00 | 3 | 0.250 (0.100–0.300) |',
        *parts,
        '| **Net**, b | 1.500 | 2.00 | 4.00 | – | – |',
        *parts,
    ]


def test_notes_tell_padding_and_how_it_was_measured():
    text = costs_notes(costs_of(COST))
    assert text.startswith('- One RGB image of 30 × 48.\n- configs/a.py gets it padded')
    assert 'padded to 32 × 48.\n' in text
    assert 'of 3 forward passes in float32, after 1 to warm up; CPU (' in text
    assert ', 2 thread(s).\n' in text
    counted = costs_notes(costs_of(None, size=(32, 48)))
    assert 'padded' not in counted
    assert 'Time' not in counted


def test_record_is_json_and_exact():
    record = json.loads(json.dumps(costs_record(costs_of(COST, None))))
    first, second = record['networks']
    assert record['size'] == [30, 48]
    assert first['macs'] == {'total': 2e9, 'head': 1.5e9, 'rest': 5e8}
    assert first['flops']['total'] == 4e9
    assert first['seconds'] == [0.3, 0.1, 0.25]
    assert first['memory'] == 3 * 2**20
    assert first['warm_ups'] == 1
    assert 'memory' not in second
