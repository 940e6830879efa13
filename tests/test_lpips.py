import re
import warnings
from pathlib import Path
from urllib.error import URLError

import lpips
import numpy as np
import pytest
import torch
import torchvision
from mmagic.registry import MODELS
from torch import nn

from mmagic_inik.datasets import read_photo
from mmagic_inik.errors import InputError
from mmagic_inik.evaluation import ImageQuality
from mmagic_inik.losses import LPIPSLoss
from mmagic_inik.lpips_network import MIN_SIDES, load_lpips, lpips_distance

SHARED = Path(__file__).parents[2] / 'shared'
CPU = torch.device('cpu')
# As torchvision's hub names them.
HUB_NAMES = {
    'alex': 'alexnet-owt-7be5be79.pth',
    'squeeze': 'squeezenet1_1-b8a52dc0.pth',
    'vgg': 'vgg16-397923af.pth',
}


@pytest.fixture(autouse=True, scope='module')
def _networks_of_this_module():
    load_lpips.cache_clear()
    yield
    load_lpips.cache_clear()


@pytest.fixture(autouse=True)
def _offline(monkeypatch, tmp_path):
    """An empty hub cache and no network."""

    def refuse(*args, **kwargs):
        raise URLError('no network in tests')

    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setattr(torch.hub, '_hub_dir', None)
    monkeypatch.setattr(torch.hub, 'urlopen', refuse)


@pytest.fixture
def hub_cleared():
    """No network of the hub's file, whose path is not part of the cache's key."""
    load_lpips.cache_clear()
    yield
    load_lpips.cache_clear()


def _features(net):
    """Randomly initialised convolutions, made here and by nobody else's loader."""
    make = {
        'alex': torchvision.models.alexnet,
        'squeeze': torchvision.models.squeezenet1_1,
        'vgg': torchvision.models.vgg16,
    }[net]
    # The classifier, the greater part, is never made.
    with torch.device('meta'):
        features = make().features
    features.to_empty(device='cpu')
    generator = torch.Generator().manual_seed(0)
    for parameter in features.parameters():
        nn.init.normal_(parameter, std=0.05, generator=generator)
    return features


