# CUHK (Shi et al., CVPR 2014): defocused photos without ground truth; nothing to train
# on, and scored without reference.
_base_ = 'pairs.py'
data_root = 'data/CUHK'
preset = 'cuhk'

_data = dict(data_root=data_root, preset=preset)
train_dataloader = None
val_dataloader = dict(dataset=_data)
test_dataloader = dict(dataset=_data)

val_evaluator = [dict(type='ImageQuality', scores=['NIQE'])]
test_evaluator = val_evaluator
