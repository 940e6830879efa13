# JDRL (2022): MPRNet, trained already (`--cfg-options start=PATH`), goes on with the
# network that blurs its results again. As its authors advise for networks other than
# their U-Net: that network alone at first, then both at a tenth of the rate. How long
# either lasts, and which of MPRNet's outputs were compared, is not published. RAFT's
# weights are torchvision's raft_large_C_T_SKHT_V2-ff5fadd5.pth.
_base_ = 'mprnet_dpdd.py'
start = 'work_dirs/mprnet_dpdd/iter_393000.pth'
flow_weights = 'weights/raft_large_C_T_SKHT_V2-ff5fadd5.pth'
# One crop of each of DPDD's 350 photos.
_epoch = 350

model = dict(
    type='JDRLRestorer',
    generator=dict(
        init_cfg=dict(type='Pretrained', checkpoint=start, prefix='generator')
    ),
    flow=dict(type='RAFTFlow', weights=flow_weights),
    reblurring=dict(type='ReblurNet'),
    reblurring_first=10 * _epoch,
    reblur_weight=0.5,
    loss=dict(_delete_=True, type='CharbonnierLoss', eps=1e-6),
)
train_dataloader = dict(batch_size=1)
train_cfg = dict(max_iters=100 * _epoch, val_interval=5 * _epoch)
default_hooks = dict(checkpoint=dict(interval=5 * _epoch))
optim_wrapper = dict(optimizer=dict(lr=2e-5))
param_scheduler = dict(
    _delete_=True, type='StepLR', by_epoch=False, step_size=60 * _epoch, gamma=0.5
)
