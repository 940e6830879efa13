"""Exported models give what PyTorch gives, say what they are, and run elsewhere."""

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from PIL import Image
from skimage import data
from torch import nn

from mmagic_inik import __version__
from mmagic_inik.errors import InputError
from mmagic_inik.export import export, to_onnx, writing
from mmagic_inik.export.checking import compare
from mmagic_inik.export.source import Source, find_source
from mmagic_inik.models import Restorer
from mmagic_inik.models.build import build_part
from mmagic_inik.restoration import (
    load_exported,
    load_restorer,
    restore,
    shipped,
    with_engine,
)

ROOT = Path(__file__).parents[1]
# The parts of the networks that we train, at a size for tests.
TINY = dict(
    type='INIKNet',
    num_scales=2,
    backbone=dict(type='UNet', base_channels=4, num_res_blocks=1),
    neck=dict(type='DuplexConvLSTM', channels=4, num_res_blocks=1),
    head=dict(
        type='InverseFilterHead',
        in_channels=4,
        atom_bank=dict(type='INRAtomBank', num_atoms=2, kernel_sizes=(1, 3, 5)),
    ),
)
LIGHT = TINY | dict(
    backbone=TINY['backbone'] | dict(reduction=4, energy_bands=2),
    head=TINY['head'] | dict(reduction=4, border='reflect', mixing_start=10.0),
)
LITERAL = TINY | dict(
    neck=TINY['neck'] | dict(cell_state='feature'),
    head=TINY['head']
    | dict(
        fusion='sum',
        residual=False,
        atom_bank=TINY['head']['atom_bank'] | dict(center='delta', zero_sum=True),
    ),
)
DETAILED = LIGHT | dict(
    backbone=LIGHT['backbone'] | dict(signed_bands=2),
    head=LIGHT['head'] | dict(detail_channels=4, detail_blocks=1),
)
VARIANTS = {
    'light': LIGHT,
    'with coarser sizes': TINY
    | dict(
        neck=TINY['neck'] | dict(reduction=2),
        head=TINY['head'] | dict(border='reflect', mixing_start=10.0, coarser=(2, 4)),
    ),
    'light, with details': DETAILED,
    'literal': LITERAL,
    'matrices, bilinear': LIGHT
    | dict(
        neck=dict(type='ConvNeck', channels=4, num_res_blocks=1),
        head=LIGHT['head']
        | dict(
            enlargement='bilinear',
            border='zero',
            atom_bank=dict(type='MatrixAtomBank', num_atoms=2, kernel_sizes=(1, 3, 5)),
        ),
    ),
}


def build(generator, seed=0):
    """With weights that change an image by far more than rounding."""
    torch.manual_seed(seed)
    network = build_part(generator).eval()
    with torch.no_grad():
        for parameter in network.head.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return Restorer(network).eval()


def tool(name, *arguments):
    main = runpy.run_path(str(ROOT / 'tools' / f'{name}.py'))['main']
    main([str(argument) for argument in arguments])


def run(model, image):
    content = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=['CPUExecutionProvider'])
    return torch.from_numpy(session.run(None, {'image': image.numpy()})[0])


@pytest.fixture(scope='module')
def model_file(tmp_path_factory):
    """The shipped network as a file."""
    path = tmp_path_factory.mktemp('exported') / 'shipped.onnx'
    written = export('shipped', path)
    assert path.read_bytes() == written.content
    assert [a.size[1] % 2 for a in written.agreements].count(1) == 2
    assert max(a.error for a in written.agreements) < 1e-5
    return path


@pytest.fixture(scope='module')
def photo():
    """A real photo of odd sides, and what PyTorch makes of it."""
    pixels = data.chelsea()[100:175, 100:201]
    return pixels, restore(pixels, load_restorer(), dtype='float32')


