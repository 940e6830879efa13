# A lighter INIKNet with the same method, trained on sharp photos alone; what comes with
# the package: `make train-shipped DATA=PATH`. U-Net and necks work on features of a
# quarter of the resolution, the weights of atoms and sizes are brought back to the full
# one, and so is the filtering: twice the channels of iniknet_small_synthetic.py at a
# quarter of its cost. It begins with iniknet_light_start.py.
_base_ = 'iniknet_synthetic.py'
channels = 32
reduction = 4

model = dict(
    generator=dict(
        backbone=dict(
            base_channels=channels,
            num_res_blocks=1,
            reduction=reduction,
            energy_bands=4,
            signed_bands=4,
        ),
        neck=dict(channels=channels, num_res_blocks=1),
        head=dict(
            in_channels=channels,
            reduction=reduction,
            border='reflect',
            mixing_start=0.3,
            # What kernels that differ from pixel to pixel are chosen by.
            detail_channels=16,
            detail_blocks=2,
            # Brightness passes by; what differs between input and target is not
            # learned. Without the size 1, whose atom would be nothing: a softmax that
            # has come to choose it alone is a way of leaving photos as they are from
            # which no gradient leads back.
            atom_bank=dict(num_atoms=6, kernel_sizes=(3, 5, 9, 15), zero_sum=True),
        ),
    ),
    # LPIPS would need AlexNet's weights, and as much time again.
    loss=dict(losses=dict(lpips=None)),
)

# Kernels of 15 pixels undo radii to 8 or so: wider blur would teach little.
_base_.train_dataloader.dataset.pipeline[1].update(crop_size=128, max_radius=10)
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
