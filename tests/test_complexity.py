"""Counts against hand arithmetic and published figures; runs the real tool."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from mmagic_inik.benchmark import complexity as module
from mmagic_inik.benchmark.complexity import (
    build_network,
    complexity,
    count_flops,
    count_parameters,
    measure,
)
from mmagic_inik.errors import InputError
from mmagic_inik.models.duplex_conv_lstm import ConvLSTMCell
from mmagic_inik.models.restorer import MultiScaleRestorer

CONFIGS = Path(__file__).parents[1] / 'configs'
DEMO = str(CONFIGS / 'iniknet_demo.py')
DPDD = str(CONFIGS / 'iniknet_dpdd.py')
LITERAL = str(CONFIGS / 'iniknet_literal_dpdd.py')
RESTORMER = 'mmagic::restormer/restormer_official_dpdd-single.py'
SMALL_RESTORMER = f"""
_base_ = '{RESTORMER}'
model = dict(generator=dict(dim=8, num_blocks=[1, 1, 1, 1], num_refinement_blocks=1,
    heads=[1, 1, 1, 1]))
"""


@pytest.fixture(scope='module')
def main():
    path = CONFIGS.parent / 'tools' / 'complexity.py'
    spec = importlib.util.spec_from_file_location('complexity_tool', path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool.main


@pytest.mark.parametrize(
    ('layer', 'macs'),
    [
        # Output 4 × 3 (height × width) in 5 channels, each of 2 · 3 · 3 products.
        (nn.Conv2d(2, 5, 3, stride=2, padding=1), 4 * 3 * 5 * 2 * 9),
        # Every output channel sees one input channel.
        (nn.Conv2d(2, 4, 3, padding=1, groups=2), 8 * 6 * 4 * 9),
        # Every input pixel reaches 4 · 4 output pixels in 3 channels.
        (nn.ConvTranspose2d(2, 3, 4, stride=2, padding=1), 8 * 6 * 2 * 3 * 16),
        # Over the last dimension.
        (nn.Linear(6, 7), 2 * 8 * 6 * 7),
        (nn.ReLU(), 0),
    ],
    ids=['stride', 'groups', 'transposed', 'linear', 'none'],
)
def test_flops_of_one_layer(layer, macs):
    network = nn.Sequential(layer)
    flops = count_flops(network, lambda: network(torch.rand(1, 2, 8, 6)))
    assert flops == {'total': 2 * macs} | ({'0': 2 * macs} if macs else {})


class _Network(nn.Module):
    """A list that is not called, a weight of its own, and one shared."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(5, 3))
        self.layers = nn.ModuleList([nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 3))])
        self.last = nn.Linear(3, 3, bias=False)
        self.last.weight = self.layers[0].weight

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.last(x) @ self.weight.mT


def test_parts_that_are_lists_and_what_is_in_no_part():
    network = _Network()
    assert count_parameters(network) == {'total': 39, 'layers': 24, 'rest': 15}
    flops = count_flops(network, lambda: network(torch.rand(4, 3)))
    assert flops == {
        'total': 2 * 4 * (3 * 9 + 15),
        'layers': 2 * 4 * 2 * 9,
        'last': 2 * 4 * 9,
        'rest': 2 * 4 * 15,
    }


def _macs_by_hooks(network, image):
    """MACs of the convolutions by part, from the sizes that pass through them."""
    macs = dict.fromkeys(['backbone', 'size_neck', 'shape_neck', 'head'], 0)

    def add(name):
        def hook(layer, inputs, output):
            transposed = isinstance(layer, nn.ConvTranspose2d)
            pixels = (inputs[0] if transposed else output).shape[-2:].numel()
            macs[name.split('.')[0]] += pixels * layer.weight.numel()

        return hook

    def add_gates(name):
        def hook(cell, inputs, output):
            pixels = inputs[0].shape[-2:].numel()
            macs[name.split('.')[0]] += pixels * cell.gates.weight.numel()

        return hook

    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(add(name))
        elif isinstance(layer, ConvLSTMCell):
            layer.register_forward_hook(add_gates(name))
    with torch.no_grad():
        network(image)
    return macs


@pytest.mark.parametrize('config', [DEMO, DPDD, LITERAL], ids=['demo', 'dpdd', 'sum'])
def test_flops_of_iniknet_against_hooks_and_hand_arithmetic(config):
    height, width = 32, 48
    network = build_network(config).generator
    macs = _macs_by_hooks(network, torch.rand(1, 3, height, width))
    bank = network.head.atom_bank
    atoms, sizes = bank.num_atoms, bank.kernel_sizes
    # Eq. 9: every size of every atom on every colour, then the mixing of all of them.
    macs['head'] += height * width * 3 * atoms * sum(size**2 for size in sizes)
    if config != LITERAL:
        macs['head'] += height * width * 3 * (len(sizes) * 3 * atoms)
    # MLPs 3 → 64 → 64 → 1 at the taps of all sizes but 1 × 1.
    taps = sum(size**2 for size in sizes if size > 1)
    macs['head.atom_bank'] = atoms * taps * (3 * 64 + 64 * 64 + 64)
    expected = {part: 2 * count for part, count in macs.items()}
    counted = complexity(config, (height, width))
    assert counted.flops == {'total': sum(expected.values()), **expected}
    assert counted.given_size == (height, width)