def _package(net, features):
    """The network of the lpips package, its convolutions filled in their order."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # it passes torchvision's old `pretrained`
        network = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    ours, theirs = (
        [m for m in module.modules() if isinstance(m, nn.Conv2d)]
        for module in (network.net, features)
    )
    for mine, other in zip(ours, theirs, strict=True):
        mine.load_state_dict(other.state_dict())
    return network.eval()


@pytest.fixture(scope='module')
def backbones(tmp_path_factory):
    """Per backbone: the lpips package's network, and a file as torchvision's of it."""
    folder = tmp_path_factory.mktemp('weights')
    made = {}
    for net in MIN_SIDES:
        features = _features(net)
        path = folder / f'{net}.pth'
        torch.save(
            {f'features.{name}': x for name, x in features.state_dict().items()}, path
        )
        made[net] = _package(net, features), str(path)
    return made


@pytest.fixture
def alex(backbones):
    return backbones['alex'][1]


def _noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize('net', ['alex', 'squeeze', 'vgg'])
def test_distance_as_the_lpips_package(backbones, net):
    network, path = backbones[net]
    a, b = _noise(2, 3, 37, 45, seed=1), _noise(2, 3, 37, 45, seed=2)
    with torch.no_grad():
        expected = network(a, b, normalize=True).flatten()
    distance = lpips_distance(a, b, net, path)
    assert distance.shape == (2,)
    assert expected.min() > 1e-3
    torch.testing.assert_close(distance, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    'size', [(1, 1), (30, 31), (31, 31), (37, 45), (5, 60)], ids='{0[0]}x{0[1]}'.format
)
def test_small_images_are_extended_by_replication(backbones, size):
    network, path = backbones['alex']
    a, b = _noise(1, 3, *size, seed=1), _noise(1, 3, *size, seed=2)
    edges = [(0, 0), (0, 0), *((0, max(0, 31 - side)) for side in size)]
    extended = [torch.from_numpy(np.pad(x.numpy(), edges, 'edge')) for x in (a, b)]
    with torch.no_grad():
        expected = network(*extended, normalize=True).flatten()
    torch.testing.assert_close(lpips_distance(a, b, 'alex', path), expected)
    assert lpips_distance(a, a.clone(), 'alex', path).item() == 0


@pytest.mark.parametrize(
    ('net', 'name'),
    [('alex', 'alexnet'), ('squeeze', 'squeezenet'), ('vgg', 'vgg16')],
)
def test_min_sides_are_exact(net, name):
    # Shapes alone: VGG's half a gigabyte is never made.
    with torch.device('meta'), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        backbone = getattr(lpips.pretrained_networks, name)(pretrained=False)
    side = MIN_SIDES[net]

    def run(height, width):
        return backbone(torch.empty(1, 3, height, width, device='meta'))

    assert min(run(side, side)[-1].shape[2:]) >= 1
    assert min(run(side, 3 * side)[-1].shape[2:]) >= 1
    for size in ((side - 1, side), (side, side - 1)):
        with pytest.raises(RuntimeError, match='(Output|output) size is too small'):
            run(*size)


def test_known_nets():
    assert set(MIN_SIDES) == {'alex', 'squeeze', 'vgg'}


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_distance_is_computed_in_float32(alex, dtype):
    a, b = (_noise(1, 3, 32, 32, seed=s).to(dtype) for s in (1, 2))
    expected = lpips_distance(a.float(), b.float(), 'alex', alex)
    with torch.autocast('cpu', torch.bfloat16):
        distance = lpips_distance(a, b, 'alex', alex)
    assert distance.dtype == torch.float32
    assert torch.equal(distance, expected)


def test_network_is_loaded_once_and_frozen(alex):
    network = load_lpips('alex', alex, CPU)
    assert load_lpips('alex', alex, CPU) is network
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


def test_loss(alex):
    loss = MODELS.build(dict(type='LPIPSLoss', loss_weight=0.1, weights=alex))
    assert isinstance(loss, LPIPSLoss)
    a, b = _noise(2, 3, 33, 40, seed=1), _noise(2, 3, 33, 40, seed=2)
    expected = 0.1 * lpips_distance(a, b, 'alex', alex).mean()
    value = loss(a, b)
    assert value.shape == ()
    torch.testing.assert_close(value, expected)


def test_loss_has_no_state(alex):
    loss = LPIPSLoss(weights=alex)
    loss(_noise(1, 3, 32, 32), _noise(1, 3, 32, 32, seed=1))
    assert loss.state_dict() == {}
    assert list(loss.parameters()) == []
    assert list(loss.modules()) == [loss]


def test_loss_gradient(alex):
    pred, target = _noise(1, 3, 32, 32, seed=1), _noise(1, 3, 32, 32, seed=2)
    pred.requires_grad_()
    loss = LPIPSLoss(weights=alex)
    loss(pred, target).backward()
    # Along its own gradient the loss changes by the squared norm, to first order.
    gradient = pred.grad
    step = 1e-3 / gradient.norm()
    with torch.no_grad():
        change = loss(pred + step * gradient, target) - loss(
            pred - step * gradient, target
        )
    assert change.item() == pytest.approx(
        2 * step.item() * gradient.norm().item() ** 2, rel=0.05
    )


def test_unknown_net():
    with pytest.raises(ValueError, match=r"net must be in \('alex', .*, got 'resnet'"):
        LPIPSLoss(net='resnet')


def _metric(nets, weights, **options):
    return ImageQuality(
        [f'LPIPS_{net}' for net in nets], lpips_weights=weights, device='cpu', **options
    )


def _process(metric, gt, pred):
    """As MMagic's loops do: (C, H, W) in [0, 255], BGR."""
    metric.process(None, [{'gt_img': gt, 'output': {'pred_img': pred}}])
    scores = dict(metric.results[-1])
    assert scores.pop('image') == 'an image'  # a sample that names none
    return scores


@pytest.mark.parametrize('order', ['RGB', 'BGR'])
def test_metric_as_the_lpips_package(backbones, order):
    rgb = [_noise(3, 35, 41, seed=s) for s in (1, 2)]
    weights = {net: path for net, (_, path) in backbones.items()}
    values = _process(
        _metric(MIN_SIDES, weights, channel_order=order),
        *(x[[2, 1, 0]] * 255 for x in rgb),
    )
    fed = [x[None] if order == 'RGB' else x[None, [2, 1, 0]] for x in rgb]
    for net, (network, _) in backbones.items():
        with torch.no_grad():
            expected, swapped = (
                network(*pair, normalize=True).item()
                for pair in (fed, [x.flip(1) for x in fed])
            )
        assert values[f'LPIPS_{net}'] == pytest.approx(expected, rel=1e-4)
        assert abs(swapped - expected) > 1e-3 * expected


