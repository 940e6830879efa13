import math

import numpy as np
import pytest
import reference_iniknet
import torch
import torch.nn.functional as F
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from mmengine.config import Config, DictAction
from mmengine.optim import build_optim_wrapper
from scipy.ndimage import map_coordinates

from mmagic_inik.models import (
    ConvNeck,
    DuplexConvLSTM,
    INRAtomBank,
    InverseFilterHead,
    MatrixAtomBank,
    PerSizeINRAtomBank,
    UNet,
    UnidirectionalConvLSTM,
    UnidirectionalINIKNet,
)

SIZES = (1, 3, 5, 7)
BANKS = pytest.mark.parametrize('bank', [PerSizeINRAtomBank, MatrixAtomBank])
PAPERS = ('non_ms_dict', 'non_inr_dict', 'unidirectional')


def count(module):
    return sum(p.numel() for p in module.parameters())


def generator_of(name):
    return Config.fromfile(f'configs/ablations/{name}.py').model.generator


@BANKS
@pytest.mark.parametrize('sizes', [(1,), (1, 3), (3, 5), SIZES], ids=str)
def test_bank_gives_every_size_once(bank, sizes):
    atoms = bank(num_atoms=2, kernel_sizes=sizes)()
    assert [tuple(atom.shape) for atom in atoms] == [(2, m, m) for m in sizes]


@BANKS
@pytest.mark.parametrize('center', ['zero', 'delta'])
def test_one_by_one_atom_and_start(bank, center):
    torch.manual_seed(0)
    first, *others = bank(num_atoms=3, kernel_sizes=SIZES, center=center)()
    assert first.flatten().tolist() == [float(center == 'delta')] * 3
    # An image passes unchanged by the delta, and by the residual otherwise.
    assert [bool(atom.any()) for atom in others] == [center == 'zero'] * 3


def test_inrs_per_size_are_inrs():
    torch.manual_seed(0)
    bank = PerSizeINRAtomBank(2, SIZES, 8, frequency_range=(3, 4))
    for part, atom in zip(bank.banks, bank()[1:], strict=True):
        assert part.frequency.tolist() == [3, 4]
        shared = INRAtomBank(2, SIZES, 8)
        shared.load_state_dict(part.state_dict())
        torch.testing.assert_close(atom, shared()[SIZES.index(atom.shape[-1])])


@pytest.mark.parametrize('size', [3, 5, 7])
def test_what_one_size_learns_reaches_others_only_where_inrs_are_shared(size):
    def parts_that_learn(bank):
        bank()[SIZES.index(size)].sum().backward()
        return [name for name, p in bank.named_parameters() if p.grad is not None]

    assert len(parts_that_learn(INRAtomBank(2, SIZES))) == 6
    ours = parts_that_learn(PerSizeINRAtomBank(2, SIZES))
    place = SIZES.index(size) - 1
    assert len(ours) == 6
    assert all(name.startswith(f'banks.{place}.') for name in ours)


def test_matrices_are_resized_bilinearly():
    torch.manual_seed(0)
    bank = MatrixAtomBank(2, (1, 3, 5, 9)).double()
    for atom, size in zip(bank()[1:], (3, 5, 9), strict=True):
        places = np.meshgrid(*[np.linspace(0, 8, size)] * 2, indexing='ij')
        for n in range(2):
            base = bank.base[n].detach().numpy()
            expected = map_coordinates(base, places, order=1) * 9 / size**2
            np.testing.assert_allclose(atom[n].detach(), expected, atol=1e-12)


def test_matrices_start_as_strong_as_inrs():
    torch.manual_seed(0)

    def strength(bank):
        return torch.cat([a.flatten() * a[0].numel() for a in bank()[1:]]).std().item()

    inrs = np.mean([strength(INRAtomBank()) for _ in range(5)])
    # Bilinear resizing averages; only the largest size keeps the start's strength.
    (largest,) = MatrixAtomBank(kernel_sizes=(15,))()
    assert (largest * 225).std().item() == pytest.approx(inrs, rel=0.1)


@BANKS
def test_every_parameter_of_a_bank_learns(bank):
    bank = bank(num_atoms=2, kernel_sizes=SIZES)
    sum(atom.square().sum() for atom in bank()).backward()
    for name, parameter in bank.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


