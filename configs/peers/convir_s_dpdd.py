# ConvIR-S (TPAMI 2024) on DPDD. The recipe for defocus is not published: these are loss,
# optimizer, patches, batch and epochs of its release for motion blur, of 87 batches.
_base_ = [
    '../_base_/models/peer.py',
    '../_base_/datasets/dpdd.py',
    '../_base_/schedule_400k.py',
    '../_base_/runtime.py',
]

_epoch = 350 // 4
_warm_up = 3 * _epoch
max_iters = 3000 * _epoch

model = dict(
    generator=dict(type='ConvIR', size='S'),
    loss=dict(
        type='MultiScaleLoss',
        losses=dict(
            l1=dict(type='L1Loss'),
            # Its mean is over real and imaginary parts, ours a sum of both means.
            fd=dict(type='FrequencyLoss', loss_weight=0.05),
        ),
    ),
)
_base_.train_pipeline[2:5] = [
    dict(type='Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='horizontal')
]
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(optimizer=dict(lr=1e-4), clip_grad=dict(max_norm=0.001))
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=1 / 3, end=_warm_up),
    dict(
        type='CosineAnnealingLR',
        by_epoch=False,
        begin=_warm_up,
        end=max_iters,
        eta_min=1e-6,
    ),
]
