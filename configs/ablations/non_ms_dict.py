# Table 3, "Non-MS Dict": an INR per atom and kernel size.
_base_ = '../iniknet_dpdd.py'

model = dict(generator=dict(head=dict(atom_bank=dict(type='PerSizeINRAtomBank'))))
