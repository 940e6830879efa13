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


def reduced(enlargement='shuffle', **options):
    torch.manual_seed(0)
    atoms = INRAtomBank(num_atoms=3, kernel_sizes=(1, 3, 5))
    return InverseFilterHead(8, atoms, reduction=4, enlargement=enlargement, **options)


def test_shuffled_weights_are_those_of_the_pixel_within_its_block():
    part, (_, size_feature, shape_feature) = reduced(), inputs((3, 2))
    torch.nn.init.normal_(part.shape_predictor.weight)
    _, omega = part.predict_weights(
        size_feature, shape_feature, torch.zeros(2, 3, 11, 7)
    )
    assert omega.shape == (2, 3, 11, 7)
    # Atom n at pixel (4y + i, 4x + j) is channel (n, i, j) at (y, x).
    logits = part.shape_predictor(shape_feature).unflatten(1, (3, 4, 4))
    for n, y, x in ((0, 0, 0), (1, 9, 6), (2, 10, 3)):
        expected = logits[:, n, y % 4, x % 4, y // 4, x // 4]
        torch.testing.assert_close(omega[:, n, y, x], expected)


def test_bilinear_weights_are_even_where_features_are():
    part = reduced('bilinear')
    _, size_feature, shape_feature = inputs((1, 1))
    wide = [f.expand(-1, -1, 3, 2) for f in (size_feature, shape_feature)]
    few = part.predict_weights(size_feature, shape_feature)
    image = torch.zeros(2, 3, 9, 8)
    for weights, one in zip(part.predict_weights(*wide, image), few, strict=True):
        torch.testing.assert_close(weights, one[..., :1, :1].expand(-1, -1, 9, 8))


def test_all_pixels_of_a_block_start_alike():
    mu, omega = reduced().predict_weights(*inputs((1, 1))[1:])
    for weights in (mu, omega):
        torch.testing.assert_close(weights, weights[..., :1, :1].expand_as(weights))


@pytest.mark.parametrize('enlargement', ['shuffle', 'bilinear'])
@pytest.mark.parametrize('size', [(1, 1), (2, 3), (16, 5)])
def test_any_image_size_from_coarse_features(enlargement, size):
    y = inputs(size)[0]
    coarse = [-(-side // 4) for side in size]
    assert reduced(enlargement)(y, *inputs(coarse)[1:]).shape == y.shape


@pytest.mark.parametrize('size', [(9, 7), (1, 1), (2, 12)])
def test_reflected_border_is_filtering_of_the_continued_image(size):
    part, (y, size_feature, shape_feature) = head(), inputs(size)
    part.border = 'reflect'
    mode = 'reflect' if min(size) > 2 else 'replicate'
    around = torch.nn.functional.pad(y, (2, 2, 2, 2), mode)
    mu, omega = (
        torch.nn.functional.pad(w, (2, 2, 2, 2))
        for w in part.predict_weights(size_feature, shape_feature)
    )
    expected = inverse_filter_reference(
        around, mu, omega, part.atom_bank(), part.mixing, part.bias
    )[..., 2:-2, 2:-2]
    torch.testing.assert_close(part(y, size_feature, shape_feature), y + expected)


def coarser(factors, **options):
    torch.manual_seed(0)
    atoms = INRAtomBank(num_atoms=3, kernel_sizes=(1, 3, 5))
    part = InverseFilterHead(8, atoms, coarser=factors, **options)
    for parameter in part.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return part


@pytest.mark.parametrize('fusion', ['conv', 'sum'])
@pytest.mark.parametrize('size', [(8, 12), (9, 7), (1, 1), (2, 30)])
def test_coarser_sizes_filter_the_reduced_image(fusion, size):
    part = coarser((2, 4), fusion=fusion, border='reflect', mixing_start=1.0)
    y, *features = inputs(size)
    mu, omega = part.predict_weights(*features)
    assert mu.shape[1] == 5
    atoms = part.atom_bank()

    def mixing(r):
        return None if part.mixing is None else part.mixing[:, r]

    expected = y + inverse_filter_reference(
        y, mu[:, :3], omega, atoms, mixing(slice(3)), part.bias, 'reflect'
    )
    for r, factor in ((3, 2), (4, 4)):
        small = [
            torch.nn.functional.avg_pool2d(t, factor, ceil_mode=True)
            for t in (y, mu[:, r : r + 1], omega)
        ]
        coarse = inverse_filter_reference(
            *small, atoms[-1:], mixing(slice(r, r + 1)), None, 'reflect'
        )
        large = torch.nn.functional.interpolate(
            coarse, scale_factor=factor, mode='bilinear'
        )
        expected = expected + large[..., : size[0], : size[1]]
    torch.testing.assert_close(part(y, *features), expected)


def test_a_coarser_size_reaches_beyond_the_largest_kernel():
    y, *features = inputs((1, 41))
    y.requires_grad_()
    reach = []
    for factors in ((), (2,), (4,)):
        (gradient,) = torch.autograd.grad(
            coarser(factors)(y, *features)[..., 20].sum(), y
        )
        columns = gradient.abs().sum((0, 1, 2)).nonzero()[:, 0]
        reach.append(int((columns - 20).abs().max()))
    assert reach[0] == 2
    assert 5 <= reach[1] <= 7
    assert 11 <= reach[2] <= 14


def test_gradients_of_coarser_sizes():
    part = coarser((2,)).double()
    y, *features = inputs((5, 4), torch.float64)
    for feature in features:
        feature.requires_grad_()
    assert torch.autograd.gradcheck(lambda *f: part(y, *f), features)


def test_an_even_image_stays_with_atoms_of_zero_sum_and_reflected_border():
    torch.manual_seed(0)
    atoms = INRAtomBank(num_atoms=3, kernel_sizes=(1, 3, 5), zero_sum=True)
    part = InverseFilterHead(8, atoms, border='reflect', mixing_start=1.0)
    even = torch.full((2, 3, 9, 7), 0.7)
    torch.testing.assert_close(part(even, *inputs()[1:]), even, atol=1e-6, rtol=0)


@pytest.mark.parametrize('enlargement', ['shuffle', 'bilinear'])
@pytest.mark.parametrize('size', [(1, 1), (2, 3), (16, 5)])
@pytest.mark.parametrize('blocks', [0, 2])
def test_details_of_any_image_change_its_kernels(enlargement, size, blocks):
    part = reduced(enlargement, detail_channels=6, detail_blocks=blocks)
    y = inputs(size)[0]
    features = inputs([-(-side // 4) for side in size])[1:]
    assert part(y, *features).shape == y.shape
    mu, omega = part.predict_weights(*features, y)
    assert mu.shape == omega.shape == (2, 3, *size)
    torch.testing.assert_close(mu.sum(1), torch.ones(2, *size))
    # Without a weight of theirs the head is one that has no details.
    part.detail_predictor.weight.data.zero_()
    plain = reduced(enlargement)
    plain.load_state_dict(part.state_dict(), strict=False)
    torch.testing.assert_close(part(y, *features), plain(y, *features))


@pytest.mark.parametrize('blocks', [0, 2])
def test_details_let_kernels_differ_within_a_block(blocks):
    part = reduced(detail_channels=6, detail_blocks=blocks)
    y, features = inputs((8, 8))[0], inputs((2, 2))[1:]
    _, omega = part.predict_weights(*features, y)
    assert (omega[..., :4, :4] - omega[..., :1, :1]).abs().max() > 1e-3
    part(y, *features).square().mean().backward()
    for name, parameter in part.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_blocks_see_details_around():
    part = reduced(detail_channels=6, detail_blocks=2)
    y, features = inputs((16, 16))[0], inputs((4, 4))[1:]
    y.requires_grad_()
    # Of the bands, more than what each pixel has itself.
    _, omega = part.predict_weights(*features, y)
    plain = reduced(detail_channels=6)
    plain.load_state_dict(part.state_dict(), strict=False)
    _, of_pixels = plain.predict_weights(*features, y)
    assert (omega - of_pixels).abs().max() > 1e-3
    for block in part.detail_blocks:
        block.conv2.weight.data.zero_()
    torch.testing.assert_close(part.predict_weights(*features, y)[1], of_pixels)


def test_details_want_the_image():
    part = reduced(detail_channels=6)
    with pytest.raises(ValueError, match='depend on the image'):
        part.predict_weights(*inputs((2, 2))[1:])


def test_mixing_start_is_the_range_of_the_mixing_weights():
    bank = INRAtomBank(num_atoms=3, kernel_sizes=(1, 3, 5))
    # 3 sizes, 3 colours, 3 atoms.
    largest = InverseFilterHead(8, bank, mixing_start=0.5).mixing.abs().max()
    assert 0.4 * 27**-0.5 < largest <= 0.5 * 27**-0.5


@pytest.mark.parametrize(
    'dtype', [torch.float64, torch.float16, torch.bfloat16], ids=str
)
def test_any_dtype(dtype):
    assert head().to(dtype)(*inputs(dtype=dtype)).dtype == dtype


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(in_channels=0), 'must be positive, got 0, 3 and 1'),
        (dict(fusion='max'), "fusion must be in .* got 'max'"),
        (dict(enlargement='copy'), "enlargement must be in .* got 'copy'"),
        (dict(border='wrap'), "border must be in .* got 'wrap'"),
        (dict(mixing_start=0), 'mixing_start must be positive, got 0'),
        (dict(coarser=(2, 1)), 'coarser must be factors above 1, got .2, 1.'),
        (dict(detail_channels=-1), 'detail_channels must not be negative, got -1'),
        (dict(detail_blocks=1), 'none without detail_channels, got 1'),
        (
            dict(detail_channels=4, detail_blocks=-1),
            'detail_blocks must not be negative, .* got -1',
        ),
    ],
    ids=lambda value: '_'.join(value) if isinstance(value, dict) else '',
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        InverseFilterHead(atom_bank=INRAtomBank(), **options)
