# INIKNet's necks and head on the features of a Restormer, sized as published.
_base_ = '../iniknet_dpdd.py'

model = dict(
    generator=dict(
        backbone=dict(
            _delete_=True,
            type='TappedBackbone',
            network=dict(type='Restormer'),
            layer='refinement',
            size_divisor=8,
            channels=_base_.channels,
        )
    )
)
