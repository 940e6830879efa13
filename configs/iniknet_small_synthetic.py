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
    loss=dict(losses=dict(lpips=None)),
)

_base_.train_dataloader.dataset.pipeline[1].update(crop_size=128)
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
