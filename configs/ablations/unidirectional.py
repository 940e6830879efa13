# Table 3, "Unidirectional": both necks run from coarse to fine, and each scale sees the
# image restored at the scale before.
_base_ = '../iniknet_dpdd.py'

model = dict(
    generator=dict(
        type='UnidirectionalINIKNet',
        backbone=dict(in_channels=6),
        neck=dict(type='UnidirectionalConvLSTM'),
    )
)
