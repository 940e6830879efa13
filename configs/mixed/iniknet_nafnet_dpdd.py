# INIKNet's necks and head on the features of a NAFNet, sized as MMagic's for GoPro.
_base_ = '../iniknet_dpdd.py'

model = dict(
    generator=dict(
        backbone=dict(
            _delete_=True,
            type='TappedBackbone',
            network=dict(
                type='NAFNet',
                mid_channels=64,
                enc_blk_nums=[1, 1, 1, 28],
                middle_blk_num=1,
                dec_blk_nums=[1, 1, 1, 1],
            ),
            layer='decoders.3',
            size_divisor=16,
            channels=_base_.channels,
        )
    )
)
