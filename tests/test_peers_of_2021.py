"""DPDNet, AIFNet, IFAN, KPAC and GKMNet: the originals' values, or plain references."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from peer_weights import close, golden, image, listed, weights
from scipy import ndimage

from mmagic_inik.models.peers import IFAN, KPAC, AIFNet, DPDNet, GKMNet
from mmagic_inik.models.peers.aifnet import doubled
from mmagic_inik.models.peers.conversion import convert_peer, released_name
from mmagic_inik.models.peers.gkmnet import GaussianBank, halved
from mmagic_inik.models.peers.ifan import IFANReblurNet, iterative_filter
from mmagic_inik.models.peers.layers import UpConv
from mmagic_inik.models.peers.released_forms import FORMS


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def loaded(network, name, released):
    network.load_state_dict(convert_peer(released, network, FORMS[name]))
    return network.eval()


@pytest.fixture(scope='module')
def ifan():
    file = golden('ifan')
    return loaded(IFAN(), 'IFAN', weights(listed(file), 2.8)), file


def test_ifan(ifan):
    network, file = ifan
    x = image()
    assert close(network(x), file['output_unclipped'])
    restored, filters = network.forward_filters(x)
    assert close(restored, file['output_unclipped'])
    assert close(restored.clamp(0, 1), file['output'])
    # Of the 15232 maps, every 119th.
    assert close(filters[:, ::119], file['filters_every_119'])
    features = network.encoder(x)[-1]
    assert close(features, file['features'])
    assert close(network.disparity(x), file['disparity'])
    z = iterative_filter(features, filters, 17, 'released')
    assert close(z, file['iac_output'])


def test_ifan_corrected(ifan):
    network, file = ifan
    corrected = IFAN(form='corrected')
    corrected.load_state_dict(network.state_dict())
    x = image()
    assert close(corrected(x), file['output_unclipped_corrected'])
    assert close(corrected.forward_filters(x)[0], file['output_unclipped_corrected'])
    difference = file['output_unclipped_corrected'] - file['output_unclipped']
    assert abs(difference).max() > 0.02


@pytest.mark.parametrize('form', ['released', 'corrected'])
def test_ifans_filters(ifan, form):
    file = ifan[1]
    z, filters = (torch.from_numpy(file[f'unit_{k}']) for k in ('features', 'filters'))
    assert close(iterative_filter(z, filters, 3, form), file[f'unit_out_{form}'])


def test_ifans_reblurring():
    torch.manual_seed(0)
    network = IFANReblurNet()
    assert sum(p.numel() for p in network.parameters()) == 19_139_685
    filters, sharp = 0.1 * torch.randn(1, 15232, 4, 5), torch.rand(1, 3, 4, 5)
    own = network.layers(filters)
    assert own.shape == (1, 357, 4, 5)
    # Of the last iteration, nothing is activated: one with a bias alone shows it.
    own = torch.zeros_like(own)
    own[:, -3:] = -0.25
    z = iterative_filter(sharp, own, 17, 'released', activate_last=False)
    assert (z == -0.25).all()
    network.layers = torch.nn.Identity()
    assert torch.equal(network(own, sharp), sharp - 0.25)


@pytest.fixture(scope='module')
def gkmnet():
    file = golden('gkmnet')

    def special(name, v):
        if name.endswith('running_var'):
            return 1 + 0.1 * abs(v)
        return 1 + 0.1 * v if re.search(r'(conv1?\.1|bn)\.weight$', name) else None

    network = GKMNet(statistics='running')
    return loaded(network, 'GKMNet', weights(listed(file), 4.0, special)), file


def test_gkmnet(gkmnet):
    network, file = gkmnet
    x = image()
    assert close(halved(x), file['input_half'])
    assert close(halved(halved(x)), file['input_quarter'])
    names = ('output', 'output_half', 'output_quarter')
    for found, name in zip(network.forward_scales(x), names, strict=True):
        assert close(found, file[name])


def test_gkmnets_parts(gkmnet):
    network, file = gkmnet
    y = torch.from_numpy(file['input_quarter'])
    features = network.features(y)
    assert close(features, file['features_quarter'])
    maps, (h, _) = network.weights(features, None)
    assert close(h, file['hidden_quarter'])
    assert close(maps, file['weights_quarter'])
    assert close(network.bank(network.bank.pad(y)), file['reblur_quarter'])


def test_gkmnets_statistics_of_the_image(gkmnet):
    """As both releases test; an image's result is no matter of its batch."""
    network, file = gkmnet
    released = GKMNet()
    released.load_state_dict(network.state_dict())
    x = image()
    assert close(released.eval()(x), file['output_batchstats'])
    assert abs(file['output_batchstats'] - file['output']).max() > 0.01
    pair = torch.cat([x.flip(-1), x])
    assert close(released(pair)[1:], file['output_batchstats'])


