# Your own photos: `input` and `target` with equal names, or whatever `layout` says, for
# instance `--cfg-options layout.input=blurred layout.target=sharp layout.pair_by=order`.
_base_ = 'pairs.py'
data_root = 'data/photos'
preset = 'folders'
# Its keys: mmagic_inik/datasets/layouts.py; empty: the preset's.
layout = dict()
# Where there are no folders `train`, `val` and `test`, the last tenth is not trained on.
val_share = 0.1

_data = dict(data_root=data_root, preset=preset, layout=layout, val_share=val_share)
train_dataloader = dict(dataset=_data)
val_dataloader = dict(dataset=_data)
test_dataloader = dict(dataset=_data)
