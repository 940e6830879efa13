# KPAC (ICCV 2021), three levels, on DPDD. No training script was published. Known are
# data, Adam with 1e-4 and batches of eight, and that there is a perceptual loss (VGG-19's
# conv4_4) beside one of pixels; its weight, the pixels' loss, patches, iterations,
# schedule and augmentation are not, and are our own here, without the perceptual loss.
_base_ = [
    '../_base_/models/peer.py',
    '../_base_/datasets/dpdd.py',
    '../_base_/schedule_400k.py',
    '../_base_/runtime.py',
]

model = dict(
    generator=dict(type='KPAC'),
    loss=dict(type='MultiScaleLoss', losses=dict(l1=dict(type='L1Loss'))),
)
train_dataloader = dict(batch_size=8)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
