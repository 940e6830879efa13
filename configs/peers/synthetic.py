# Any peer, trained on sharp photos alone by the schedule, data and losses of INIKNet; for
# a GPU: `PEER=ifan ITERS=100000 tools/train.py configs/peers/synthetic.py --cfg-options
# data_root=PATH`, and PEER again for tools/test.py. Where a release has an error and its
# authors the correction, it is the corrected form that trains.
_base_ = '../iniknet_synthetic.py'

_networks = dict(
    aifnet=dict(type='AIFNet'),
    convir_b=dict(type='ConvIR', size='B'),
    convir_l=dict(type='ConvIR', size='L'),
    convir_s=dict(type='ConvIR', size='S'),
    dpdnet=dict(type='DPDNet'),
    drbnet=dict(type='DRBNet'),
    gkmnet=dict(type='GKMNet', bank='updated'),
    ifan=dict(type='IFAN', form='corrected'),
    kpac=dict(type='KPAC'),
    kpac_2level=dict(type='KPAC', num_levels=2),
    mdp=dict(type='MDP'),
    mprnet=dict(type='MPRNet'),
    nrknet=dict(type='NRKNet'),
)
_name = '{{$PEER:kpac}}'
if _name not in _networks:
    # An import statement would make this another kind of config.
    raise __import__('mmagic_inik').errors.InputError(
        f'PEER is {_name}; give one of {", ".join(_networks)}'
    )

model = dict(
    generator=dict(_delete_=True, **_networks[_name]), size_divisor=1, min_size=1
)
work_dir = f'work_dirs/{_name}_synthetic'
# Parts that train by other than the image.
model_wrapper_cfg = dict(find_unused_parameters=_name in ('aifnet', 'mdp'))
