"""Values of the original networks, with their names and order of colours."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from peer_weights import close, golden, image, listed, of_norms, weights

from mmagic_inik.models.peers.conversion import convert_peer, released_name
from mmagic_inik.models.peers.convir import SIZES, ConvIR
from mmagic_inik.models.peers.drbnet import DRBNet
from mmagic_inik.models.peers.mdp import MDP
from mmagic_inik.models.peers.mprnet import MPRNet
from mmagic_inik.models.peers.nrknet import NRKNet
from mmagic_inik.models.peers.reblurring import ReblurNet, isotropic_kernels
from mmagic_inik.models.peers.released_forms import FORMS, REBLURRING
from mmagic_inik.ops import pixel_filter


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def loaded(network, form, released):
    network.load_state_dict(convert_peer(released, network, form))
    return network.eval()


@pytest.fixture(scope='module')
def drbnet():
    file = golden('drbnet')
    return loaded(DRBNet(), FORMS['DRBNet'], weights(listed(file), 2.8)), file


def test_drbnet(drbnet):
    network, file = drbnet
    x = image()
    # Its release works on [−1, 1].
    assert close(2 * network(x) - 1, file['output'])
    features = network.features(2 * x - 1)
    assert close(features[0], file['features'])
    estimates = network.estimates(2 * x - 1)
    names = ('est_d8', 'est_d4', 'est_d2', 'output_unclipped')
    assert all(map(close, estimates, (file[name] for name in names)))
    u = F.avg_pool2d(2 * x - 1, 8)
    assert close(u, file['image_d8'])
    module = network.residuals[0]
    assert close(
        module.kernels(torch.cat([features[0], module.image(u)], 1)), file['kernel_d8']
    )


def test_drbnets_clamp_is_an_option(drbnet):
    network, file = drbnet
    open_ended = DRBNet(clamp=False)
    open_ended.load_state_dict(network.state_dict())
    assert close(2 * open_ended(image()) - 1, file['output_unclipped'])
    assert abs(file['output_unclipped']).max() > 1.3


def test_drbnets_filter(drbnet):
    file = drbnet[1]
    y, kernels = (torch.from_numpy(file[f'unit_{key}']) for key in ('image', 'kernel'))
    assert close(
        pixel_filter(F.pad(y, [3] * 4, 'replicate'), kernels), file['unit_out']
    )


@pytest.fixture(scope='module')
def nrknet():
    file = golden('nrknet')

    def special(name, v):
        if name == 'GCM.kernels':
            return 2 * np.sin(1.3 * np.arange(126))
        return of_norms(name, v)

    network = NRKNet(statistics='running')
    return loaded(network, FORMS['NRKNet'], weights(listed(file), 3.0, special)), file


def test_nrknet(nrknet):
    """Its release takes BGR images, which ours(flip(x)) = flip(theirs(x)) undoes."""
    network, file = nrknet
    x = image().flip(1)
    assert close(network(x).flip(1), file['output'])
    # The truth is the image mirrored.
    predictions, reblurred = network.forward_reblurred(x, x.flip(-1))
    names = ('output', 'est_full', 'est_half', 'est_quarter')
    for prediction, name in zip(predictions, names, strict=True):
        assert close(prediction.flip(1), file[name])
    for prediction, name in zip(reblurred, ('full', 'half', 'quarter'), strict=True):
        assert close(prediction.flip(1), file[f'reblur_{name}'])


def test_nrknets_parts(nrknet):
    network, file = nrknet
    y = image().flip(1)[..., ::4, ::4]
    features = network.unet(y)
    assert close(features, file['features_quarter'])
    omega, (h, c) = network.weights(features, None)
    assert close(omega, file['weights_quarter'])
    assert close(h, file['hidden_quarter'])
    assert close(c, file['cell_quarter'])
    atoms = torch.cat([atom.flip(1) for atom in network.blur.atoms(y)], 1)
    assert close(atoms, file['atoms_quarter'])


def test_nrknets_statistics_of_the_image(nrknet):
    """As the release tests; an image's result is no matter of its batch."""
    network, file = nrknet
    released = NRKNet()
    released.load_state_dict(network.state_dict())
    released.eval()
    x = image().flip(1)
    assert close(released(x).flip(1), file['output_batchstats'])
    assert abs(file['output_batchstats'] - file['output']).max() > 0.01
    pair = torch.cat([x.flip(-1), x])
    assert close(released(pair)[1:].flip(1), file['output_batchstats'])


