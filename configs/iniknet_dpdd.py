# The paper's recipe (section 4.1) with the released numerics; released weights load.
_base_ = [
    '_base_/models/iniknet.py',
    '_base_/datasets/dpdd.py',
    '_base_/schedule_400k.py',
    '_base_/runtime.py',
]
