# The paper's equations to the letter: Eq. 9 as a plain sum with a delta atom, random
# frequencies, the feature as cell state.
_base_ = 'iniknet_dpdd.py'

model = dict(
    generator=dict(
        neck=dict(cell_state='feature'),
        head=dict(
            fusion='sum',
            residual=False,
            atom_bank=dict(
                frequencies='uniform', frequency_range=(2, 16), center='delta'
            ),
        ),
    )
)
