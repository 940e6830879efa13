# The network of iniknet_dpdd.py, trained on DPDD and tested on all sets in one run, each
# with its own scores: `DPDD/PSNR`, `CUHK/NIQE`. `--cfg-options data_root=PATH
# lfdof_root=PATH ...` name the folders; the environment variable SETS leaves sets out:
# `SETS=DPDD,RealDOF python tools/test.py configs/iniknet_all_sets.py CHECKPOINT`.
_base_ = 'iniknet_dpdd.py'

data_root = 'data/DPDD'
lfdof_root = 'data/LFDOF'
realdof_root = 'data/RealDOF'
rtf_root = 'data/RTF'
cuhk_root = 'data/CUHK'

known = dict(
    DPDD=dict(preset='dpdd', data_root=data_root),
    LFDOF=dict(preset='lfdof', data_root=lfdof_root),
    RealDOF=dict(preset='realdof', data_root=realdof_root),
    RTF=dict(preset='rtf', data_root=rtf_root),
    CUHK=dict(preset='cuhk', data_root=cuhk_root),
)
sets = '{{$SETS:DPDD,LFDOF,RealDOF,RTF,CUHK}}'.replace(' ', '').split(',')
if not set(sets) <= set(known):
    # An import statement would make this another kind of config.
    raise __import__('mmagic_inik').errors.InputError(
        f'SETS is {",".join(sets)}; choose of {",".join(known)}'
    )

# The best checkpoint is chosen on DPDD's own validation photos.
val_sets = [name for name in sets if name in ('DPDD', 'RealDOF')]
val_dataloader = [
    dict(_base_.val_dataloader, dataset=dict(_base_.val_dataloader.dataset, **known[n]))
    for n in val_sets
]
val_evaluator = [[dict(_base_.val_evaluator[0], prefix=name)] for name in val_sets]
default_hooks = dict(checkpoint=dict(save_best='DPDD/PSNR'))

test_dataloader = [
    dict(
        _base_.test_dataloader, dataset=dict(_base_.test_dataloader.dataset, **known[n])
    )
    for n in sets
]
without_targets = dict(type='ImageQuality', scores=['NIQE'])
test_evaluator = [
    [dict(without_targets if n == 'CUHK' else _base_.test_evaluator[0], prefix=n)]
    for n in sets
]
