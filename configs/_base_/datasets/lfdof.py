# LFDOF (Ruan et al., AIFNet, 2021): many inputs to one target; validated on the test
# photos, for there are no others.
_base_ = 'pairs.py'
data_root = 'data/LFDOF'
preset = 'lfdof'

_data = dict(data_root=data_root, preset=preset)
train_dataloader = dict(dataset=_data)
val_dataloader = dict(dataset=_data)
test_dataloader = dict(dataset=_data)
