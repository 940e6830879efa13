# DPDNet (ECCV 2020), the variant of one image, as the paper describes it; its code has
# none. Patches, batch, loss, optimizer and schedule are released ones (Keras' Adam),
# 200 epochs of 1400 steps. There patches are cut beforehand, 28 a photo, and the 8 with
# the least energy of their gradients are dropped; here they are cut anywhere. There the
# checkpoint of the least training loss is kept, here that of the best validation.
_base_ = [
    '../_base_/models/peer.py',
    '../_base_/datasets/dpdd.py',
    '../_base_/schedule_400k.py',
    '../_base_/runtime.py',
]

_epoch = 350 * 20 // 5
train_pipeline = [
    dict(type='LoadDefocusPair'),
    dict(type='PairedRandomCrop', gt_patch_size=512),
    dict(type='PackInputs'),
]

model = dict(
    generator=dict(type='DPDNet'),
    loss=dict(type='MultiScaleLoss', losses=dict(mse=dict(type='MSELoss'))),
)
train_dataloader = dict(batch_size=5, dataset=dict(pipeline=train_pipeline))
train_cfg = dict(max_iters=200 * _epoch)
optim_wrapper = dict(optimizer=dict(lr=2e-5, eps=1e-7))
param_scheduler = dict(step_size=60 * _epoch, gamma=0.5)
