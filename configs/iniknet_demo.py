# A small INIKNet on photos that come with scikit-image and scikit-learn; trains in
# minutes on two CPU cores. `make demo` makes the data and runs it.
_base_ = [
    '_base_/models/iniknet_tiny.py',
    '_base_/datasets/dpdd.py',
    '_base_/schedule_tiny.py',
    '_base_/runtime.py',
]
data_root = 'data/demo'
# `make demo` says at its end what came out of it.
screen = 'progress'

_base_.train_pipeline[0].use_cache = True
_base_.train_pipeline[1].gt_patch_size = 64
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root=data_root, pipeline=_base_.train_pipeline),
)
val_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root)
)
test_dataloader = val_dataloader
test_evaluator = _base_.val_evaluator

default_hooks = dict(
    checkpoint=dict(interval=200, max_keep_ckpts=2), logger=dict(interval=50)
)
