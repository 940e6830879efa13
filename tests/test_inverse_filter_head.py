import pytest
import torch

from mmagic_inik.models import INRAtomBank, InverseFilterHead
from mmagic_inik.ops import inverse_filter_reference


def head(fusion='conv', residual=True, **bank):
    torch.manual_seed(0)
    atoms = INRAtomBank(num_atoms=3, kernel_sizes=(1, 3, 5), **bank)
    return InverseFilterHead(8, atoms, fusion=fusion, residual=residual)


def inputs(size=(9, 7), dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    return [
        torch.rand(2, channels, *size, generator=generator).to(dtype)
        for channels in (3, 8, 8)
    ]


@pytest.mark.parametrize('fusion', ['conv', 'sum'])
@pytest.mark.parametrize('residual', [True, False], ids=['residual', 'no residual'])
def test_is_equation_9_of_its_predictions(fusion, residual):
    part, (y, size_feature, shape_feature) = head(fusion, residual), inputs()
    for parameter in part.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    mu = torch.einsum(
        'rc,bchw->brhw', part.size_predictor.weight[..., 0, 0], size_feature
    ) + part.size_predictor.bias.view(-1, 1, 1)
    mu = mu.exp() / mu.exp().sum(1, keepdim=True)
    omega = torch.einsum(
        'nc,bchw->bnhw', part.shape_predictor.weight[..., 0, 0], shape_feature
    ) + part.shape_predictor.bias.view(-1, 1, 1)
    expected = inverse_filter_reference(
        y, mu, omega, part.atom_bank(), part.mixing, part.bias
    )
    expected = expected + y if residual else expected
    torch.testing.assert_close(part(y, size_feature, shape_feature), expected)
    assert (part.mixing is None) == (fusion == 'sum')


def test_mu_is_a_distribution_over_sizes():
    _, size_feature, shape_feature = inputs()
    mu, omega = head().predict_weights(size_feature, shape_feature)
    assert mu.shape == (2, 3, 9, 7)
    assert omega.shape == (2, 3, 9, 7)
    assert (mu > 0).all()
    torch.testing.assert_close(mu.sum(1), torch.ones(2, 9, 7))


def test_literal_start_is_exactly_the_identity():
    y, size_feature, shape_feature = inputs()
    part = head('sum', residual=False, center='delta')
    torch.testing.assert_close(
        part(y, 9 * size_feature, 9 * shape_feature), y, atol=1e-6, rtol=0
    )
    assert part.shape_predictor.bias.tolist() == [1, 1, 1]  # R/N


def test_given_atoms_replace_the_banks():
    part, (y, *features) = head('sum', residual=False), inputs()
    nothing = [torch.zeros(3, size, size) for size in (1, 3, 5)]
    assert not part(y, *features, nothing).any()


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (16, 5)])
@pytest.mark.parametrize('fusion', ['conv', 'sum'])
def test_any_image_size(fusion, size):
    y, *features = inputs(size)
    assert head(fusion)(y, *features).shape == y.shape


@pytest.mark.parametrize(
    'dtype', [torch.float64, torch.float16, torch.bfloat16], ids=str
)
def test_any_dtype(dtype):
    assert head().to(dtype)(*inputs(dtype=dtype)).dtype == dtype


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(in_channels=0), 'must be positive, got 0 and 3'),
        (dict(fusion='max'), "fusion must be in .* got 'max'"),
    ],
    ids=['in_channels', 'fusion'],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        InverseFilterHead(atom_bank=INRAtomBank(), **options)
