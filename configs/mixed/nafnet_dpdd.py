# MMagic's NAFNet, sized as its own for GoPro, with INIKNet's loss and data: one output,
# to which the losses of the finest scale apply.
_base_ = '../iniknet_dpdd.py'

model = dict(
    generator=dict(
        _delete_=True,
        type='NAFNet',
        mid_channels=64,
        enc_blk_nums=[1, 1, 1, 28],
        middle_blk_num=1,
        dec_blk_nums=[1, 1, 1, 1],
    )
)
