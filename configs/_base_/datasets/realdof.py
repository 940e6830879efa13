# RealDOF (Lee et al., CVPR 2021): 50 pairs, not divided; meant for testing.
_base_ = 'pairs.py'
data_root = 'data/RealDOF'
preset = 'realdof'

_data = dict(data_root=data_root, preset=preset)
train_dataloader = dict(dataset=_data)
val_dataloader = dict(dataset=_data)
test_dataloader = dict(dataset=_data)