@BANKS
@pytest.mark.parametrize(
    'dtype', [torch.float64, torch.float16, torch.bfloat16], ids=str
)
def test_bank_in_any_dtype(bank, dtype):
    assert all(atom.dtype == dtype for atom in bank(2, SIZES).to(dtype)())


def features(sides=((8, 12), (4, 6), (2, 3))):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, 4, *side, generator=generator) for side in sides]


@pytest.mark.parametrize(
    ('neck', 'upwards', 'downwards'),
    [
        (DuplexConvLSTM, True, True),
        (UnidirectionalConvLSTM, False, True),
        (ConvNeck, False, False),
    ],
)
def test_which_way_information_goes(neck, upwards, downwards):
    torch.manual_seed(1)
    neck, inputs = neck(channels=4, num_res_blocks=1), features()
    before = neck(inputs)
    for changed, seen, reaches in ((0, 2, upwards), (2, 0, downwards)):
        others = list(inputs)
        others[changed] = inputs[changed] + 1 + torch.randn_like(inputs[changed])
        after = neck(others)
        assert torch.equal(after[seen], before[seen]) != reaches
        assert not torch.equal(after[changed], before[changed])


@pytest.mark.parametrize('neck', [UnidirectionalConvLSTM, ConvNeck])
@pytest.mark.parametrize(
    'sides', [((1, 1), (1, 1)), ((5, 7), (3, 4), (2, 2)), ((9, 9),)], ids=str
)
def test_neck_keeps_shapes(neck, sides):
    inputs = features(sides)
    for before, after in zip(inputs, neck(4, 1)(inputs), strict=True):
        assert after.shape == before.shape
        assert after.isfinite().all()


def test_neck_parameters():
    assert count(UnidirectionalConvLSTM()) == count(DuplexConvLSTM()) == 311_616
    # Norm, 1×1 from 32 to 64 channels, eight 3×3 of 64 to 64, 1×1 back.
    expected = 64 + 33 * 64 + 4 * 2 * 9 * 64**2 + 65 * 32
    assert count(ConvNeck()) == expected == 299_168


def test_unidirectional_neck_is_two_passes_of_the_reference():
    """Cells of tests/reference_iniknet.py, both run from coarse to fine."""
    torch.manual_seed(0)
    neck, inputs = UnidirectionalConvLSTM(4, 1).double(), features()
    inputs = [x.double() for x in inputs]
    weights = {}
    for name, cell in (('first', neck.first), ('second', neck.second)):
        prefix = f'{name}.cell'
        blocks = f'{prefix}.layers.layers.0.main'
        weights |= {
            f'{blocks}.0.main.0.weight': cell.blocks[0].conv1.weight,
            f'{blocks}.1.main.0.weight': cell.blocks[0].conv2.weight,
            f'{prefix}.conv.weight': cell.gates.weight,
            f'{prefix}.conv.bias': cell.gates.bias,
        }
    normed = [
        F.layer_norm(x.permute(0, 2, 3, 1), (4,)).permute(0, 3, 1, 2) for x in inputs
    ]
    h1 = reference_iniknet.lstm_pass(normed[::-1], weights, 'first', 1, 2)
    h2 = reference_iniknet.lstm_pass(h1, weights, 'second', 1, 2)[::-1]
    for x, h, output in zip(inputs, h2, neck(inputs), strict=True):
        torch.testing.assert_close(output, x + h)


def test_literal_cell_state_crosses_no_scale():
    torch.manual_seed(0)
    neck, received = UnidirectionalConvLSTM(4, 1, 'feature'), []
    for cell in (neck.first, neck.second):
        cell.register_forward_pre_hook(lambda _, args: received.append(args[2]))
    inputs = features()
    neck(inputs)
    for scale, x in enumerate(inputs[::-1]):
        normed = F.layer_norm(x.permute(0, 2, 3, 1), (4,)).permute(0, 3, 1, 2)
        for state in received[2 * scale : 2 * scale + 2]:
            torch.testing.assert_close(state, normed)


