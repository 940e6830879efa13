"""How published checkpoints of TensorFlow name, or merely order, their layers."""

# DPDNet and KPAC: in order of construction.
DPDNET = (
    *(f'encoder.{level}.{k}' for level in range(5) for k in (0, 2)),
    *(
        layer
        for level in range(4)
        for layer in (f'ups.{level}.conv', f'decoder.{level}.0', f'decoder.{level}.2')
    ),
    'decoder.3.4',
    'out',
)

_KPAC_BLOCK = (
    *(f'scale.{k}' for k in range(5)),
    *('shape.0', 'shape.1', 'fuse'),
)


def kpac_tensors(num_levels: int) -> list[str]:
    """Our names of KPAC's tensors in the order of its files, which have no names.

    Args:
        num_levels (int): Of the network.

    Returns:
        list[str]: Of the state dict.
    """
    names = [f'encoder.{k}.{n}' for k in range(num_levels + 1) for n in (0, 1)]
    for block in ('blocks.0', 'blocks.1'):
        names += [f'{block}.shared', *(f'{block}.{part}' for part in _KPAC_BLOCK)]
    names += ['middle.0', 'middle.1']
    names += [f'{part}.{k}' for k in range(num_levels) for part in ('ups', 'merges')]
    # The last doubling is followed by ``out``.
    names[-1] = 'out'
    return [
        f'{name}.{kind}'
        for name in names
        for kind in ('weight', 'bias')
        if not (name.endswith('shared') and kind == 'bias')
    ]


def _aifnet_layers() -> dict[str, str]:
    """The scope of every convolution and norm by our name of it."""
    encoder, decoder = 'defocus_net/encoder/', 'defocus_net/decoder/'
    found = {
        f'defocus.encoder.{stage}.{n}': f'{encoder}conv{stage + 1}_{n + 1}'
        for stage, count in enumerate((2, 2, 4, 4, 4))
        for n in range(count)
    }

    def add(ours: str, theirs: str) -> None:
        """A convolution and the norm behind it; `?` is c or b."""
        found[f'{ours}.0'] = decoder + theirs.replace('?', 'c')
        found[f'{ours}.1'] = decoder + theirs.replace('?', 'b')

    for stage in range(3):
        for n in range(3):
            add(f'defocus.decoder.{stage}.{n}', f'u{3 - stage}/?{n + 1}')
    add('defocus.decoder.3.0', 'u0/?_init')
    for i in range(7):
        add(f'defocus.refinement.{i}.residual', f'u0/?_res{i}')
        for n in range(2):
            add(f'defocus.refinement.{i}.convs.{n}', f'u0/?{i}_{n + 1}')
    for n in range(2):
        add(f'defocus.final.{n}', f'uf/?{n + 1}')
    found['defocus.final.2'] = f'{decoder}uf/c3'
    for k in range(5):
        head = f'u{4 - k}_aux'
        add(f'defocus.auxiliary.{k}.0', f'{head}/?1')
        found[f'defocus.auxiliary.{k}.1'] = f'{decoder}{head}/c2'
        found[f'defocus.auxiliary.{k}.2'] = f'{decoder}{head}/b2'
    deblur = {
        'first': '0_1',
        **{f'downs.{k}': name for k, name in enumerate(('0_2', '1_3', '2_3'))},
        **{
            f'encoder.{k}.{n}': f'{k + 1}_{n + 1}'
            for k, count in enumerate((2, 2, 3))
            for n in range(count)
        },
        **{f'merges.{k}': f'{k + 4}_1' for k in range(3)},
        **{
            f'decoder.{k}.{n}': f'{k + 4}_{n + 2}'
            for k, count in enumerate((2, 1, 1))
            for n in range(count)
        },
        'out': '_out',
    }
    return found | {
        f'deblur.{ours}': f'deblur_net/MDP_ds_0_n{theirs}'
        for ours, theirs in deblur.items()
    }


AIFNET = _aifnet_layers()
