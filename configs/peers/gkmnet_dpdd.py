# GKMNet (NeurIPS 2021), the first release's recipe: 4000 epochs of 87 batches. Flips and
# rotations are of the same eight kinds, with equal shares here. The release chooses its
# checkpoint on the test photos, this on the validation photos.
# `model.generator.bank=updated` is what the paper's formula means, of the later release,
# which trains 3000 epochs.
_base_ = [
    '../_base_/models/peer.py',
    '../_base_/datasets/dpdd.py',
    '../_base_/schedule_400k.py',
    '../_base_/runtime.py',
]

epoch_iters = 350 // 4

model = dict(
    generator=dict(type='GKMNet'),
    loss=dict(
        type='AlternatingLoss',
        start=1000,
        period=200,
        second_half=False,
        epoch_iters=epoch_iters,
        first=dict(
            type='MultiScaleLoss', antialias=True, losses=dict(mse=dict(type='MSELoss'))
        ),
        second=dict(
            type='MultiScaleLoss',
            antialias=True,
            losses=dict(ssim=dict(type='SSIMLoss')),
        ),
    ),
)
train_cfg = dict(max_iters=4000 * epoch_iters)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
param_scheduler = dict(
    _delete_=True,
    type='MultiStepLR',
    by_epoch=False,
    milestones=[3000 * epoch_iters],
    gamma=0.1,
)