@pytest.fixture(scope='module')
def mprnet():
    file = golden('mprnet')

    def special(name, v):
        return 0.25 if re.search(r'body\.1\.weight$', name) and len(v) == 1 else None

    return loaded(MPRNet(), FORMS['MPRNet'], weights(listed(file), 2.0, special)), file


def test_mprnet(mprnet):
    network, file = mprnet
    x, seen = image(), {}

    def keep(name, index=None):
        return lambda module, inputs, output: seen.update(
            {name: output if index is None else output[index]}
        )

    hooks = [
        network.encoders[0].register_forward_hook(keep('encoded', 2)),
        network.decoders[1].register_forward_hook(keep('decoded', 0)),
        network.supervisions[1].register_forward_hook(keep('carried', 0)),
        network.last.register_forward_hook(keep('last')),
    ]
    names = ('output', 'output_stage2', 'output_stage1')
    assert all(map(close, network.forward_scales(x), (file[name] for name in names)))
    for hook in hooks:
        hook.remove()
    # The upper left quarter is the first of the four.
    assert close(seen['encoded'][:1], file['stage1_enc3_lefttop'])
    assert close(seen['decoded'][..., ::8, ::8], file['stage2_dec1_every8'])
    assert close(seen['carried'][..., ::8, ::8], file['sam23_every8'])
    assert close(seen['last'][..., ::8, ::8], file['orsnet_every8'])


def test_mprnet_in_bands_is_mprnet(mprnet, monkeypatch):
    network, _ = mprnet
    x = torch.rand(1, 3, 40, 24)
    whole = network(x)
    monkeypatch.setattr('mmagic_inik.models.peers.mprnet._BAND_ROWS', 3)
    torch.testing.assert_close(network(x), whole, atol=1e-5, rtol=0)


def test_reblurring(mprnet):
    file = mprnet[1]
    released = weights(listed(file, 'reblur_'), 2.0)
    network = loaded(ReblurNet(), REBLURRING, released)
    assert sum(p.numel() for p in network.parameters()) == 474_987
    x = image()
    restored, blurred = x[..., :48, :64], x[..., 48:, 64:]
    assert close(network(restored, blurred), file['reblur_output'])
    both = torch.cat([restored, blurred], 1)
    assert close(network.shares(both).softmax(1), file['reblur_weights'])
    profiles = network.profiles(both)
    assert close(profiles[..., ::4, ::4], file['reblur_profiles_every4'])
    kernels = isotropic_kernels(profiles)
    for kernel, side in ((kernels[2], 7), (kernels[6], 15)):
        expected = file[f'reblur_kernel{side}_pixel00']
        np.testing.assert_allclose(
            kernel[0, :, 0, 0].view(side, side), expected, atol=1e-4
        )


def of_convir(name, v):
    if name.endswith(('lamb_l', 'lamb_h', 'inside_all', 'gamma', 'beta')):
        return v
    return of_norms(name, v)


def of_size(names_and_shapes, blocks):
    """The list of S, its stages of three plain blocks and one other, lengthened."""
    found = []
    plain = re.compile(r'(\w+coder\.\d\.layers\.)([0-3])(\..+)')
    for name, shape in names_and_shapes:
        match = plain.fullmatch(name)
        if match is None:
            found.append((name, shape))
        elif match[2] == '3':
            found.append((f'{match[1]}{blocks - 1}{match[3]}', shape))
        elif match[2] == '0' and match[3] == '.main.0.main.0.weight':
            # Two convolutions, weight and bias.
            block = [
                (n.removeprefix(f'{match[1]}0'), s)
                for n, s in names_and_shapes
                if n.startswith(f'{match[1]}0.')
            ]
            assert len(block) == 4
            found += [
                (f'{match[1]}{k}{n}', s) for k in range(blocks - 1) for n, s in block
            ]
    return found


@pytest.fixture(scope='module')
def convir():
    file = golden('convir')
    released = weights(listed(file), 2.0, of_convir)
    return loaded(ConvIR('S'), FORMS['ConvIR-S'], released), file


def test_convir_s(convir):
    network, file = convir
    names = ('output', 'output_half', 'output_quarter')
    outputs = network.forward_scales(image().tile(1, 1, 3, 2))
    assert all(map(close, outputs, (file[name] for name in names)))
    dynamic = network.encoders[2][3].module.filters[0]
    assert close(dynamic(torch.from_numpy(file['msk_input'])), file['msk_output'])


