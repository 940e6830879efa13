# DRBNet (CVPR 2022) on DPDD alone. No training code was published, and of the paper's
# recipe patch, batch, iterations, rates and weights are not known here: this recipe is
# our own. The paper trains on LFDOF first (`data_root` and `preset` of
# ../_base_/datasets/lfdof.py) and fine-tunes on DPDD with a perceptual loss, such as
# LPIPSLoss beside L1Loss, with a weight that is not known either.
_base_ = [
    '../_base_/models/peer.py',
    '../_base_/datasets/dpdd.py',
    '../_base_/schedule_400k.py',
    '../_base_/runtime.py',
]

model = dict(
    generator=dict(type='DRBNet'),
    loss=dict(
        type='MultiScaleLoss',
        losses=dict(l1=dict(type='L1Loss')),
    ),
)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
