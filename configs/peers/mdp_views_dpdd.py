# MDP (WACV 2022), phase 1: the views, with the decoder of the sharp image frozen. The
# authors train it on 2,090 photos of their own (DLDP) and all 500 of DPDD, test photos
# included; here it is DPDD's training photos alone, as many epochs of them.
_base_ = 'mdp_dpdd.py'
_epoch = 350

model = dict(
    generator=dict(freeze_sharp=True),
    # The sharp image's target is the blurred one, as released.
    blurred_as_sharp=True,
    loss_weights=dict(views=1.0),
)
train_cfg = dict(max_iters=60 * _epoch)
optim_wrapper = dict(optimizer=dict(lr=3e-4))
