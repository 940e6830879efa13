# MDP (WACV 2022), phase 2: everything, on DPDD's photos and views. It starts from
# phase 1 (`--cfg-options load_from=PATH`, see mdp_views_dpdd.py). A step is eight crops of
# one photo, an epoch one step of each of the 350.
_base_ = [
    '../_base_/models/peer.py',
    '../_base_/datasets/dpdd.py',
    '../_base_/schedule_400k.py',
    '../_base_/runtime.py',
]

_epoch = 350
_keys = ['img', 'gt', 'left', 'right']
train_pipeline = [
    dict(type='LoadDefocusPair'),
    dict(type='FixedCrop', keys=_keys, crop_size=(512, 512)),
    dict(type='PackInputs', data_keys=['left', 'right']),
]

model = dict(
    type='DualPixelRestorer',
    generator=dict(type='MDP'),
    loss_weights=dict(sharp=1.0, views=0.2, mean=0.2, disparity=0.2),
)
train_dataloader = dict(
    batch_size=8,
    sampler=dict(_delete_=True, type='RepeatingSampler', times=8),
    dataset=dict(views=True, pipeline=train_pipeline),
)
train_cfg = dict(max_iters=80 * _epoch, val_interval=5 * _epoch)
default_hooks = dict(checkpoint=dict(interval=5 * _epoch))
# Adam as Keras has it.
optim_wrapper = dict(optimizer=dict(lr=6e-4, eps=1e-7))
param_scheduler = dict(step_size=8 * _epoch, gamma=0.5)
