# DPDD (Abuolaim and Brown, ECCV 2020), original or repacked, or plain `input` and
# `target` folders. `--cfg-options data_root=PATH` points all three loaders elsewhere.
_base_ = 'pairs.py'
data_root = 'data/DPDD'
preset = 'dpdd'

_data = dict(data_root=data_root, preset=preset)
train_dataloader = dict(dataset=_data)
val_dataloader = dict(dataset=_data)
test_dataloader = dict(dataset=_data)