def test_iniknet_as_published():
    counted = complexity(DPDD, (640, 640))
    assert counted.network == 'INIKNet'
    assert counted.parameters == {
        'total': 1_976_847,
        'backbone': 1_307_488,
        'size_neck': 311_616,
        'shape_neck': 311_616,
        'head.atom_bank': 44_810,
        # Predictors of μ and ω, fusion.
        'head': 264 + 330 + 723,
    }
    flops = counted.flops
    assert flops['size_neck'] + flops['shape_neck'] == pytest.approx(670e9, rel=2e-3)
    # 960 GFLOP with all scales filtered: 1/4 and 1/16 of the pixels more.
    all_scales = flops['total'] + flops['head'] * (1 / 4 + 1 / 16)
    assert all_scales == pytest.approx(960e9, rel=2e-3)


def test_restormer_as_published():
    counted = complexity(RESTORMER, (256, 256))
    parameters, flops = counted.parameters, counted.flops
    assert parameters['total'] == pytest.approx(26.1e6, abs=0.05e6)
    assert parameters['total'] == sum(parameters.values()) / 2
    assert flops['total'] == sum(flops.values()) / 2
    # Blocks, pixels, channels and heads of the levels, decoder and refinement last.
    attention = sum(
        blocks * 2 * side**2 * channels**2 // heads
        for blocks, side, channels, heads in [
            (4, 256, 48, 1),
            (12, 128, 96, 2),
            (12, 64, 192, 4),
            (8, 32, 384, 8),
            (8, 256, 96, 1),
        ]
    )
    # Its paper's 140.99 G are MACs of layers; products within attention come on top.
    assert flops['total'] / 2 - attention == pytest.approx(140.99e9, rel=1e-3)


def test_sides_are_padded(tmp_path):
    config = tmp_path / 'restormer.py'
    config.write_text(SMALL_RESTORMER)
    assert complexity(str(config), (30, 17)).given_size == (32, 24)
    assert complexity(DEMO, (33, 20)).given_size == (48, 32)