def test_shipped_model_restores_a_photo_as_pytorch_does(model_file, photo):
    pixels, expected = photo
    planes = torch.from_numpy(pixels.transpose(2, 0, 1)[None] / np.float32(255))
    given = run(model_file.read_bytes(), planes)[0].clamp(0, 1).mul(255).round()
    difference = given.permute(1, 2, 0).numpy() - expected
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 1e-3
    assert np.abs(expected.astype(int) - pixels).mean() > 0.5


@pytest.mark.parametrize(
    'size', [(1, 1, 1), (3, 5, 40), (2, 31, 33), (1, 64, 80)], ids=str
)
def test_any_size_and_batch_is_taken(model_file, size):
    batch, height, width = size
    image = torch.rand(batch, 3, height, width)
    with torch.no_grad():
        expected = load_restorer().restore(image)
    torch.testing.assert_close(
        run(model_file.read_bytes(), image), expected, atol=1e-5, rtol=0
    )


def test_model_says_what_it_is(model_file):
    model = onnx.load(model_file)
    known = {entry.key: entry.value for entry in model.metadata_props}
    card = shipped.read_card(shipped.WEIGHTS)
    assert known['version'] == model.producer_version == __version__
    assert (known['name'], known['config']) == ('INIKNet', card['config'])
    assert known['checkpoint_sha256'] == card['sha256']
    assert known['colour_order'] == 'RGB'
    assert known['value_range'].startswith('[0, 1]')
    assert (known['size_divisor'], known['min_size']) == ('16', '32')
    assert 'multiples of 16 and at least 32' in known['padding']
    assert len(known['config_sha256']) == 64
    (given,), (made,) = model.graph.input, model.graph.output
    for value, name in ((given, 'image'), (made, 'restored')):
        axes = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        assert (value.name, axes) == (name, ['batch', 3, 'height', 'width'])


def test_atoms_are_constants_and_all_operations_are_onnxs(model_file):
    graph = onnx.load(model_file).graph
    assert [o.domain for o in onnx.load(model_file).opset_import] == ['']
    assert onnx.load(model_file).opset_import[0].version >= 18
    assert 'Sin' not in {node.op_type for node in graph.node}
    arrays = [numpy_helper.to_array(tensor) for tensor in graph.initializer]
    atoms = load_restorer().generator.head.atom_bank()
    for atom in atoms[1:]:
        kernels = np.tile(atom.detach().numpy()[:, None], (3, 1, 1, 1))
        assert any(
            a.shape == kernels.shape and np.allclose(a, kernels, atol=1e-7)
            for a in arrays
        )


@pytest.mark.parametrize('name', VARIANTS)
def test_other_networks_go_as_well(name):
    restorer = build(VARIANTS[name])
    model = to_onnx(restorer)
    for sides in ((1, 1), (33, 47), (96, 80)):
        image = torch.rand(1, 3, *sides)
        with torch.no_grad():
            expected = restorer.restore(image)
        assert (expected - image).abs().max() > 0.01
        torch.testing.assert_close(run(model, image), expected, atol=1e-5, rtol=1e-5)


def test_float16_is_near_and_keeps_the_image():
    restorer = build(LIGHT)
    model = to_onnx(restorer, 'float16')
    (agreement, *_) = compare(model.SerializeToString(), restorer, 'float16')
    assert 50 < agreement.psnr < 120
    assert agreement.enough
    kinds = {
        numpy_helper.to_array(tensor).dtype.name
        for tensor in model.graph.initializer
        if tensor.name.startswith('backbone')
    }
    assert kinds == {'float16'}
    assert run(model, torch.rand(1, 3, 9, 7)).dtype == torch.float32


class OfOneSize(nn.Module):
    """Does for large images what no trace of a small one shows."""

    def forward(self, image):
        return image + 0.001 * (int(max(image.shape[-2:])) > 64)


class WithoutForm(nn.Module):
    def forward(self, image):
        return torch.special.i0(image)