def test_gkmnets_updated_bank(gkmnet):
    network, file = gkmnet
    updated = GKMNet(bank='updated', statistics='running')
    updated.load_state_dict(network.state_dict())
    assert close(updated.eval()(image()), file['output_updated'])
    assert abs(file['output_updated'] - file['output']).max() > 0.01


@pytest.mark.parametrize('name', ['released', 'updated'])
def test_gkmnet_in_bands_is_gkmnet(name, monkeypatch):
    torch.manual_seed(0)
    network = GKMNet(bank=name)
    images, maps = torch.rand(2, 1, 3, 30, 24), torch.rand(1, 44, 30, 24)
    with torch.enable_grad():
        whole = network.mix([*images], maps).detach()
    monkeypatch.setattr('mmagic_inik.models.peers.gkmnet._BAND', 7 * 24)
    torch.testing.assert_close(network.mix([*images], maps), whole)


def test_gaussians_as_scipy():
    bank = GaussianBank('updated')
    y = torch.rand(1, 3, 24, 25)
    maps = bank(bank.pad(y)).double().numpy()
    for k in range(22):
        for c in range(3):
            plane = y[0, c].double().numpy()
            expected = (
                plane
                if not k
                else ndimage.gaussian_filter(
                    plane, k / 4, mode='mirror', radius=1 if k <= 3 else k // 2
                )
            )
            np.testing.assert_allclose(maps[0, 3 * k + c], expected, atol=1e-6)


def numbered(ours, form):
    """Released tensors of a network's state dict, (kh, kw, in, out)."""
    released = {}
    for name, tensor in ours.items():
        source = released_name(name, form)
        if source:
            dims = (2, 3, 1, 0) if tensor.ndim == 4 else range(tensor.ndim)
            released[source] = tensor.permute(*dims).clone()
    return released


def dpdnet_reference(layers, image):
    """DPDNet in the order its layers are numbered in, on any order of colours."""
    number = iter(layers)

    def conv(x, activation=torch.relu):
        weight, bias = next(number)
        if weight.shape[-1] == 2:
            x = F.pad(x.repeat_interleave(2, 2).repeat_interleave(2, 3), (0, 1, 0, 1))
        return activation(F.conv2d(x, weight, bias, padding=int(weight.shape[-1] == 3)))

    skips, x = [], image
    for level in range(5):
        x = conv(conv(F.max_pool2d(x, 2) if level else x))
        skips.append(x)
    x = skips.pop()
    while skips:
        x = conv(conv(torch.cat([skips.pop(), conv(x)], 1)))
    return conv(conv(x), torch.sigmoid)


@pytest.mark.parametrize('channels', [3, 6])
def test_dpdnet_by_the_numbers_of_its_layers(channels):
    """What a Keras file holds, of a network on BGR images."""
    torch.manual_seed(0)
    network = DPDNet(channels).eval()
    for name, parameter in network.named_parameters():
        if name.endswith('bias'):
            # Kept alive: the last ReLU has three channels.
            parameter.uniform_(0, 0.2)
    released = numbered(network.state_dict(), FORMS['DPDNet'])
    layers = []
    for k in range(1, 25):
        parts = [released[f'conv2d_{k}/conv2d_{k}/{p}:0'] for p in ('kernel', 'bias')]
        layers.append((parts[0].permute(3, 2, 0, 1), parts[1]))
    rgb = torch.rand(1, channels, 32, 48)
    bgr = rgb.unflatten(1, (-1, 3)).flip(2).flatten(1, 2)
    expected = dpdnet_reference(layers, bgr).flip(1)
    converted = convert_peer(released, network, FORMS['DPDNet'])
    network.load_state_dict(converted)
    torch.testing.assert_close(network(rgb), expected, atol=1e-5, rtol=0)
    assert expected.std() > 1e-3
    # On views in BGR it would be another network.
    assert (network(bgr) - expected).abs().max() > 1e-3


