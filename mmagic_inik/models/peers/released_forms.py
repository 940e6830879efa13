"""How published checkpoints of the peers name their tensors.

Each form follows the specification of its network; ``conversion`` reads them.
"""

from collections.abc import Callable
from re import Match
from typing import NamedTuple

from .convir import SIZES
from .released_layers import AIFNET, DPDNET, kpac_tensors


class ReleasedForm(NamedTuple):
    """A network's published state dict.

    Attributes:
        type (str): Registered name of the network.
        config (str): Of ``configs/peers``, that builds what the checkpoint is of.
        told_by (str): Name of a tensor that no other network's checkpoint has.
        names (tuple[tuple[str, str | Callable], ...]): Patterns in our names and what
            replaces them, as of :func:`re.sub`, one after another; nothing is left of
            the name of a tensor that the checkpoint has none of.
        colors (dict[str, tuple[int, ...]]): Of a network that was trained on BGR
            images, by name the dimensions of *our* tensor that count colours, three
            by three. Default: none, it was trained on RGB images.
        without (str): Name of a tensor that only longer checkpoints of the same names
            have. Default: none.
    """

    type: str
    config: str
    told_by: str
    names: tuple[tuple[str, str | Callable[[Match], str]], ...]
    colors: dict[str, tuple[int, ...]] = {}
    without: str = ''


def _number(text: str) -> int:
    return int(text) + 1


_DRBNET = (
    (r'^encoder\.(\d)\.(\d)\.', lambda m: f'conv{_number(m[1])}_{_number(m[2])}.'),
    (r'^bottleneck\.', 'conv4_4.'),
    (r'^ups\.(\d)\.up\.', lambda m: f'upconv{3 - int(m[1])}_u.0.'),
    (
        r'^ups\.(\d)\.blocks\.(\d)\.',
        lambda m: f'upconv{3 - int(m[1])}_{_number(m[2])}.',
    ),
    (r'^residuals\.(\d)\.image\.', lambda m: f'img_d{8 >> int(m[1])}_feature.'),
    (r'^residuals\.(\d)\.kernel\.', lambda m: f'upconv{3 - int(m[1])}_kernel.'),
    (r'^residuals\.(\d)\.residual\.', lambda m: f'upconv{3 - int(m[1])}_res.'),
    (r'\.conv1\.(weight|bias)$', r'.stem.0.0.\1'),
    (r'\.conv2\.(weight|bias)$', r'.stem.0.2.\1'),
)

_NRKNET = (
    (r'^blur\.mixing$', 'SummationLayer.conv.weight'),
    (r'^blur\.bias$', 'SummationLayer.conv.bias'),
    (r'^blur\.logits$', 'GCM.kernels'),
    (r'^weights\.conv\.', 'APU.conv.main.0.'),
    (r'^weights\.norm\.', 'APU.conv.main.1.'),
    (r'^weights\.gates\.', 'APU.conv_atten.conv.'),
    (r'^unet\.encoders\.(\d)\.', r'Encoder.\1.layers.0.'),
    (r'^unet\.decoders\.(\d)\.', r'Decoder.\1.layers.0.'),
    (r'^unet\.bottleneck\.0\.', 'bottleneck.0.main.0.'),
    (r'^unet\.bottleneck\.1\.', 'bottleneck.1.layers.0.'),
    (r'^unet\.downs\.(\d)\.', r'feat_extract.\1.main.0.'),
    (r'^unet\.ups\.(\d)\.', lambda m: f'feat_extract.{3 + int(m[1])}.main.0.'),
    (r'\.conv1\.', '.main.0.main.0.'),
    (r'\.conv2\.', '.main.1.main.0.'),
)

