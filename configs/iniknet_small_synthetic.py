# An INIKNet for laptops, trained on sharp photos alone:
# `tools/train.py configs/iniknet_small_synthetic.py --cfg-options data_root=PATH`.
# All atoms and kernel sizes of the paper, which cost little, on half of its channels.
_base_ = 'iniknet_synthetic.py'
channels = 16

model = dict(
    generator=dict(
        backbone=dict(base_channels=channels, num_res_blocks=1),
        neck=dict(channels=channels, num_res_blocks=1),
        head=dict(in_channels=channels),
    ),
    # LPIPS would need AlexNet's weights, and as much time again.
    loss=dict(
        losses=dict(
            lpips=None,
            psnr=dict(_delete_=True, type='PSNRLoss', loss_weight=0.05),
        )
    ),
)

# The scenes that the shipped weights were trained on: sharp, bright, blurred less.
scenes = dict(
    max_radius=10, scale=None, softness=0, exposure=None, soft_in_focus=0
)
_base_.train_dataloader.dataset.pipeline[1].update(scenes, crop_size=128)
_base_.val_dataloader.dataset.pipeline[1].update(scenes)
train_dataloader = dict(num_workers=1, dataset=_base_.train_dataloader.dataset)
val_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=_base_.val_dataloader.dataset
)
test_dataloader = val_dataloader

train_cfg = dict(val_interval=1000)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
default_hooks = dict(checkpoint=dict(interval=250), logger=dict(interval=50))
_base_.custom_hooks[-1].momentum = 2e-3
custom_hooks = _base_.custom_hooks
