"""INIKNet written a second time, straight from its description, for parity tests.

Functions of a released state dict, without modules, batching tricks or shortcuts; run
as a script, it writes the fixture tests/data/released_tiny.npz.
"""

import cmath
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

SCALES = ('full', 'half', 'quarter')
FIXTURE = Path(__file__).parent / 'data' / 'released_tiny.npz'


def conv(x, weight, stride=1):
    return F.conv2d(F.pad(x, (1, 1, 1, 1), 'reflect'), weight, stride=stride)


def res_blocks(x, weights, prefix, count):
    for block in range(count):
        first = weights[f'{prefix}.{block}.main.0.main.0.weight']
        second = weights[f'{prefix}.{block}.main.1.main.0.weight']
        x = x + conv(torch.relu(conv(x, first)), second)
    return x


def unet(image, weights, count):
    def w(name):
        return weights[f'unet.{name}.main.0.weight']

    def up(x, name):
        return torch.relu(F.conv_transpose2d(x, w(name), stride=2, padding=1))

    e0 = torch.relu(conv(image, w('feat_extract.0')))
    e0 = res_blocks(e0, weights, 'unet.Encoder.0.layers', count)
    e1 = torch.relu(conv(e0, w('feat_extract.1'), stride=2))
    e1 = res_blocks(e1, weights, 'unet.Encoder.1.layers', count)
    e2 = torch.relu(conv(e1, w('feat_extract.2'), stride=2))
    e2 = res_blocks(e2, weights, 'unet.Encoder.2.layers', count)
    d1 = torch.relu(conv(torch.cat([up(e2, 'up1'), e1], 1), w('feat_extract.3')))
    d1 = res_blocks(d1, weights, 'unet.Decoder.0.layers', count)
    d0 = torch.relu(conv(torch.cat([up(d1, 'up2'), e0], 1), w('feat_extract.4')))
    return res_blocks(d0, weights, 'unet.Decoder.1.layers', count)


def lstm_pass(inputs, weights, prefix, count, factor):
    """States h of the inputs in the order given; `factor` leads to the next scale."""
    h = c = torch.zeros_like(inputs[0])
    states = []
    for number, x in enumerate(inputs):
        if number:
            h, c = (
                F.interpolate(s, scale_factor=factor, mode='bilinear') for s in (h, c)
            )
        z = res_blocks(
            torch.cat([x, h], 1), weights, f'{prefix}.cell.layers.layers', count
        )
        gates = F.conv2d(
            z,
            weights[f'{prefix}.cell.conv.weight'],
            weights[f'{prefix}.cell.conv.bias'],
        )
        i, f, o, g = gates.chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        states.append(h)
    return states