def unidirectional(**options):
    torch.manual_seed(0)
    return UnidirectionalINIKNet(
        UNet(6, 4, 1),
        [UnidirectionalConvLSTM(4, 1) for _ in range(2)],
        InverseFilterHead(4, INRAtomBank(2, (1, 3, 5))),
        **options,
    )


@torch.no_grad()
def test_every_scale_sees_what_the_last_one_restored():
    network, seen, felt = unidirectional(), [], []
    # So that a restored image is not the image.
    network.head.mixing.mul_(30)
    network.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    network.backbone.register_forward_hook(lambda _m, _i, out: felt.append(out))
    y = torch.rand(2, 3, 37, 31)
    outputs, images = network.forward_scales(y), network.pyramid(y)
    assert len(seen) == len(felt) == 3
    scales = felt[::-1]
    torch.testing.assert_close(seen[0], torch.cat([images[2]] * 2, 1))
    for p in (0, 1):
        sides = images[p].shape[-2:]
        enlarged = F.interpolate(outputs[p + 1], sides, mode='bilinear')
        assert (enlarged - images[p]).abs().max() > 0.01
        torch.testing.assert_close(seen[2 - p], torch.cat([images[p], enlarged], 1))
    # What the necks make of all scales at once.
    both = network.size_neck(scales), network.shape_neck(scales)
    for ours, theirs in zip(network.extract(images), both, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b)
    for image, output, *parts in zip(images, outputs, *both, strict=True):
        torch.testing.assert_close(network.head(image, *parts), output)
    assert torch.equal(network(y), network.forward_scales(y)[0])


def test_finest_loss_teaches_through_coarser_restored_images():
    network = unidirectional(num_scales=2)
    outputs = []
    network.head.register_forward_hook(lambda _m, _i, output: outputs.append(output))
    network(torch.rand(1, 3, 16, 16)).square().sum().backward(
        inputs=[*network.parameters()], retain_graph=True
    )
    (gradient,) = torch.autograd.grad(outputs[1].square().sum(), outputs[0])
    assert gradient.abs().sum() > 0
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize('size', [(1, 1), (3, 2), (37, 31)])
def test_unidirectional_takes_any_size(size):
    y = torch.rand(1, 3, *size)
    restored = unidirectional()(y)
    assert restored.shape == y.shape
    # Starts near the identity.
    assert (restored - y).abs().max() < 0.05


@pytest.mark.parametrize(
    ('name', 'parameters'),
    [
        # 44,810 for all sizes become 44,810 for each of seven.
        ('non_ms_dict', 1_976_847 + 6 * 44_810),
        # 44,810 become ten matrices of 15².
        ('non_inr_dict', 1_976_847 - 44_810 + 10 * 15**2),
        # The first convolution's kernels reach over three more channels.
        ('unidirectional', 1_976_847 + 3 * 32 * 3**2),
        ('by_options', 1_976_847),
    ],
)
def test_parameters_of_the_papers_ablations(name, parameters):
    generator = MODELS.build(generator_of(name))
    assert count(generator) == parameters
    shown = f'{parameters:,}'
    parts = (type(generator), type(generator.head.atom_bank))
    assert name == 'by_options' or any(shown in part.__doc__ for part in parts)


def test_parameters_without_lstms():
    config = generator_of('by_options')
    config.neck.type = 'ConvNeck'
    assert f'{count(MODELS.build(config)):,}' in ConvNeck.__doc__


def test_files_differ_from_the_recipe_in_their_part_alone():
    recipe = Config.fromfile('configs/iniknet_dpdd.py').to_dict()
    for name in PAPERS:
        config = Config.fromfile(f'configs/ablations/{name}.py').to_dict()
        generator = config['model']['generator']
        if name == 'unidirectional':
            assert generator['backbone'].pop('in_channels') == 6
            for part in (generator, generator['neck']):
                assert part['type'].startswith('Unidirectional')
            generator['type'] = 'INIKNet'
            generator['neck']['type'] = 'DuplexConvLSTM'
        else:
            assert generator['head']['atom_bank']['type'] != 'INRAtomBank'
            generator['head']['atom_bank']['type'] = 'INRAtomBank'
        assert config == recipe


