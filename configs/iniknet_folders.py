# The recipe of iniknet_dpdd.py on photos of your own.
_base_ = [
    '_base_/models/iniknet.py',
    '_base_/datasets/folders.py',
    '_base_/schedule_400k.py',
    '_base_/runtime.py',
]