def neck(features, weights, prefix, count):
    """Features finest first → outputs finest first."""
    gain, shift = (
        weights[f'{prefix}.norm.norm.{name}'].view(1, -1, 1, 1)
        for name in ('weight', 'bias')
    )
    normed = [
        (f - f.mean(1, keepdim=True))
        / (f.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        * gain
        + shift
        for f in features
    ]
    h1 = lstm_pass(normed, weights, f'{prefix}.right2left', count, 0.5)
    h2 = lstm_pass(h1[::-1], weights, f'{prefix}.left2right', count, 2)[::-1]
    return [f + h for f, h in zip(features, h2, strict=True)]


def atom(n, size, weights):
    """Atom n at one size, pixel by pixel."""
    prefix = f'inr_conv.kernelINR_list.{n}.layers'
    drawn = torch.zeros(size, size)
    for row in range(size):
        for column in range(size):
            u, v = (
                2 * k / (size - 1) - 1 if 2 * k != size - 1 else 0.0
                for k in (row, column)
            )
            rho = math.sqrt(u * u + v * v) / math.sqrt(2)
            theta = cmath.phase(complex(u, v))
            x = torch.tensor(
                [rho, (math.cos(theta) + 1) / 2, (math.sin(theta) + 1) / 2]
            )
            for layer, frequency in ((0, 1), (2, 3)):
                x = weights[f'{prefix}.{layer}.weight'] @ x
                x = x + weights[f'{prefix}.{layer}.bias']
                x = torch.sin(weights[f'{prefix}.{frequency}.w0'] * x)
            drawn[row, column] = (weights[f'{prefix}.4.weight'] @ x).item()
    return drawn * 9 / size**2


def fuse(image, mu, omega, atoms, weights):
    """Every product μ_r ω_n (v_n^r ∗ y_c), then one 1×1 convolution, then + y."""
    products = []
    for r in range(mu.shape[1]):
        for c in range(3):
            y = image[:, c : c + 1]
            for n in range(omega.shape[1]):
                if r == 0:
                    filtered = torch.zeros_like(y)
                else:
                    filtered = F.conv2d(y, atoms[r - 1][n][None, None], padding=r)
                products.append(mu[:, r : r + 1] * omega[:, n : n + 1] * filtered)
    mixed = F.conv2d(torch.cat(products, 1), weights['sum.weight'], weights['sum.bias'])
    return mixed + image


def run(config, weights, image):
    """All intermediates by name, as in the golden file."""
    images = [image] + [
        F.interpolate(image, scale_factor=s, mode='bilinear') for s in (0.5, 0.25)
    ]
    features = [unet(x, weights, config['num_res_unet']) for x in images]
    size_features = neck(
        features, weights, 'lstms_scale_select', config['num_res_lstm']
    )
    shape_features = neck(
        features, weights, 'lstms_basis_select', config['num_res_lstm']
    )
    sizes = range(3, config['max_kernel_size'] + 1, 2)
    atoms = [
        torch.stack([atom(n, size, weights) for n in range(config['basis_num'])])
        for size in sizes
    ]
    taps = {f'atoms/{a.shape[-1]}x{a.shape[-1]}': a for a in atoms}
    for p, scale in enumerate(SCALES):
        mu = F.conv2d(
            size_features[p],
            weights['scale_select.weight'],
            weights['scale_select.bias'],
        ).softmax(1)
        omega = F.conv2d(
            shape_features[p],
            weights['basis_select.weight'],
            weights['basis_select.bias'],
        )
        taps |= {
            f'image/{scale}': images[p],
            f'feature/{scale}': features[p],
            f'neck_size/{scale}': size_features[p],
            f'neck_shape/{scale}': shape_features[p],
            f'mu/{scale}': mu,
            f'omega/{scale}': omega,
            f'output/{scale}': fuse(images[p], mu, omega, atoms, weights),
        }
    return taps


def random_weights(config, generator):
    """A released state dict of normal numbers over √fan-in."""
    c, n = config['base_ch'], config['basis_num']
    sizes = (config['max_kernel_size'] + 1) // 2
    shapes = {
        'unet.feat_extract.0.main.0.weight': (c, 3, 3, 3),
        'unet.feat_extract.1.main.0.weight': (2 * c, c, 3, 3),
        'unet.feat_extract.2.main.0.weight': (4 * c, 2 * c, 3, 3),
        'unet.feat_extract.3.main.0.weight': (2 * c, 4 * c, 3, 3),
        'unet.feat_extract.4.main.0.weight': (c, 2 * c, 3, 3),
        'unet.up1.main.0.weight': (4 * c, 2 * c, 4, 4),
        'unet.up2.main.0.weight': (2 * c, c, 4, 4),
        'scale_select.weight': (sizes, c, 1, 1),
        'scale_select.bias': (sizes,),
        'basis_select.weight': (n, c, 1, 1),
        'basis_select.bias': (n,),
        'sum.weight': (3, sizes * 3 * n, 1, 1),
        'sum.bias': (3,),
    }

    def add_blocks(prefix, width, count):
        for block in range(count):
            for half in (0, 1):
                name = f'{prefix}.{block}.main.{half}.main.0.weight'
                shapes[name] = (width, width, 3, 3)

    for level, width in enumerate((c, 2 * c, 4 * c)):
        add_blocks(f'unet.Encoder.{level}.layers', width, config['num_res_unet'])
    for level, width in enumerate((2 * c, c)):
        add_blocks(f'unet.Decoder.{level}.layers', width, config['num_res_unet'])
    for neck_name in ('lstms_scale_select', 'lstms_basis_select'):
        shapes[f'{neck_name}.norm.norm.weight'] = (c,)
        shapes[f'{neck_name}.norm.norm.bias'] = (c,)
        for way in ('left2right', 'right2left'):
            prefix = f'{neck_name}.{way}.cell'
            add_blocks(f'{prefix}.layers.layers', 2 * c, config['num_res_lstm'])
            shapes[f'{prefix}.conv.weight'] = (4 * c, 2 * c, 1, 1)
            shapes[f'{prefix}.conv.bias'] = (4 * c,)
    for number in range(n):
        prefix = f'inr_conv.kernelINR_list.{number}.layers'
        shapes[f'{prefix}.0.weight'] = (64, 3)
        shapes[f'{prefix}.0.bias'] = (64,)
        shapes[f'{prefix}.2.weight'] = (64, 64)
        shapes[f'{prefix}.2.bias'] = (64,)
        shapes[f'{prefix}.4.weight'] = (1, 64)
    weights = {}
    for name, shape in shapes.items():
        scale = 0.1 if len(shape) == 1 else math.prod(shape[1:]) ** -0.5
        weights[name] = scale * torch.randn(shape, generator=generator)
        if name.endswith('norm.weight'):
            weights[name] += 1
    frequencies = torch.linspace(config['w_min'], config['w_max'], n)
    for number, frequency in enumerate(frequencies):
        for layer in (1, 3):
            name = f'inr_conv.kernelINR_list.{number}.layers.{layer}.w0'
            weights[name] = frequency.clone()
    return weights


def main():
    config = dict(base_ch=4, num_res_unet=1, num_res_lstm=1, basis_num=2)
    config |= dict(max_kernel_size=5, w_min=2, w_max=12)
    generator = torch.Generator().manual_seed(0)
    weights = random_weights(config, generator)
    image = torch.rand(1, 3, 32, 48, generator=generator)
    content = {'config': json.dumps(config), 'input': image}
    content |= {f'weight/{name}': tensor for name, tensor in weights.items()}
    content |= {f'tap/{name}': t for name, t in run(config, weights, image).items()}
    np.savez_compressed(FIXTURE, **{k: np.asarray(v) for k, v in content.items()})


if __name__ == '__main__':
    main()