TINY = (
    'backbone.base_channels=2',
    'backbone.num_res_blocks=1',
    'neck.channels=2',
    'neck.num_res_blocks=1',
    'head.in_channels=2',
    'head.atom_bank.kernel_sizes=1,3',
)


def parsed(options):
    """As the tools read them."""
    values = {}
    for key, value in (option.split('=', 1) for option in options):
        values[f'model.generator.{key}'] = DictAction._parse_iterable(value)
    return values


@pytest.mark.parametrize('name', PAPERS)
def test_ablation_trains_one_step(name):
    trains(Config.fromfile(f'configs/ablations/{name}.py'), [])


@pytest.mark.parametrize(
    'options',
    [
        *(f'num_scales={p}' for p in (1, 2, 3, 4)),
        *(f'head.atom_bank.num_atoms={n}' for n in (1, 5, 10, 20)),
        'head.atom_bank.kernel_sizes=3,5,9',
        'head.atom_bank.frequency_range=2,16',
        'head.atom_bank.frequencies=uniform',
        'neck.cell_state=feature',
        'neck.type=ConvNeck',
        'head.fusion=sum',
        'head.residual=False head.fusion=sum head.atom_bank.center=delta',
        'head.atom_bank.type=PerSizeINRAtomBank head.atom_bank.center=delta '
        'head.residual=False head.fusion=sum',
        'head.atom_bank.type=MatrixAtomBank head.atom_bank.center=delta '
        'head.residual=False head.fusion=sum',
        'type=UnidirectionalINIKNet backbone.in_channels=6 '
        'neck.type=UnidirectionalConvLSTM neck.cell_state=feature',
    ],
)
def test_options_build_and_train_one_step(options):
    config = Config.fromfile('configs/ablations/by_options.py')
    trains(config, options.split())


def trains(config, options):
    """Builds a tiny network, whose parts take one step on a pair of crops."""
    config.merge_from_dict(parsed([*TINY, *options]))
    # LPIPS needs a file.
    config.model.loss.losses.lpips = None
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    blurred, sharp = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    sample = DataSample(gt_img=sharp)
    sample.set_metainfo(dict(img_channel_order='RGB', gt_channel_order='RGB'))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    reached = set()
    for name, parameter in model.named_parameters():
        parameter.register_post_accumulate_grad_hook(lambda _, n=name: reached.add(n))
    logged = model.train_step(
        dict(inputs=[blurred], data_samples=[sample]),
        build_optim_wrapper(model, config.optim_wrapper),
    )
    assert math.isfinite(logged['loss'])
    # Or DDP, which waits for every gradient, would refuse the next step.
    assert reached == before.keys()
    changed = {
        n.split('.')[1] for n, p in model.named_parameters() if (p != before[n]).any()
    }
    assert 'head' in changed
    # From an exact identity, the head's zeros keep the rest still for a step.
    delta = config.model.generator.head.atom_bank.get('center') == 'delta'
    if not delta:
        assert changed >= {'backbone', 'size_neck', 'shape_neck'}


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: PerSizeINRAtomBank(0), 'must be positive, got 0'),
        (lambda: PerSizeINRAtomBank(2, (3, 1)), r'rising, got \(3, 1\)'),
        (lambda: PerSizeINRAtomBank(2, SIZES, center='one'), "got 'one'"),
        (lambda: MatrixAtomBank(0), 'num_atoms must be positive, got 0'),
        (lambda: MatrixAtomBank(2, (1, 4)), r'odd, positive and rising, got \(1, 4\)'),
        (lambda: MatrixAtomBank(2, center='one'), "center must be in .* got 'one'"),
        (lambda: ConvNeck(num_res_blocks=0), 'must be positive, got 32 and 0'),
        (lambda: UnidirectionalConvLSTM(0), 'must be positive, got 0 and 2'),
        (lambda: UnidirectionalConvLSTM(4, 1, 'none'), "cell_state .* got 'none'"),
        (
            lambda: UnidirectionalINIKNet(
                UNet(6), [DuplexConvLSTM()] * 2, torch.nn.Identity()
            ),
            'scale by scale, as UnidirectionalConvLSTM does, got DuplexConvLSTM',
        ),
    ],
)
def test_bad_options(build, message):
    with pytest.raises(ValueError, match=message):
        build()