_STAGE = {'encoders': 'encoder', 'decoders': 'decoder'}
_MPRNET = (
    (r'^shallow\.(\d)\.', lambda m: f'shallow_feat{_number(m[1])}.'),
    (
        r'^(encoders|decoders)\.(\d)\.levels\.(\d)\.',
        lambda m: (
            f'stage{_number(m[2])}_{_STAGE[m[1]]}.{_STAGE[m[1]]}_level{_number(m[3])}.'
        ),
    ),
    (
        r'^(encoders|decoders)\.(\d)\.',
        lambda m: f'stage{_number(m[2])}_{_STAGE[m[1]]}.',
    ),
    (r'(?<=_encoder\.)downs\.0\.', 'down12.down.1.'),
    (r'(?<=_encoder\.)downs\.1\.', 'down23.down.1.'),
    (
        r'(?<=_encoder\.)from_(en|de)coder\.(\d)\.',
        lambda m: f'csff_{m[1]}c{_number(m[2])}.',
    ),
    (r'(?<=_decoder\.)skips\.(\d)\.', lambda m: f'skip_attn{_number(m[1])}.'),
    (r'(?<=_decoder\.)ups\.0\.conv\.', 'up21.up.1.'),
    (r'(?<=_decoder\.)ups\.1\.conv\.', 'up32.up.1.'),
    (r'^last\.chains\.(\d)\.', lambda m: f'stage3_orsnet.orb{_number(m[1])}.body.'),
    # The last of its 1 × 1 convolutions is one; those before enlarge.
    (
        r'^last\.from_(en|de)coder\.(\d)\.(?:\2)\.',
        lambda m: f'stage3_orsnet.conv_{m[1]}c{_number(m[2])}.',
    ),
    (r'^last\.from_(en|de)coder\.1\.0\.conv\.', r'stage3_orsnet.up_\1c1.up.1.'),
    (r'^last\.from_(en|de)coder\.2\.(\d)\.conv\.', r'stage3_orsnet.up_\1c2.\2.up.1.'),
    (r'^supervisions\.0\.', 'sam12.'),
    (r'^supervisions\.1\.', 'sam23.'),
    (r'(?<=^sam\d\d\.)features\.', 'conv1.'),
    (r'(?<=^sam\d\d\.)image\.', 'conv2.'),
    (r'(?<=^sam\d\d\.)mask\.', 'conv3.'),
    (r'^merges\.0\.', 'concat12.'),
    (r'^merges\.1\.', 'concat23.'),
    # Within a block; of sam12 and sam23, the same names are none of these.
    (r'(?<!^sam12\.)(?<!^sam23\.)\bconv1\.', 'body.0.'),
    (r'(?<!^sam12\.)(?<!^sam23\.)\bconv2\.', 'body.2.'),
    (r'\bprelu\.', 'body.1.'),
    (r'\bsqueeze\.', 'CA.conv_du.0.'),
    (r'\bexcite\.', 'CA.conv_du.2.'),
)

_REBLURRING = (
    (r'^shares\.', 'kernel_map_gene.'),
    (r'^profiles\.', 'kpn.'),
    (r'\.first\.', '.conv_first.'),
    (r'\.blocks\.(\d)\.', lambda m: f'.block{_number(m[1])}.'),
    (r'\.last\.', '.out.'),
)

_CONVIR = (
    (r'^encoders\.(\d)\.(\d+)\.', r'Encoder.\1.layers.\2.'),
    (r'^decoders\.(\d)\.(\d+)\.', lambda m: f'Decoder.{2 - int(m[1])}.layers.{m[2]}.'),
    (r'(?<=\d\.)conv1\.', 'main.0.main.0.'),
    (r'(?<=\d\.)conv2\.', 'main.2.main.0.'),
    (r'\bmodule\.convs\.', 'main.1.convs.'),
    (r'\bmodule\.merge\.', 'main.1.conv_sum.'),
    (r'\bmodule\.filters\.', 'main.1.dynas.'),
    (r'(?<=\d\.)(gamma|beta)$', r'strip_att.\1'),
    (r'\bsquare\.', 'square_att.'),
    (r'\bhorizontal\.', 'strip_att.H_spatial_att.'),
    (r'\bvertical\.', 'strip_att.W_spatial_att.'),
    (r'\bpredictor\.', 'conv.'),
    (r'\bnorm\.', 'bn.'),
    (r'\blow$', 'lamb_l'),
    (r'\bhigh$', 'lamb_h'),
    (r'\balpha$', 'inside_all'),
    (r'^ins\.(\d)\.0\.', r'feat_extract.\1.main.0.'),
    (r'^ups\.(\d)\.0\.', lambda m: f'feat_extract.{4 - int(m[1])}.main.0.'),
    (r'^outs\.0\.', 'feat_extract.5.main.0.'),
    (r'^outs\.(\d)\.', lambda m: f'ConvsOut.{2 - int(m[1])}.main.0.'),
    (r'^merges\.(\d)\.0\.', lambda m: f'Convs.{1 - int(m[1])}.main.0.'),
    (r'^fusions\.(\d)\.', lambda m: f'FAM{2 - int(m[1])}.merge.main.0.'),
    (
        r'^shallow\.(\d)\.([012])\.0\.',
        lambda m: f'SCM{2 - int(m[1])}.main.{m[2]}.main.0.',
    ),
    (r'^shallow\.(\d)\.3\.', lambda m: f'SCM{2 - int(m[1])}.main.3.main.0.'),
    (r'^shallow\.(\d)\.4\.', lambda m: f'SCM{2 - int(m[1])}.main.4.'),
)

