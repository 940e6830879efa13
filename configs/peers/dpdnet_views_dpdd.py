# DPDNet (ECCV 2020) from left and right dual-pixel view, as published: of DPDD's files
# with both. The released weights are of this one.
_base_ = 'dpdnet_dpdd.py'

train_pipeline = [
    dict(type='LoadDefocusPair'),
    dict(type='FixedCrop', keys=['img', 'gt', 'left', 'right'], crop_size=(512, 512)),
    dict(type='StackViews'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadDefocusPair'),
    dict(type='StackViews'),
    dict(type='PackInputs'),
]

model = dict(generator=dict(in_channels=6))
train_dataloader = dict(dataset=dict(views=True, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(views=True, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(views=True, pipeline=test_pipeline))
