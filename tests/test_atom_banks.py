import cmath
import math

import pytest
import torch

from mmagic_inik.models import (
    DuplexConvLSTM,
    INIKNet,
    INRAtomBank,
    InverseFilterHead,
    MatrixAtomBank,
    PerSizeINRAtomBank,
    UNet,
)


def mlp(bank, n, u, v):
    """Atom n at (u, v), one number at a time."""
    rho, theta = math.hypot(u, v) / math.sqrt(2), cmath.phase(complex(u, v))
    x = [rho, (math.cos(theta) + 1) / 2, (math.sin(theta) + 1) / 2]
    w = bank.frequency[n].item()
    for weight, bias in ((bank.weight1, bank.bias1), (bank.weight2, bank.bias2)):
        weight, bias = weight[n].tolist(), bias[n].tolist()
        x = [
            math.sin(w * (sum(a * b for a, b in zip(row, x, strict=True)) + shift))
            for row, shift in zip(weight, bias, strict=True)
        ]
    return sum(a * b for a, b in zip(bank.weight3[n, 0].tolist(), x, strict=True))


def test_atoms_are_the_mlp_at_polar_coordinates():
    torch.manual_seed(0)
    bank = INRAtomBank(num_atoms=2, kernel_sizes=(1, 3, 7)).double()
    atoms = bank()
    for atom, size in zip(atoms[1:], (3, 7), strict=True):
        for n, row, column in (
            (0, 0, 0),
            (1, 0, size - 1),
            (0, size // 2, size // 2),
            (1, 1, 0),
            (1, 2, 1),
        ):
            u, v = ((2 * k - (size - 1)) / (size - 1) for k in (row, column))
            expected = mlp(bank, n, u, v) * 9 / size**2
            assert atom[n, row, column].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize('size', [3, 5, 7, 9, 11, 13, 15])
def test_center_angle_is_exactly_zero(size):
    bank = INRAtomBank(kernel_sizes=(size,))
    center = bank._coordinates(torch.float32)[size * size // 2]
    assert center.tolist() == [0, 1, 0.5]


def test_u_runs_along_rows():
    coordinates = INRAtomBank(kernel_sizes=(3,))._coordinates(torch.float64)
    # Last row, middle column: u = 1, v = 0, θ = 0.
    assert coordinates[7].tolist() == pytest.approx([2**-0.5, 1, 0.5])


def test_zero_sum_takes_the_mean_from_every_atom():
    torch.manual_seed(0)
    plain = INRAtomBank(num_atoms=2, kernel_sizes=(1, 3, 7))
    atoms = INRAtomBank(num_atoms=2, kernel_sizes=(1, 3, 7), zero_sum=True)
    atoms.load_state_dict(plain.state_dict())
    for atom, whole in zip(atoms()[1:], plain()[1:], strict=True):
        expected = whole - whole.sum((1, 2), keepdim=True) / whole[0].numel()
        torch.testing.assert_close(atom, expected)
        assert abs(whole.sum()) > 1e-3
    assert not atoms()[0].any()


@pytest.mark.parametrize(
    ('center', 'value'), [('zero', 0.0), ('delta', 1.0)], ids=['zero', 'delta']
)
def test_one_by_one_atom(center, value):
    bank = INRAtomBank(num_atoms=3, center=center)
    assert bank()[0].flatten().tolist() == [value] * 3


def test_delta_bank_starts_with_empty_atoms():
    assert all((atom == 0).all() for atom in INRAtomBank(center='delta')()[1:])
    assert all((atom != 0).any() for atom in INRAtomBank(center='zero')()[1:])


def test_frequencies():
    evenly = INRAtomBank(num_atoms=3).frequency
    assert evenly.tolist() == [2, 7, 12]
    torch.manual_seed(0)
    drawn = INRAtomBank(
        num_atoms=500, frequencies='uniform', frequency_range=(2, 16)
    ).frequency
    assert 2 <= drawn.min() < 2.5
    assert 15.5 < drawn.max() <= 16
    assert drawn.std().item() == pytest.approx(14 / math.sqrt(12), rel=0.1)


def test_parameters():
    # N (3·64 + 64 + 64·64 + 64 + 64 + 1)
    assert sum(p.numel() for p in INRAtomBank().parameters()) == 44_810


def test_every_parameter_learns():
    bank = INRAtomBank(num_atoms=2, kernel_sizes=(1, 3, 5))
    sum(atom.square().sum() for atom in bank()).backward()
    for name, parameter in bank.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    'dtype', [torch.float64, torch.float16, torch.bfloat16], ids=str
)
def test_half_precision_loses_only_weights_rounding(dtype):
    torch.manual_seed(0)
    bank = INRAtomBank(num_atoms=2).to(dtype)
    atoms = bank()
    assert all(atom.dtype == dtype for atom in atoms)
    exact = bank.double()()
    for atom, wide in zip(atoms, exact, strict=True):
        # One rounding of the result, whatever happened inside.
        torch.testing.assert_close(
            atom.double(), wide, rtol=torch.finfo(dtype).eps, atol=2e-6
        )


BANKS = [INRAtomBank, PerSizeINRAtomBank, MatrixAtomBank]


@pytest.mark.parametrize('kind', BANKS)
@pytest.mark.parametrize('center', ['zero', 'delta'])
def test_a_bank_with_nothing_to_draw_has_nothing_to_learn(kind, center):
    bank = kind(num_atoms=3, kernel_sizes=(1,), center=center)
    assert not [*bank.parameters()]
    assert not bank.state_dict()
    (atom,) = bank.to(torch.bfloat16)()
    assert atom.dtype == torch.bfloat16
    assert torch.equal(atom, torch.full_like(atom, center == 'delta'))


@pytest.mark.parametrize('sizes', [(1,), (3,), (1, 3)], ids=str)
@pytest.mark.parametrize('kind', BANKS)
def test_every_parameter_gets_a_gradient(kind, sizes):
    """Or distributed training would refuse the network."""
    network = INIKNet(
        UNet(base_channels=4, num_res_blocks=1),
        [DuplexConvLSTM(4, 1), DuplexConvLSTM(4, 1)],
        InverseFilterHead(4, kind(num_atoms=2, kernel_sizes=sizes)),
    )
    sum(x.sum() for x in network.forward_scales(torch.rand(1, 3, 16, 16))).backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None]
    assert idle == []


def test_autocast_does_not_touch_atoms():
    bank = INRAtomBank(num_atoms=2)
    with torch.autocast('cpu', torch.bfloat16):
        inside = bank()
    for a, b in zip(inside, bank(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(num_atoms=0), 'num_atoms and hidden_channels must be positive, got 0'),
        (dict(kernel_sizes=(1, 4)), r'odd, positive and rising, got \(1, 4\)'),
        (dict(kernel_sizes=(3, 1)), 'rising'),
        (dict(kernel_sizes=()), 'rising'),
        (dict(frequencies='log'), "frequencies must be in .* got 'log'"),
        (dict(center='one'), "center must be in .* got 'one'"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        INRAtomBank(**options)
