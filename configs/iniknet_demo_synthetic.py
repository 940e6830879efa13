# The demo's network, trained on sharp photos alone:
# `tools/train.py configs/iniknet_demo_synthetic.py --cfg-options data_root=PATH`.
_base_ = [
    '_base_/models/iniknet_tiny.py',
    '_base_/datasets/synthetic.py',
    '_base_/schedule_tiny.py',
    '_base_/runtime.py',
]
max_iters = 1500

# What kernels of up to 9 pixels can undo.
tiny = dict(crop_size=96, max_radius=4)
_base_.train_dataloader.dataset.pipeline[1].update(tiny)
_base_.val_dataloader.dataset.pipeline[1].update(tiny)
train_dataloader = dict(
    batch_size=8, num_workers=1, dataset=_base_.train_dataloader.dataset
)
val_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=_base_.val_dataloader.dataset
)
test_dataloader = val_dataloader
test_evaluator = _base_.val_evaluator

_base_.param_scheduler[0].end = max_iters // 10
_base_.param_scheduler[1].update(begin=max_iters // 10, end=max_iters)
param_scheduler = _base_.param_scheduler
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(
    checkpoint=dict(interval=200, max_keep_ckpts=2), logger=dict(interval=50)
)