# Whole Keras models: their layers are numbered in order of construction.
_MDP_LAYERS = {
    'encoder': ('0.0', '0.2', '1.0', '1.2', '2.0', '2.2', '3.0'),
    'early': ('bottleneck.0', 'up4.conv', 'dec4.0', 'up3.conv', 'dec3.0', 'dec3.2')
    + ('up2.conv',),
    'late': ('dec2.0', 'dec2.2', 'up1.conv', 'dec1.0', 'dec1.2', 'dec1.4', 'out'),
}


def _mdp_name(match: Match) -> str:
    part, decoder, layer, kind = match.groups()
    number = _MDP_LAYERS[part].index(layer)
    if part != 'encoder':
        number += 7 * ('left', 'right', 'sharp').index(decoder)
        number += 7 if part == 'early' else 28
    name = f'conv2d_{number}' if number else 'conv2d'
    return f'{name}/{name}/{"kernel" if kind == "weight" else "bias"}:0'


_MDP = ((r'^(encoder|early|late)\.(?:(left|right|sharp)\.)?(.+)\.(\w+)$', _mdp_name),)
_MDP_OUTS = [f'late.{part}.out' for part in ('left', 'right', 'sharp')]

_IFAN_PARTS = {
    'disparity_estimator': 'DME',
    'disparity_encoder': 'conv_DME',
    'fusion': 'conv4_4',
    'predictor': 'F',
    'bottom': 'conv_res',
    'out': 'out_res',
}
_IFAN = (
    (
        r'^(filter_)?encoder\.levels\.(\d)\.(\d)\.',
        lambda m: f'{"k" * bool(m[1])}conv{_number(m[2])}_{_number(m[3])}.',
    ),
    (r'^ups\.(\d)\.up\.', lambda m: f'upconv{3 - int(m[1])}_u.'),
    (
        r'^ups\.(\d)\.blocks\.(\d)\.',
        lambda m: f'upconv{3 - int(m[1])}_{_number(m[2])}.',
    ),
    (rf'^({"|".join(_IFAN_PARTS)})\.', lambda m: f'{_IFAN_PARTS[m[1]]}.'),
    (r'\bunits\.', 'stem.'),
)

_GKMNET_BLOCKS = {
    'first': 'in_block',
    'down1': 'conv_block1_1',
    'down2': 'conv_block2_1',
    'bottleneck': 'bottle_neck_1',
    'up1': 'conv_block3_1',
    'up2': 'conv_block4_1',
}
# What a gate pools over, and the axes that are left.
_GATES = {'channels': 'hw', 'height': 'cw', 'width': 'hc'}
_GKMNET = (
    (r'^weights\.conv\.', 'APU.conv.conv.0.'),
    (r'^weights\.norm\.', 'APU.conv.conv.1.'),
    (r'^weights\.gates\.', 'APU.conv_atten.conv.'),
    (r'^fuse\.', 'SumLayer.conv.'),
    (r'^features\.(\w+)\.', lambda m: f'{_GKMNET_BLOCKS[m[1]]}.'),
    (r'\bsteps\.0\.', 'res_block.conv.'),
    (r'\bsteps\.1\.', 'res_block.conv1.'),
    (r'\bhead\.', 'conv.'),
    (r'\battention\.(\w+)\.conv\.', lambda m: f'ta.{_GATES[m[1]]}.conv.conv.'),
    (r'\battention\.(\w+)\.norm\.', lambda m: f'ta.{_GATES[m[1]]}.conv.bn.'),
)

