# Table 3, "Non-INR Dict": learnable matrices, resized bilinearly to every kernel size.
_base_ = '../iniknet_dpdd.py'

model = dict(generator=dict(head=dict(atom_bank=dict(type='MatrixAtomBank'))))