@pytest.mark.parametrize('size', ['B', 'L'])
def test_convir_of_other_sizes(convir, size):
    file = convir[1]
    names = of_size(listed(file), SIZES[size])
    network = loaded(
        ConvIR(size), FORMS[f'ConvIR-{size}'], weights(names, 2.0, of_convir)
    )
    # The finer scales, which take the most time, have the parts of S.
    quarter = next(network.predictions(image().tile(1, 1, 3, 2)))
    expected = file[f'output_quarter_{size.lower()}']
    assert close(quarter, expected, relative=abs(expected).max())


def mdp_reference(layers, image):
    """MDP in the order its layers are numbered in, on any order of colours."""

    def conv(k, x, activation=torch.relu):
        weight, bias = layers[k]
        if weight.shape[-1] == 2:
            x = F.pad(x.repeat_interleave(2, 2).repeat_interleave(2, 3), (0, 1, 0, 1))
        return activation(F.conv2d(x, weight, bias, padding=int(weight.shape[-1] == 3)))

    def chain(first, last, x):
        for k in range(first, last + 1):
            x = conv(k, x)
        return x

    def two(first, x):
        return chain(first, first + 1, x)

    s1 = two(0, image)
    s2 = two(2, F.max_pool2d(s1, 2))
    s3 = two(4, F.max_pool2d(s2, 2))
    s4 = conv(6, F.max_pool2d(s3, 2))
    pooled = F.max_pool2d(s4, 2)
    early = []
    for k in (7, 14, 21):
        x = conv(k + 2, torch.cat([s4, two(k, pooled)], 1))
        x = two(k + 4, torch.cat([s3, conv(k + 3, x)], 1))
        early.append(conv(k + 6, x))
    mixed = torch.cat([s2, *early], 1)
    outputs = []
    for k in (28, 35, 42):
        x = torch.cat([s1, chain(k, k + 2, mixed)], 1)
        outputs.append(conv(k + 6, chain(k + 3, k + 5, x), torch.sigmoid))
    return outputs


@pytest.fixture(scope='module')
def mdp():
    torch.manual_seed(0)
    network = MDP().eval()
    for name, parameter in network.named_parameters():
        if name.endswith('bias'):
            # Kept alive: the last ReLU has three channels.
            parameter.data.uniform_(0, 0.2)
    return network


def test_mdp_by_the_numbers_of_its_layers(mdp):
    """What a Keras file holds, (kh, kw, in, out), of a network on BGR images."""
    ours = mdp.state_dict()
    names = {released_name(name, FORMS['MDP']): name for name in ours}
    layers = []
    for k in range(49):
        name = f'conv2d_{k}' if k else 'conv2d'
        parts = (f'{name}/{name}/kernel:0', f'{name}/{name}/bias:0')
        layers.append([ours[names.pop(part)].clone() for part in parts])
    assert not names
    rgb = torch.rand(1, 3, 32, 48)
    released = {}
    for k, (weight, bias) in enumerate(layers):
        name = f'conv2d_{k}' if k else 'conv2d'
        released[f'{name}/{name}/kernel:0'] = weight.permute(2, 3, 1, 0)
        released[f'{name}/{name}/bias:0'] = bias
    theirs = mdp_reference(layers, rgb.flip(1))
    network = MDP()
    network.load_state_dict(convert_peer(released, network, FORMS['MDP']))
    views = network.forward_views(rgb)
    for part, expected in zip(('left', 'right', 'sharp'), theirs, strict=True):
        torch.testing.assert_close(views[part].flip(1), expected, atol=1e-5, rtol=0)
    assert torch.equal(network(rgb), views['sharp'])
    assert (views['left'] - views['sharp']).abs().max() > 0.01


def test_mdps_decoders_share_what_they_should(mdp):
    image = torch.rand(1, 3, 16, 16)
    before = {part: view.clone() for part, view in mdp.forward_views(image).items()}

    def changed(parameter):
        kept = parameter.data.clone()
        parameter.data += 0.05
        after = mdp.forward_views(image)
        parameter.data.copy_(kept)
        return [part for part in before if not torch.equal(before[part], after[part])]

    assert changed(mdp.early['left'].up2.conv.weight) == ['left', 'right', 'sharp']
    assert changed(mdp.late['left'].up1.conv.weight) == ['left']


def test_mdp_of_zeros_is_grey():
    network = MDP()
    for parameter in network.parameters():
        parameter.data.zero_()
    assert (network(torch.rand(1, 3, 16, 16)) == 0.5).all()