def test_metric_agrees_with_the_loss(alex):
    rgb = [_noise(3, 35, 41, seed=s) for s in (1, 2)]
    values = _process(
        _metric(['alex'], dict(alex=alex)), *(x.flip(0) * 255 for x in rgb)
    )
    loss = LPIPSLoss(weights=alex)(rgb[1][None], rgb[0][None]).item()
    assert values == {'LPIPS_alex': pytest.approx(loss, rel=1e-5)}


def test_metric_of_unclipped_predictions(backbones):
    network, path = backbones['alex']
    a, b = _noise(3, 35, 41, seed=1), 2 * _noise(3, 35, 41, seed=2) - 0.5
    value = _process(
        _metric(['alex'], dict(alex=path), clip=False),
        *(x.flip(0) * 255 for x in (a, b)),
    )
    with torch.no_grad():
        expected = network(a[None], b[None], normalize=True).item()
    assert value == {'LPIPS_alex': pytest.approx(expected, rel=1e-5)}


def test_metric_of_grey_images(alex):
    a, b = _noise(1, 35, 41, seed=1), _noise(1, 35, 41, seed=2)
    values = _process(_metric(['alex'], dict(alex=alex)), a * 255, b * 255)
    expected = lpips_distance(
        *(x[None].repeat(1, 3, 1, 1) for x in (a, b)), 'alex', alex
    )
    assert values == {'LPIPS_alex': pytest.approx(expected.item(), rel=1e-5)}


def test_metric_means_over_images_and_takes_eight_bits(alex):
    metric = _metric(['alex'], dict(alex=alex))
    images = [(_noise(3, 32, 33, seed=s) * 255).to(torch.uint8) for s in range(3)]
    values = [
        _process(metric, images[0], images[other])['LPIPS_alex'] for other in (1, 2, 0)
    ]
    assert values[2] == 0
    assert metric.compute_metrics(metric.results) == {
        'LPIPS_alex': pytest.approx(sum(values) / 3)
    }


class _Loader:
    dataset = ()


class _Model(nn.Module):
    data_preprocessor = None


def test_metric_loads_before_the_first_image():
    metric = _metric(['alex'], None)
    expected = 'LPIPS needs https://.*`lpips_weights.alex=PATH`'
    with pytest.raises(InputError, match=expected):
        metric.prepare(_Model(), _Loader())


@pytest.mark.parametrize('where', ['environment', 'set_dir'])
def test_weights_from_the_hub_cache(backbones, hub_cleared, tmp_path, where):
    path = backbones['alex'][1]
    hub = tmp_path / 'torch/hub'
    if where == 'set_dir':
        hub = tmp_path / 'elsewhere'
        torch.hub.set_dir(hub)
    cache = hub / 'checkpoints'
    cache.mkdir(parents=True)
    (cache / HUB_NAMES['alex']).write_bytes(Path(path).read_bytes())
    a, b = _noise(1, 3, 32, 32, seed=1), _noise(1, 3, 32, 32, seed=2)
    torch.testing.assert_close(
        lpips_distance(a, b), lpips_distance(a, b, 'alex', path), rtol=0, atol=0
    )


@pytest.mark.parametrize('net', ['alex', 'squeeze', 'vgg'])
def test_offline_and_absent(tmp_path, net):
    cached = tmp_path / 'torch/hub/checkpoints' / HUB_NAMES[net]
    with pytest.raises(InputError) as caught:
        LPIPSLoss(net=net)(_noise(1, 3, 32, 32), _noise(1, 3, 32, 32))
    message = str(caught.value)
    assert f'https://download.pytorch.org/models/{HUB_NAMES[net]}' in message
    assert f'which is not at {cached} and cannot be downloaded' in message
    assert 'no network in tests' in message
    assert 'weights=PATH' in message
    assert '--cfg-options model.loss.losses.lpips=None' in message
    assert '\n' not in message


