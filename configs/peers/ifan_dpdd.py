# IFAN (CVPR 2021) on DPDD: everything of the release but the losses of training alone,
# with which ifan_views_dpdd.py trains, or ifan_reblurring_dpdd.py where there are no
# dual-pixel views. `model.generator.form=corrected` is what the authors recommend for
# training anew.
_base_ = [
    '../_base_/models/peer.py',
    '../_base_/datasets/dpdd.py',
    '../_base_/schedule_400k.py',
    '../_base_/runtime.py',
]

_inputs = ['img', 'left', 'right']
_all = [*_inputs, 'gt']
# No flips or rotations.
train_pipeline = [
    dict(type='LoadDefocusPair'),
    dict(type='SharedNoise', keys=_inputs, ratio=0.05, sigma=(0.001, 0.005**0.5)),
    dict(type='SharedGrey', keys=_all, ratio=0.3),
    dict(type='SharedShrink', keys=_all, ratio=0.5, least=0.7),
    dict(type='FixedCrop', keys=['img', 'gt'], crop_size=(256, 256)),
    dict(type='PackInputs'),
]

model = dict(
    generator=dict(type='IFAN'),
    loss=dict(type='MultiScaleLoss', losses=dict(mse=dict(type='MSELoss'))),
)
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
train_cfg = dict(max_iters=600_000)
optim_wrapper = dict(
    optimizer=dict(
        _delete_=True,
        type='RAdam',
        lr=1e-4,
        weight_decay=0.01,
        decoupled_weight_decay=True,
    ),
    clip_grad=dict(max_norm=0.5),
)
param_scheduler = dict(
    _delete_=True,
    type='MultiStepLR',
    by_epoch=False,
    milestones=[500_000, 550_000],
    gamma=0.5,
)
