# AIFNet (TCI 2021) on DPDD alone. Its training code was never published: losses, patches,
# batch, rates and epochs are not known, and this recipe is our own. The paper trains on
# LFDOF (`data_root` and `preset` of ../_base_/datasets/lfdof.py), and supervises the
# defocus map, which DPDD has none of; its encoder starts from VGG-19's weights.
_base_ = [
    '../_base_/models/peer.py',
    '../_base_/datasets/dpdd.py',
    '../_base_/schedule_400k.py',
    '../_base_/runtime.py',
]

model = dict(
    generator=dict(type='AIFNet'),
    loss=dict(type='MultiScaleLoss', losses=dict(mse=dict(type='MSELoss'))),
)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
# Heads of the defocus map, which nothing supervises here.
model_wrapper_cfg = dict(find_unused_parameters=True)