def test_dpdnets_dropout():
    """Of single numbers at two levels, in training alone."""
    network = DPDNet()
    seen = []
    network.dropout.register_forward_hook(lambda m, i, out: seen.append(out))
    x = torch.rand(1, 3, 64, 64)
    network.train()(x)
    shapes = [tuple(out.shape[1:]) for out in seen]
    assert shapes == [(512, 8, 8), (1024, 4, 4)]
    kept = [(out != 0).flatten(2).float().mean(-1) for out in seen]
    assert all(((share > 0) & (share < 1)).any() for share in kept)
    network.eval()
    assert torch.equal(network(x), network(x))


def test_upconv_pads_at_bottom_and_right():
    up = UpConv(1, 1)
    up.conv.bias.zero_()
    up.conv.weight.zero_()[..., 1, 1] = 1
    x = torch.arange(1.0, 7).view(1, 1, 2, 3)
    expected = torch.tensor(
        [[1, 2, 2, 3, 3, 0], [4, 5, 5, 6, 6, 0], [4, 5, 5, 6, 6, 0], [0] * 6]
    )
    assert torch.equal(up(x)[0, 0], expected.float())


@pytest.mark.parametrize('build', [DPDNet, lambda: DPDNet(6), AIFNet])
def test_sigmoids_of_zeros_are_grey(build):
    network = build().eval()
    for parameter in network.parameters():
        parameter.zero_()
    channels = next(network.parameters()).shape[1]
    x = torch.rand(1, channels, 16, 16)
    assert (network(x) == 0.5).all()
    if isinstance(network, AIFNet):
        assert (network.forward_maps(x)['defocus'] == 0.5).all()


def test_aifnets_levels():
    network = AIFNet()
    x = torch.rand(1, 3, 4, 5)
    zeros = torch.zeros(1, 1, 4, 5)
    far, near = network.by_level(x, zeros), network.by_level(x, zeros + 1)
    assert far.shape == (1, 87, 4, 5)
    assert not far[:, -3:].any()
    assert not near[:, :3].any()
    assert torch.equal(far[:, :3], x)
    # Of level 14 of 28, in the order of colours.
    torch.testing.assert_close(far[:, 3 * 14 : 3 * 14 + 3], x / 2)


def test_aifnets_doubling_by_hand():
    x = torch.tensor([[0.0, 2, 6]]).view(1, 1, 1, 3)
    expected = torch.tensor([0.0, 1, 2, 4, 6, 6]).expand(2, 6)
    torch.testing.assert_close(doubled(x)[0, 0], expected)


def test_aifnets_maps_and_shapes():
    torch.manual_seed(0)
    network = AIFNet().eval()
    x = torch.rand(1, 3, 30, 44)
    found = network.forward_maps(x)
    torch.testing.assert_close(found['restored'], network(x))
    assert [tuple(m.shape) for m in found['auxiliary']] == [
        *((1, 1, 2, 3), (1, 1, 4, 6), (1, 1, 8, 11), (1, 1, 15, 22)),
        (1, 1, 30, 44),
    ]
    assert found['defocus'].shape == (1, 1, 30, 44)
    counts = {
        part: sum(p.numel() for p in module.parameters())
        for part, module in (
            ('encoder', network.defocus.encoder),
            ('auxiliary', network.defocus.auxiliary),
            ('deblur', network.deblur),
            ('all of the map', network.defocus),
        )
    }
    assert counts.pop('encoder') == 20_024_384
    assert counts.pop('auxiliary') == 1_590_794
    assert counts.pop('deblur') == 14_617_539
    assert counts.pop('all of the map') == 20_024_384 + 5_324_641 + 1_590_794


