# RTF (D'Andrès et al., TIP 2016): 22 pairs, not divided; meant for testing.
_base_ = 'pairs.py'
data_root = 'data/RTF'
preset = 'rtf'

_data = dict(data_root=data_root, preset=preset)
train_dataloader = dict(dataset=_data)
val_dataloader = dict(dataset=_data)
test_dataloader = dict(dataset=_data)
