# Pairs made of any folder of sharp photos; `--cfg-options data_root=PATH`. A tenth of
# the photos is kept from training; scenes of another seed are made of it for `val`.
_base_ = 'pairs.py'
data_root = 'data/sharp'
val_share = 0.1

renderer = dict(type='SyntheticDefocus', crop_size=256, max_radius=12, seed=0)
_data = dict(
    _delete_=True,
    type='SharpPhotoDataset',
    split='train',
    val_share=val_share,
    data_root=data_root,
    # More than any schedule here takes: every sample is a new one.
    num_samples=2_000_000,
    pipeline=[dict(type='LoadSharpPhoto'), renderer, dict(type='PackInputs')],
)
_held_out = dict(
    _data,
    split='val',
    num_samples=None,
    pipeline=[
        dict(type='LoadSharpPhoto'),
        dict(renderer, seed=1),
        dict(type='PackInputs'),
    ],
    test_mode=True,
)
# The data set draws the order of the photos, anew in every round through them.
train_dataloader = dict(sampler=dict(shuffle=False), dataset=_data)
val_dataloader = dict(dataset=_held_out)
test_dataloader = dict(dataset=_held_out)