def aifnet_reference(w, image):
    """AIFNet by the names of its variables, in double precision."""

    def at(name, kind):
        return w[f'{name}/{kind}:0'].double()

    def conv(name, x, mode, stride=1, dilation=1):
        kernel = at(name, 'kernel').permute(3, 2, 0, 1)
        k = dilation * (kernel.shape[-1] // 2)
        pads = (0, 1, 0, 1) if stride == 2 else (k,) * 4
        x = F.pad(x, pads, mode)
        return F.conv2d(x, kernel, at(name, 'bias'), stride, dilation=dilation)

    def edge(name, x):
        return conv(f'defocus_net/{name}', x, 'replicate')

    def norm(name, x):
        name = f'defocus_net/decoder/{name}'
        mean, variance, beta = (
            at(name, kind).view(-1, 1, 1)
            for kind in ('moving_mean', 'moving_variance', 'beta')
        )
        return (x - mean) / (variance + 1e-5).sqrt() + beta

    def cbl(scope, c, b, x):
        return F.leaky_relu(norm(f'{scope}/{b}', edge(f'decoder/{scope}/{c}', x)), 0.2)

    def up(x):
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    means = torch.tensor([103.939, 116.779, 123.68], dtype=torch.float64)
    x = 255 * image.double().flip(1) - means.view(3, 1, 1)
    skips = []
    for stage, count in enumerate((2, 2, 4, 4, 4), 1):
        x = F.max_pool2d(x, 2) if stage > 1 else x
        for n in range(1, count + 1):
            x = edge(f'encoder/conv{stage}_{n}', x).relu()
        skips.append(x)
    n = skips.pop()
    for level in (3, 2, 1):
        n = torch.cat([up(n), skips.pop()], 1)
        for k in (1, 2, 3):
            n = cbl(f'u{level}', f'c{k}', f'b{k}', n)
    n = cbl('u0', 'c_init', 'b_init', torch.cat([up(n), skips.pop()], 1))
    for i in range(7):
        inner = cbl('u0', f'c{i}_1', f'b{i}_1', n)
        inner = cbl('u0', f'c{i}_2', f'b{i}_2', inner)
        n = inner + cbl('u0', f'c_res{i}', f'b_res{i}', n)
    n = cbl('uf', 'c2', 'b2', cbl('uf', 'c1', 'b1', n))
    d = edge('decoder/uf/c3', n).sigmoid()
    z = torch.cat([(1 - (d - k / 28).abs()) * image for k in range(29)], 1)

    def layer(name, x, stride=1, dilation=1):
        x = conv(f'deblur_net/MDP_ds_0_{name}', x, 'constant', stride, dilation)
        return F.leaky_relu(x, 0.2)

    n1_3 = n0_2 = layer('n0_2', layer('n0_1', z), 2)
    x = layer('n1_2', layer('n1_1', n0_2))
    n1_3 = layer('n1_3', x, 2)
    x = layer('n2_2', layer('n2_1', n1_3))
    n2_3 = x = layer('n2_3', x, 2)
    for name in ('n3_1', 'n3_2', 'n3_3'):
        x = layer(name, x, dilation=2)
    x = doubled(layer('n4_1', torch.cat([x, n2_3], 1)))
    x = layer('n4_3', layer('n4_2', x))
    x = doubled(layer('n5_1', torch.cat([x, n1_3], 1)))
    x = doubled(layer('n6_1', torch.cat([layer('n5_2', x), n0_2], 1)))
    x = layer('n6_2', x)
    return conv('deblur_net/MDP_ds_0_n_out', x, 'constant').sigmoid(), d


def test_aifnet_by_the_names_of_its_variables():
    torch.manual_seed(0)
    network = AIFNet().eval()
    for name, tensor in network.state_dict().items():
        if name.endswith(('bias', 'running_mean')):
            tensor.uniform_(-0.1, 0.1)
        elif name.endswith('running_var'):
            tensor.uniform_(0.5, 2)
    # Of images in [0, 255], the first features are as large.
    network.defocus.encoder[0][0].weight /= 128
    released = numbered(network.state_dict(), FORMS['AIFNet'])
    x = torch.rand(1, 3, 16, 32)
    restored, d = aifnet_reference(released, x)
    other = loaded(AIFNet(), 'AIFNet', released)
    found = other.forward_maps(x)
    torch.testing.assert_close(found['defocus'].double(), d, atol=1e-4, rtol=0)
    torch.testing.assert_close(found['restored'].double(), restored, atol=1e-4, rtol=0)
    assert d.std() > 0.01
    assert restored.std() > 0.01


def kpac_reference(arrays, image, levels):
    """KPAC in the order of its arrays, with atrous kernels that have zeros in them."""
    number = iter(arrays)

    def conv(x, k=3, stride=1, rate=1, bias=True):
        kernel = torch.from_numpy(next(number)).permute(3, 2, 0, 1)
        assert kernel.shape[-1] == k
        pads = (0, 1, 0, 1) if stride == 2 else (rate * (k // 2),) * 4
        offset = torch.from_numpy(next(number)) if bias else None
        return F.conv2d(F.pad(x, pads), kernel, offset, stride, dilation=rate)

    def up(x):
        # (kh, kw, out, in): the gradient of a convolution with stride 2.
        kernel = torch.from_numpy(next(number)).permute(3, 2, 0, 1)
        offset = torch.from_numpy(next(number))
        full = F.conv_transpose2d(x, kernel, stride=2)[..., 1:-1, 1:-1]
        return act(full + offset.view(-1, 1, 1))

    def act(x):
        return torch.where(x > 0, x, 0.2 * x)

    def block(n):
        shared = torch.from_numpy(next(number)).permute(3, 2, 0, 1)
        y = []
        for r in range(1, 6):
            side = 4 * r + 1
            wide = torch.zeros(48, 96, side, side)
            wide[..., ::r, ::r] = shared
            y.append(act(F.conv2d(n, wide, padding=side // 2)))
        a = n
        for _ in range(4):
            a = act(conv(a, 5, rate=2))
        a = conv(a, 5).sigmoid()
        g = n.mean((2, 3), keepdim=True)
        s = conv(act(conv(g, 1)), 1).sigmoid()
        z = torch.cat(y, 1) * a.repeat_interleave(48, 1) * s.repeat(1, 5, 1, 1)
        return act(conv(z))

    x = 2 * image - 1
    skips = [act(conv(act(conv(x, 5))))]
    for _ in range(levels):
        skips.append(act(conv(act(conv(skips[-1], stride=2)))))
    n0 = skips.pop()
    n1 = block(n0)
    n2 = block(n1)
    n = act(conv(act(conv(torch.cat([n0, n1, n2], 1)))))
    for level in range(levels):
        n = torch.cat([up(n), skips.pop()], 1)
        n = act(conv(n)) if level < levels - 1 else conv(n, 5)
    assert next(number, None) is None
    return (x + n + 1) / 2


@pytest.mark.parametrize(('levels', 'count'), [(2, 58), (3, 66)])
def test_kpac_by_the_order_of_its_arrays(levels, count):
    torch.manual_seed(0)
    network = KPAC(levels)
    for name, parameter in network.named_parameters():
        if name.endswith('bias'):
            parameter.uniform_(-0.1, 0.1)
    form = FORMS[f'KPAC ({levels} levels)']
    released = numbered(network.state_dict(), form)
    kinds = {int(name.split('/')[1]): name for name in released}
    arrays = [released[kinds[i]].numpy() for i in range(count)]
    x = torch.rand(1, 3, 16, 24)
    expected = kpac_reference(arrays, x, levels)
    other = loaded(KPAC(levels), f'KPAC ({levels} levels)', released)
    torch.testing.assert_close(other(x), expected, atol=1e-4, rtol=1e-4)
    assert (expected - x).std() > 1e-3


def test_kpac_of_zeros_changes_nothing():
    network = KPAC()
    for parameter in network.parameters():
        parameter.zero_()
    x = torch.rand(1, 3, 9, 10)
    assert torch.equal(network(x), x)


def test_kpacs_attentions_of_zeros_are_halves():
    network = KPAC(2)
    block = network.blocks[0]
    for conv in (block.scale[-1], block.shape[-1]):
        conv.weight.zero_()
    n = torch.rand(1, 96, 6, 7)
    assert (block.scale_attention(n) == 0.5).all()
    assert (block.shape_attention(n) == 0.5).all()


def test_wrong_options_are_named():
    for build, message in (
        (lambda: DPDNet(4), 'in_channels must be 3 or 6, got 4'),
        (lambda: KPAC(4), 'num_levels must be 2 or 3, got 4'),
        (lambda: IFAN('mended'), "form must be in .*, got 'mended'"),
        (lambda: GKMNet('new'), "bank must be in .*, got 'new'"),
        (lambda: GKMNet(statistics='none'), "statistics must be in .*, got 'none'"),
    ):
        with pytest.raises(ValueError, match=message):
            build()