@pytest.mark.parametrize(
    ('network', 'sentence'),
    [
        (OfOneSize(), r'bad.onnx is not written: on 1x3x75x101 it differs .* by 0.001'),
        (WithoutForm(), "WithoutForm cannot be exported .*'aten::i0'"),
    ],
    ids=['differs', 'no operation'],
)
def test_what_is_not_right_leaves_no_file(tmp_path, monkeypatch, network, sentence):
    weights = shipped.WEIGHTS
    source = Source(Restorer(network), weights, 'none', '', dict(generator={}))
    monkeypatch.setattr(writing, 'find_source', lambda *arguments: source)
    kept = tmp_path / 'bad.onnx'
    kept.write_bytes(b'of before')
    with pytest.raises(InputError, match=sentence):
        export('any', kept)
    assert [file.name for file in tmp_path.iterdir()] == ['bad.onnx']
    assert kept.read_bytes() == b'of before'


@pytest.fixture(scope='module', params=['onnxruntime', 'openvino'])
def engine(request, model_file):
    return load_exported(str(model_file), request.param)


def test_engine_restores_in_tiles_as_pytorch_does(engine):
    pixels = data.chelsea()[100:160, 100:230]
    options = dict(tile=64, overlap=32)
    expected = restore(pixels, load_restorer(), dtype='float32', **options)
    given = restore(pixels, engine, dtype='float32', **options)
    assert np.abs(given.astype(int) - expected).max() <= 1
    assert (given != expected).mean() < 1e-3
    # What is fastest here may be bfloat16.
    fastest = restore(pixels, engine, **options)
    assert np.abs(fastest.astype(int) - expected).max() <= 2
    grey = pixels[..., 1]
    assert restore(grey, engine, **options).shape == grey.shape


# Listens to signals as pytest and a data loader do, and drops two engines.
DROPPING = """
import faulthandler, gc, signal, subprocess, sys
import numpy as np
from mmagic_inik.restoration import restore
from mmagic_inik.restoration.engines import load_exported

faulthandler.enable()
heard = []
signal.signal(signal.SIGCHLD, lambda *_: heard.append(1))
engines = [load_exported(sys.argv[1], 'openvino') for _ in range(2)]
for engine in engines:
    restore(np.zeros((40, 40, 3), np.uint8), engine, dtype='float32')
while engines:
    engine = None
    del engines[0]
    gc.collect()
subprocess.run(['true'], check=True)
assert heard
"""