DAMAGED = {
    'empty': lambda data: b'',
    'text': lambda data: b'hello\n',
    'page': lambda data: b'<!DOCTYPE html><html>404</html>',
    'cut': lambda data: data[: len(data) // 2],
    'end': lambda data: data[:-100],
}


@pytest.mark.parametrize('kind', DAMAGED)
@pytest.mark.parametrize('place', ['weights', 'hub'])
def test_damaged_weights(tmp_path, alex, place, kind):
    path = tmp_path / 'torch/hub/checkpoints' / HUB_NAMES['alex']
    path.parent.mkdir(parents=True)
    path.write_bytes(DAMAGED[kind](Path(alex).read_bytes()))
    with pytest.raises(InputError, match=re.escape(str(path))):
        load_lpips('alex', str(path) if place == 'weights' else None, CPU)


def test_absent_weights_file(tmp_path):
    path = tmp_path / 'absent.pth'
    expected = re.escape(f'{path} cannot be read as weights for LPIPS')
    with pytest.raises(InputError, match=expected):
        load_lpips('alex', str(path), CPU)


@pytest.mark.parametrize(
    ('net', 'other'), [('alex', 'squeeze'), ('squeeze', 'alex'), ('vgg', 'alex')]
)
def test_weights_of_another_backbone(backbones, net, other):
    path = backbones[other][1]
    expected = f'{re.escape(path)} holds no {net} backbone .*{HUB_NAMES[net]}'
    with pytest.raises(InputError, match=expected):
        load_lpips(net, path, CPU)


@pytest.mark.parametrize(
    'content',
    [torch.zeros(3), [1, 2], {'state_dict': {}}, {}],
    ids=['tensor', 'list', 'nested', 'nothing'],
)
def test_file_of_something_else(tmp_path, content):
    path = tmp_path / 'other.pth'
    torch.save(content, path)
    with pytest.raises(InputError, match=re.escape(str(path))):
        load_lpips('alex', str(path), CPU)


def test_weights_of_other_shape(tmp_path, alex):
    state = torch.load(alex, weights_only=True)
    state['features.3.weight'] = torch.zeros(192, 64, 3, 3)
    path = tmp_path / 'narrow.pth'
    torch.save(state, path)
    with pytest.raises(InputError, match=re.escape(str(path))):
        load_lpips('alex', str(path), CPU)


class _Code:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize('place', ['weights', 'hub'])
def test_code_in_weights_is_not_run(tmp_path, place):
    path = tmp_path / 'torch/hub/checkpoints' / HUB_NAMES['alex']
    path.parent.mkdir(parents=True)
    made = tmp_path / 'made by code'
    torch.save({'features.0.weight': _Code(made)}, path)
    with pytest.raises(InputError, match=re.escape(str(path))):
        load_lpips('alex', str(path) if place == 'weights' else None, CPU)
    assert not made.exists()
    # The trap works: without the guard it would have been sprung.
    torch.load(path, weights_only=False)
    assert made.exists()


@pytest.mark.long
@pytest.mark.parametrize(
    ('net', 'file'),
    [('alex', 'alexnet_features.pth'), ('squeeze', 'squeezenet1_1_features.pth')],
)
def test_real_photos(net, file):
    """All sixty untouched photos have LPIPS_alex 0.2902; here, some of them."""
    weights = SHARED / 'weights' / file
    photos = SHARED / 'data/dpdd_r61'
    if not (weights.exists() and photos.exists()):
        pytest.skip(f'{weights} and {photos} are not both here')
    state = torch.load(weights, weights_only=True)
    features = _features(net)
    features.load_state_dict({k.removeprefix('features.'): x for k, x in state.items()})
    network = _package(net, features)
    metric = _metric([net], {net: str(weights)})
    for path in sorted((photos / 'input').iterdir())[:60:20]:
        pred, gt = (
            torch.from_numpy(read_photo(p)).permute(2, 0, 1)
            for p in (path, photos / 'target' / path.name)
        )
        with torch.no_grad():
            expected = network(*(x[None] / 255 for x in (gt, pred)), normalize=True)
        values = _process(metric, gt.flip(0), pred.flip(0))
        assert values == {f'LPIPS_{net}': pytest.approx(expected.item(), rel=1e-4)}