class _Spender(nn.Module):
    """Takes known memory and time, and remembers what it got."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.seen = []
        self.clock = 0.0

    def forward(self, image):
        self.seen.append((image.shape, image.dtype, self.weight.dtype))
        # The first pass is not measured; the others take ever longer.
        self.clock += 0.1 * (len(self.seen) - 1) if len(self.seen) > 1 else 5
        torch.ones(128, 2**20 // 4)
        return image


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_memory_and_time_of_a_known_spender(monkeypatch, dtype):
    spender = _Spender()
    restorer = MultiScaleRestorer(spender, nn.Identity(), size_divisor=16, min_size=1)
    monkeypatch.setattr(module, 'build_network', lambda config: restorer)
    monkeypatch.setattr('time.perf_counter', lambda: spender.clock)
    cost = measure('config', (20, 30), 'cpu', dtype, 3)
    number = getattr(torch, dtype)
    assert spender.seen == [((1, 3, 32, 32), number, number)] * 4
    assert cost.seconds == pytest.approx([0.1, 0.2, 0.3])
    assert cost.median == pytest.approx(0.2)
    assert 127 <= cost.memory / 2**20 < 160
    assert cost.threads == torch.get_num_threads()


def test_networks_that_fail_are_named(monkeypatch):
    restorer = MultiScaleRestorer(nn.Conv2d(4, 3, 1), nn.Identity())
    monkeypatch.setattr(module, 'build_network', lambda config: restorer)
    for fails in (
        lambda: complexity('four.py', (20, 30)),
        lambda: measure('four.py', (20, 30), 'cpu', 'float32', 1),
    ):
        with pytest.raises(InputError, match='four.py fails on an RGB image of 20x30'):
            fails()


def test_tool_counts_several_networks_without_running_them(
    main, tmp_path, monkeypatch, capsys
):
    config, out = tmp_path / 'small restormer.py', tmp_path / 'costs.json'
    config.write_text(SMALL_RESTORMER)
    monkeypatch.setattr('time.perf_counter', lambda: 1 / 0)
    main([DPDD, str(config), '--no-time', '--size', '100x96', '--out', str(out)])
    text = capsys.readouterr().out
    # 9 593 654 272 FLOPs are those of 64 × 64, atoms 59 100 160 of them.
    flops = (9_593_654_272 - 59_100_160) * 112 * 96 / 64**2 + 59_100_160
    row = f'| **INIKNet**, iniknet_dpdd | 1.977 | {flops / 2e9:.2f} | {flops / 1e9:.2f}'
    assert f'{row} | – | – |\n| · backbone | 1.307 |' in text
    assert '| **Restormer**, small restormer | ' in text
    assert 'iniknet_dpdd.py gets it padded to 112 × 96.\n' in text
    assert 'restormer.py gets it padded to 104 × 96.\n' in text
    assert 'Time' not in text
    record = json.loads(out.read_text())
    assert record['size'] == [100, 96]
    assert record['networks'][0]['flops']['total'] == flops
    assert record['networks'][0]['macs']['total'] == flops / 2
    assert record['networks'][1]['given_size'] == [104, 96]
    assert 'memory' not in record['networks'][0]


@pytest.mark.long
def test_tool_measures_in_another_process(main, tmp_path, capsys):
    out = tmp_path / 'costs.json'
    # What this process has held must not count.
    torch.ones(400, 2**20 // 4)
    options = '--size 256x256 --device cpu --dtype bfloat16 --repeats 3 --out'
    main([DEMO, *options.split(), str(out)])
    text = capsys.readouterr().out
    (network,) = json.loads(out.read_text())['networks']
    # The pyramid's features, twice for μ and ω, are held at once.
    assert 2 * 8 * 256**2 * 2 < network['memory'] < 300 * 2**20
    low, median, high = sorted(network['seconds'])
    assert low > 0
    assert network['dtype'] == 'bfloat16'
    memory = f'{network["memory"] / 2**20:.0f}'
    assert f'| {memory} | {median:.3f} ({low:.3f}–{high:.3f}) |' in text
    assert 'of 3 forward passes in bfloat16, after 1 to warm up; ' in text
    assert 'thread(s)' in text


@pytest.mark.long
def test_tool_tells_that_a_process_was_killed(main, tmp_path):
    config = tmp_path / 'killed.py'
    config.write_text(
        f'_base_ = {DEMO!r}\nimport multiprocessing\nimport os\n'
        'if multiprocessing.parent_process():\n    os.abort()\n'
    )
    with pytest.raises(SystemExit, match='killed.py was killed, as happens when mem'):
        main([str(config), '--size', '32x32', '--device', 'cpu'])


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['absent.py'], 'config absent.py does not exist'),
        ([DEMO, 'mmagic::nafnet/no.py'], 'config mmagic::nafnet/no.py does not exist'),
        ([], 'there is no network to measure; give configs or --peers'),
        ([DEMO, '--size', '640'], '--size is HEIGHTxWIDTH in pixels, .*, got 640'),
        ([DEMO, '--size', '0x640'], '--size is HEIGHTxWIDTH in pixels, .*, got 0x640'),
        ([DEMO, '--repeats', '0'], '--repeats must be positive, got 0'),
        ([DEMO, '--out', 'no/c.json'], '--out no/c.json is in no folder; make it'),
    ],
    ids=lambda value: value[-1] if value and isinstance(value, list) else '',
)
def test_mistakes_are_told_in_a_sentence(main, arguments, message):
    with pytest.raises(SystemExit, match=f'complexity: {message}') as caught:
        main([*arguments, '--no-time'])
    assert '\n' not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_absent_gpu_is_told(main):
    with pytest.raises(SystemExit, match='--device cuda needs a GPU and finds none'):
        main([DEMO, '--device', 'cuda'])


def test_unknown_network_is_named(main, tmp_path):
    config = tmp_path / 'unknown.py'
    config.write_text(f"_base_ = {DEMO!r}\nmodel = dict(generator=dict(type='NoNet'))")
    with pytest.raises(SystemExit, match=r'unknown.py names .*\(NoNet is not in the'):
        main([str(config), '--no-time'])


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_memory_and_time_on_a_gpu():
    cost = measure(DEMO, (256, 256), 'cuda', 'float32', 2)
    assert 2 * 8 * 256**2 * 4 < cost.memory < 300 * 2**20
    assert min(cost.seconds) > 0


def test_peers_by_one_option(main, monkeypatch, capsys):
    small = ('nrknet', 'drbnet')
    paths = [str(CONFIGS / 'peers' / f'{name}_dpdd.py') for name in small]
    monkeypatch.setitem(main.__globals__, 'peer_configs', lambda: paths)
    main([DEMO, '--peers', '--no-time', '--size', '64x64', '--device', 'cpu'])
    text = capsys.readouterr().out
    assert '| **INIKNet**, iniknet_demo |' in text
    assert '| **NRKNet**, nrknet_dpdd | 6.094 |' in text
    assert '| **DRBNet**, drbnet_dpdd | 11.690 |' in text
