# A small INIKNet on photos that come with scikit-image and scikit-learn; trains in
# minutes on two CPU cores. `make demo` makes the data and runs it.
# Chosen by trial: L1 in place of the squared error, or a blur that leaves half of a
# photo sharp, lets the atoms die out in the first hundred steps with some seeds.
_base_ = [
    '_base_/models/iniknet.py',
    '_base_/datasets/dpdd.py',
    '_base_/schedule_400k.py',
    '_base_/runtime.py',
]
data_root = 'data/demo'
channels = 8
max_iters = 600

model = dict(
    generator=dict(
        num_scales=2,
        backbone=dict(base_channels=channels, num_res_blocks=1),
        neck=dict(channels=channels, num_res_blocks=1),
        head=dict(
            in_channels=channels,
            # Covers discs up to 2 px and the inverse's tails.
            atom_bank=dict(num_atoms=4, kernel_sizes=(1, 3, 5, 7, 9)),
        ),
    ),
    # LPIPS would need AlexNet's weights, which no package brings.
    loss=dict(losses=dict(lpips=None)),
)

_base_.train_pipeline[0].use_cache = True
_base_.train_pipeline[1].gt_patch_size = 64
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root=data_root, pipeline=_base_.train_pipeline),
)
val_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root)
)
test_dataloader = val_dataloader
test_evaluator = _base_.val_evaluator

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
default_hooks = dict(
    checkpoint=dict(interval=200, max_keep_ckpts=2), logger=dict(interval=50)
)
