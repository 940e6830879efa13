# Minutes on a CPU. L1 in place of the squared error, or a blur that leaves half of a
# photo sharp, lets the atoms die out in the first hundred steps with some seeds.
_base_ = 'schedule_400k.py'
max_iters = 600

train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(optimizer=dict(lr=3e-3))
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.05, end=max_iters // 10),
    dict(
        type='CosineAnnealingLR',
        by_epoch=False,
        begin=max_iters // 10,
        end=max_iters,
        eta_min=1e-5,
    ),
]
