"""Published checkpoints of the peers, by the real tool."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from peer_weights import close, golden, image, listed, of_norms, weights

from mmagic_inik.benchmark.contenders import build_contender
from mmagic_inik.errors import InputError
from mmagic_inik.models.peers import IFAN, KPAC, AIFNet, DPDNet, GKMNet
from mmagic_inik.models.peers.conversion import (
    convert_peer,
    read_keras,
    read_tensorlayer,
    recognise,
    released_name,
    unwrapped,
)
from mmagic_inik.models.peers.convir import ConvIR
from mmagic_inik.models.peers.drbnet import DRBNet
from mmagic_inik.models.peers.mdp import MDP
from mmagic_inik.models.peers.mprnet import MPRNet
from mmagic_inik.models.peers.nrknet import NRKNet
from mmagic_inik.models.peers.released_forms import FORMS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def main():
    path = ROOT / 'tools' / 'convert_released.py'
    spec = importlib.util.spec_from_file_location('convert_released_tool', path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    return lambda *arguments: tool.main([*map(str, arguments)])


def of_nrknet():
    def special(name, v):
        if name == 'GCM.kernels':
            return 2 * np.sin(1.3 * np.arange(126))
        return of_norms(name, v)

    return weights(listed(golden('nrknet')), 3.0, special)


@torch.no_grad()
def test_a_published_checkpoint_becomes_ours(main, tmp_path, capsys):
    source, destination = tmp_path / 'nrknet.pth', tmp_path / 'nrknet_dpdd.pth'
    # As PyTorch's wrapper saves it.
    state = {f'module.{name}': tensor for name, tensor in of_nrknet().items()}
    torch.save(dict(state_dict=state), source)
    main(source, destination)
    text = capsys.readouterr().out
    config = ROOT / 'configs' / 'peers' / 'nrknet_dpdd.py'
    assert f'{source} is NRKNet; {destination} is for tools/test.py {config}' in text
    contender = build_contender('NRKNet', str(config), str(destination), clip=True)
    # It takes RGB images, the original BGR.
    restored = contender.module.forward_tensor(image().flip(1)).flip(1)
    assert close(restored, golden('nrknet')['output_batchstats'])


@pytest.mark.parametrize(
    ('name', 'network'),
    [
        ('DPDNet', lambda: DPDNet(6)),
        ('AIFNet', AIFNet),
        ('IFAN', IFAN),
        ('KPAC (2 levels)', lambda: KPAC(2)),
        ('KPAC (3 levels)', KPAC),
        ('GKMNet', GKMNet),
        ('MDP', MDP),
        ('DRBNet', DRBNet),
        ('MPRNet', MPRNet),
        ('NRKNet', NRKNet),
        ('ConvIR-S', lambda: ConvIR('S')),
        ('ConvIR-B', lambda: ConvIR('B')),
        ('ConvIR-L', lambda: ConvIR('L')),
    ],
)
def test_networks_are_told_apart(name, network):
    with torch.device('meta'):
        ours = network().state_dict()
    # AIFNet's counters of batches are in no TensorFlow file.
    ours = {
        key
        for key in ours
        if not (name == 'AIFNet' and key.endswith('num_batches_tracked'))
    }
    theirs = {released_name(key, FORMS[name]) for key in ours}
    # No two of ours are one of theirs.
    assert len(theirs) == len(ours)
    assert recognise(dict.fromkeys(theirs)) == name
    assert recognise(dict.fromkeys(theirs - {FORMS[name].told_by})) is None


def test_wrappings():
    state = {'a.weight': 1}
    for wrapped in (
        state,
        dict(state_dict=state),
        dict(model=state, optimizer={}, epoch=3),
        dict(state_dict={'module.a.weight': 1}),
    ):
        assert unwrapped(wrapped) == state


def test_what_does_not_fit_is_named(main, tmp_path):
    released = of_nrknet()
    released['APU.more'] = released.pop('SummationLayer.conv.bias')
    released['GCM.kernels'] = torch.zeros(42, 1, 1, 3)
    with pytest.raises(InputError) as caught:
        convert_peer(released, NRKNet(), FORMS['NRKNet'])
    for part in (
        'no released NRKNet of this size: SummationLayer.conv.bias is missing; ',
        'APU.more is unknown',
        'GCM.kernels has shape (42, 1, 1, 3), which cannot become (21, 3, 2)',
    ):
        assert part in str(caught.value)
    source, destination = tmp_path / 'wrong.pth', tmp_path / 'out.pth'
    torch.save(released, source)
    with pytest.raises(
        SystemExit, match='convert_released: .*wrong.pth is no released'
    ):
        main(source, destination)
    assert not destination.exists()


def test_unknown_networks_and_wrong_configs_are_refused(main, tmp_path):
    source, destination = tmp_path / 'other.pth', tmp_path / 'out.pth'
    torch.save({'conv.weight': torch.zeros(1)}, source)
    with pytest.raises(SystemExit, match='other.pth is of no network known here'):
        main(source, destination)
    torch.save(of_nrknet(), source)
    config = ROOT / 'configs' / 'iniknet_dpdd.py'
    with pytest.raises(SystemExit, match='is of NRKNet, but .* builds INIKNet; leave'):
        main(source, destination, '--config', config)
    assert list(tmp_path.iterdir()) == [source]


class FakeFile(dict):
    """What h5py gives of a file: a group with data sets, and other things."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False


class FakeDataset(list):
    pass