_KERAS_KINDS = {'weight': 'kernel:0', 'bias': 'bias:0'}


def _dpdnet_name(match: Match) -> str:
    name = f'conv2d_{DPDNET.index(match[1]) + 1}'
    return f'{name}/{name}/{_KERAS_KINDS[match[2]]}'


_NORM_KINDS = {
    'bias': 'beta:0',
    'running_mean': 'moving_mean:0',
    'running_var': 'moving_variance:0',
}


def _aifnet_name(match: Match) -> str:
    layer, kind = match.groups()
    if kind == 'num_batches_tracked':
        return ''
    scope = AIFNET[layer]
    norm = scope.rsplit('/', 1)[1].startswith('b')
    return f'{scope}/{(_NORM_KINDS if norm else _KERAS_KINDS)[kind]}'


def _kpac(num_levels: int) -> ReleasedForm:
    tensors = kpac_tensors(num_levels)
    names = {
        name: f'params/{i}/{_KERAS_KINDS[name.rsplit(".", 1)[1]]}'
        for i, name in enumerate(tensors)
    }
    return ReleasedForm(
        'KPAC',
        'kpac_dpdd' if num_levels == 3 else f'kpac_{num_levels}level_dpdd',
        names[tensors[-1]],
        ((r'^.+$', lambda m: names[m[0]]),),
        without=f'params/{len(tensors)}/kernel:0',
    )


_LAYER = r'^(.+)\.(\w+)$'

FORMS = {
    'MDP': ReleasedForm(
        'MDP',
        'mdp_dpdd',
        'conv2d_48/conv2d_48/kernel:0',
        _MDP,
        {
            'encoder.0.0.weight': (1,),
            **{f'{out}.weight': (0,) for out in _MDP_OUTS},
            **{f'{out}.bias': (0,) for out in _MDP_OUTS},
        },
    ),
    'DRBNet': ReleasedForm(
        'DRBNet', 'drbnet_dpdd', 'upconv1_kernel.0.0.weight', _DRBNET
    ),
    'MPRNet': ReleasedForm(
        'MPRNet', 'mprnet_dpdd', 'stage3_orsnet.conv_enc1.weight', _MPRNET
    ),
    'NRKNet': ReleasedForm(
        'NRKNet',
        'nrknet_dpdd',
        'GCM.kernels',
        _NRKNET,
        {
            'unet.downs.0.weight': (1,),
            'blur.logits': (1,),
            'blur.mixing': (0, 2),
            'blur.bias': (0,),
        },
    ),
    # The published one is of two views.
    'DPDNet': ReleasedForm(
        'DPDNet',
        'dpdnet_views_dpdd',
        'conv2d_24/conv2d_24/kernel:0',
        ((_LAYER, _dpdnet_name),),
        {'encoder.0.0.weight': (1,), 'out.weight': (0,), 'out.bias': (0,)},
        without='conv2d_25/conv2d_25/kernel:0',
    ),
    'AIFNet': ReleasedForm(
        'AIFNet',
        'aifnet_dpdd',
        'deblur_net/MDP_ds_0_n_out/kernel:0',
        ((_LAYER, _aifnet_name),),
    ),
    'IFAN': ReleasedForm('IFAN', 'ifan_dpdd', 'F.3.weight', _IFAN),
    'KPAC (2 levels)': _kpac(2),
    'KPAC (3 levels)': _kpac(3),
    'GKMNet': ReleasedForm('GKMNet', 'gkmnet_dpdd', 'SumLayer.conv.weight', _GKMNET),
    # Told by where the last block of a stage is.
    **{
        f'ConvIR-{size}': ReleasedForm(
            'ConvIR',
            f'convir_{size.lower()}_dpdd',
            f'Encoder.0.layers.{blocks - 1}.main.1.conv_sum.weight',
            _CONVIR,
        )
        for size, blocks in SIZES.items()
    },
}
# Beside JDRL's networks; it is no restoring network of its own.
REBLURRING = ReleasedForm(
    'ReblurNet', 'mprnet_jdrl_dpdd', 'kpn.conv_first.weight', _REBLURRING
)
