# MMagic's Restormer of about the size of iniknet_small_synthetic.py, trained like it: one
# output, to which the losses of the finest scale apply.
_base_ = '../iniknet_small_synthetic.py'

model = dict(
    generator=dict(
        _delete_=True,
        type='Restormer',
        dim=10,
        num_blocks=[1, 1, 1, 1],
        num_refinement_blocks=1,
        heads=[1, 2, 4, 8],
    )
)
