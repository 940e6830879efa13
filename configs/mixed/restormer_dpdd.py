# MMagic's Restormer, sized as published, with INIKNet's loss and data: one output, to
# which the losses of the finest scale apply.
_base_ = '../iniknet_dpdd.py'

model = dict(generator=dict(_delete_=True, type='Restormer'))
