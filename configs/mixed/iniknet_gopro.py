# The recipe of iniknet_dpdd.py on GoPro, through MMagic's own data sets and transforms.
# They load training photos as BGR and test photos as RGB; the model's data_preprocessor
# turns either into RGB.
_base_ = [
    '../_base_/models/iniknet.py',
    '../_base_/datasets/gopro.py',
    '../_base_/schedule_400k.py',
    '../_base_/runtime.py',
]
# Validation takes 1111 photos, fifteen times those of DPDD.
train_cfg = dict(val_interval=20_000)
