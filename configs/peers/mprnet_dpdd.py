# MPRNet (CVPR 2021) on DPDD. How the tables' defocus version was trained is not
# published: these are loss, optimizer, patches, batch and iterations of its release for
# motion blur (3000 epochs of 2103 pairs), without its changes of saturation.
_base_ = [
    '../_base_/models/peer.py',
    '../_base_/datasets/dpdd.py',
    '../_base_/schedule_400k.py',
    '../_base_/runtime.py',
]

_epoch = 2103 // 16
_warm_up = 3 * _epoch
max_iters = 3000 * _epoch

model = dict(
    generator=dict(type='MPRNet'),
    loss=dict(
        type='MultiScaleLoss',
        losses=dict(
            # ε = 1e-3.
            charbonnier=dict(type='CharbonnierLoss', eps=1e-6),
            edge=dict(type='EdgeLoss', loss_weight=0.05),
        ),
    ),
)
train_dataloader = dict(batch_size=16)
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(optimizer=dict(lr=2e-4))
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
