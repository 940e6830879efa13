# A lighter INIKNet with the same method, trained on sharp photos alone; it comes with the
# package as `--network light`: `make train-shipped DATA=PATH`. Kernels differ from pixel
# to pixel, so the U-Net works at full resolution as ever; the ConvLSTMs, which cost most,
# at half of it, and the kernels have five sizes, and two more that reach 33 and 67 pixels
# on reduced images. It begins with iniknet_light_start.py.
_base_ = 'iniknet_synthetic.py'
channels = 16

model = dict(
    generator=dict(
        backbone=dict(base_channels=channels, num_res_blocks=1),
        neck=dict(channels=channels, num_res_blocks=1, reduction=2),
        head=dict(
            in_channels=channels,
            border='reflect',
            coarser=(2, 4),
            atom_bank=dict(kernel_sizes=(1, 3, 5, 9, 15)),
        ),
    ),
    # LPIPS would need AlexNet's weights, and as much time again.
    loss=dict(losses=dict(lpips=None)),
)

# Sharper and brighter than real photos: scenes as theirs teach to sharpen less. Wider blur
# than this is little of a crop.
_base_.train_dataloader.dataset.pipeline[1].update(
    crop_size=128,
    max_radius=12,
    softness=0.3,
    soft_in_focus=0.4,
    exposure=(0.5, 1.0),
)
train_dataloader = dict(num_workers=1, dataset=_base_.train_dataloader.dataset)
val_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=_base_.val_dataloader.dataset
)
test_dataloader = val_dataloader

train_cfg = dict(val_interval=500)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
default_hooks = dict(checkpoint=dict(interval=100), logger=dict(interval=50))
_base_.custom_hooks[-1].momentum = 2e-3
custom_hooks = _base_.custom_hooks + [dict(type='ProgressHook')]