def test_process_lives_on_when_engines_are_dropped(model_file):
    command = [sys.executable, '-c', DROPPING, str(model_file)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_engine_exports_by_itself():
    restorer = build(LIGHT)
    pixels = data.chelsea()[100:140, 100:153]
    given = restore(pixels, with_engine(restorer, 'onnxruntime'))
    expected = restore(pixels, restorer, dtype='float32')
    assert np.abs(given.astype(int) - expected).max() <= 1
    assert with_engine(restorer, 'pytorch') is restorer


def test_engine_refuses_what_it_cannot(model_file, tmp_path):
    with pytest.raises(InputError, match="engine must be in .*, got 'tensorrt'"):
        with_engine(build(TINY), 'tensorrt')
    with pytest.raises(InputError, match='which PyTorch does not run; give --engine'):
        load_exported(str(model_file), 'pytorch')
    other = tmp_path / 'other.onnx'
    other.write_bytes(b'no model')
    with pytest.raises(InputError, match='other.onnx is damaged or no ONNX model'):
        load_exported(str(other), 'onnxruntime')
    onnx.save(onnx.parser.parse_model(FOREIGN), other)
    with pytest.raises(InputError, match='does not say which sides it takes'):
        load_exported(str(other), 'onnxruntime')
    narrow = load_exported(str(model_file), 'onnxruntime')
    with pytest.raises(ValueError, match="got 'bfloat16'"):
        restore(np.zeros((4, 4), np.uint8), narrow, dtype='bfloat16')


FOREIGN = """
<ir_version: 8, opset_import: ["" : 18]>
same (float[n] a) => (float[n] b) { b = Identity(a) }
"""
WITHOUT_TORCH = """
import runpy, sys
for name in ('torch', 'mmagic_inik', 'mmagic', 'mmengine', 'cv2', 'onnx'):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def test_script_restores_without_torch_and_without_us(model_file, photo, tmp_path):
    pixels, expected = photo
    Image.fromarray(pixels).save(tmp_path / 'photo.png')
    script = ROOT / 'tools' / 'restore_onnx.py'
    files = model_file, tmp_path / 'photo.png', tmp_path / 'out.png'
    command = [sys.executable, '-c', WITHOUT_TORCH, script, *files]
    subprocess.run(list(map(str, command)), check=True, cwd=tmp_path)
    given = np.asarray(Image.open(tmp_path / 'out.png'))
    assert np.abs(given.astype(int) - expected).max() <= 1


def test_tool_exports_and_prints_the_differences(tmp_path, capsys, photo):
    state = tmp_path / 'tiny.safetensors'
    checkpoint, restorer = tmp_path / 'tiny.pth', build(LIGHT)
    torch.save(dict(state_dict=restorer.state_dict()), checkpoint)
    card = dict(config='tiny', generator=LIGHT, iterations=7)
    state.write_bytes(writing.safetensors_of(restorer.state_dict(), card, 'float32'))
    out = tmp_path / 'tiny.onnx'
    tool('export', state, out)
    printed = capsys.readouterr().out
    assert printed.count('largest difference from PyTorch') == 3
    assert f'{out}: ' in printed
    # The same file restores photos with the tool.
    Image.fromarray(photo[0]).save(tmp_path / 'photo.png')
    arguments = [
        '--engine',
        'onnxruntime',
        '--checkpoint',
        out,
        '--out',
        tmp_path / 'r',
    ]
    tool('restore', tmp_path / 'photo.png', '--device', 'cpu', *arguments)
    given = np.asarray(Image.open(tmp_path / 'r' / 'photo.png')).astype(int)
    expected = restore(photo[0], restorer, dtype='float32')
    assert np.abs(given - expected).max() <= 1
    with pytest.raises(SystemExit, match='export: no config lies beside .*tiny.pth'):
        tool('export', checkpoint, out)


def test_network_is_found_beside_its_checkpoint(tmp_path):
    config = ROOT / 'configs' / f'{shipped.WEIGHTS.stem}.py'
    checkpoint = tmp_path / 'iter_9000.pth'
    checkpoint.write_bytes(shipped.WEIGHTS.read_bytes())
    with pytest.raises(InputError, match='no config lies beside .*iter_9000.pth'):
        find_source(str(checkpoint))
    (tmp_path / 'vis_data.py').write_text(f'_base_ = {str(config)!r}')
    found, known = find_source(str(checkpoint)), find_source('shipped')
    assert found.digest == known.digest
    assert found.card['iterations'] == known.card['iterations']
    torch.testing.assert_close(
        found.restorer.state_dict(), known.restorer.state_dict(), rtol=0, atol=0
    )
    (tmp_path / 'another.py').write_text('')
    with pytest.raises(InputError, match='2 configs lie beside'):
        find_source(str(checkpoint))
    checkpoint.with_suffix('.json').write_text('{}')
    with pytest.raises(InputError, match='iter_9000.json is no card of weights'):
        find_source(str(checkpoint))
    with pytest.raises(InputError, match='gone.pth does not exist; name a file, or'):
        find_source(str(tmp_path / 'gone.pth'))


@pytest.mark.parametrize(
    ('out', 'dtype', 'sentence'),
    [
        ('a.pt', 'float32', 'a.pt does not end in .onnx or .safetensors'),
        ('a.onnx', 'int8', "dtype must be in .*, got 'int8'"),
        ('folder.onnx', 'float32', 'folder.onnx is a folder; name a file'),
    ],
)
def test_what_cannot_be_written_is_refused_first(tmp_path, out, dtype, sentence):
    (tmp_path / 'folder.onnx').mkdir()
    with pytest.raises(InputError, match=sentence):
        export('shipped', tmp_path / out, dtype=dtype)
