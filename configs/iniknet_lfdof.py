# The recipe of iniknet_dpdd.py on LFDOF.
_base_ = [
    '_base_/models/iniknet.py',
    '_base_/datasets/lfdof.py',
    '_base_/schedule_400k.py',
    '_base_/runtime.py',
]