class FakeGroup(dict):
    def visititems(self, visit):
        for name, item in self.items():
            visit(name, item)


def test_keras_files(monkeypatch, tmp_path):
    group = FakeGroup(
        {'conv2d': FakeGroup(), 'conv2d/conv2d/bias:0': FakeDataset([1.0, 2.0])}
    )
    h5py = ModuleType('h5py')
    h5py.Dataset = FakeDataset
    files = dict(whole=FakeFile(model_weights=group), other=FakeFile())
    h5py.File = lambda path, mode: files[path.stem]
    monkeypatch.setitem(sys.modules, 'h5py', h5py)
    found = read_keras(tmp_path / 'whole.hdf5')
    assert list(found) == ['conv2d/conv2d/bias:0']
    assert found['conv2d/conv2d/bias:0'].tolist() == [1, 2]
    with pytest.raises(InputError, match='other.hdf5 is no Keras model'):
        read_keras(tmp_path / 'other.hdf5')


def test_keras_files_without_their_reader(main, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'h5py', None)
    with pytest.raises(
        SystemExit, match='mdp.hdf5 is a Keras file, which h5py reads; '
    ):
        main(tmp_path / 'mdp.hdf5', tmp_path / 'out.pth')


def of_kpac(levels):
    """The arrays of a TensorLayer file in order, and the network they are of."""
    torch.manual_seed(0)
    network = KPAC(levels).eval()
    form = FORMS[f'KPAC ({levels} levels)']
    placed = {}
    for name, tensor in network.state_dict().items():
        index = int(released_name(name, form).split('/')[1])
        dims = (2, 3, 1, 0) if tensor.ndim == 4 else (0,)
        placed[index] = tensor.permute(*dims).numpy().copy()
    return [placed[index] for index in range(len(placed))], network


def save_list(path, arrays):
    listed = np.empty(len(arrays), object)
    for k, array in enumerate(arrays):
        listed[k] = array
    np.savez(path, params=listed)


@torch.no_grad()
@pytest.mark.parametrize(
    ('levels', 'config'), [(2, 'kpac_2level_dpdd'), (3, 'kpac_dpdd')]
)
def test_lists_without_names(main, tmp_path, capsys, levels, config):
    arrays, network = of_kpac(levels)
    source, destination = tmp_path / 'single.npz', tmp_path / 'kpac.pth'
    save_list(source, arrays)
    main(source, destination)
    assert f'is KPAC ({levels} levels); ' in capsys.readouterr().out
    path = str(ROOT / 'configs' / 'peers' / f'{config}.py')
    contender = build_contender('KPAC', path, str(destination), clip=True)
    x = torch.rand(1, 3, 8, 16)
    assert torch.equal(contender.module.forward_tensor(x), network(x))


def test_lists_of_other_networks_are_refused(main, tmp_path):
    arrays, _ = of_kpac(3)
    # The variant of two views: six channels.
    arrays[0] = np.concatenate([arrays[0]] * 2, 2)
    save_list(tmp_path / 'dual.npz', arrays)
    with pytest.raises(
        SystemExit, match=r'dual.npz is no released KPAC .* shape \(48, 6, 5, 5\)'
    ):
        main(tmp_path / 'dual.npz', tmp_path / 'out.pth')


class Code:
    def __reduce__(self):
        return eval, ('1 / 0',)


def test_code_in_lists_is_not_run(main, tmp_path):
    save_list(tmp_path / 'evil.npz', [np.zeros(3, np.float32), Code()])
    with pytest.raises(
        SystemExit, match='evil.npz is no archive of arrays alone .*eval is not loaded'
    ):
        main(tmp_path / 'evil.npz', tmp_path / 'out.pth')
    save_list(tmp_path / 'text.npz', [np.array(['a'])])
    with pytest.raises(InputError, match='something other than arrays of numbers'):
        read_tensorlayer(tmp_path / 'text.npz')
    (tmp_path / 'cut.npz').write_bytes(b'PK')
    with pytest.raises(InputError, match='cut.npz is no archive of arrays alone'):
        read_tensorlayer(tmp_path / 'cut.npz')


def test_archives_by_name(tmp_path):
    np.savez(tmp_path / 'named.npz', **{'deblur_net/a/kernel:0': np.ones((1, 2))})
    found = read_tensorlayer(tmp_path / 'named.npz')
    assert list(found) == ['deblur_net/a/kernel:0']
    assert found['deblur_net/a/kernel:0'].shape == (1, 2)


def test_ifans_wrapper_and_its_network_of_training():
    state = {
        'module.Network.F.3.weight': 1,
        'module.reblurNet.RBF.0.weight': 2,
    }
    assert unwrapped(state) == {'F.3.weight': 1}


def test_views_are_reversed_one_by_one():
    """Colours are b, g, r of the left view, then of the right one."""
    network = DPDNet(6)
    released = {}
    for name, tensor in network.state_dict().items():
        dims = (2, 3, 1, 0) if tensor.ndim == 4 else (0,)
        released[released_name(name, FORMS['DPDNet'])] = tensor.permute(*dims)
    first = released['conv2d_1/conv2d_1/kernel:0']
    converted = convert_peer(released, network, FORMS['DPDNet'])
    for ours, theirs in enumerate((2, 1, 0, 5, 4, 3)):
        assert torch.equal(
            converted['encoder.0.0.weight'][:, ours],
            first[:, :, theirs].permute(2, 0, 1),
        )
