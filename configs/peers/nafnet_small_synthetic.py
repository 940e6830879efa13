# MMagic's NAFNet of about the size of iniknet_small_synthetic.py, trained like it: one
# output, to which the losses of the finest scale apply.
_base_ = '../iniknet_small_synthetic.py'

model = dict(
    generator=dict(
        _delete_=True,
        type='NAFNet',
        mid_channels=8,
        enc_blk_nums=[1, 1, 1, 2],
        middle_blk_num=1,
        dec_blk_nums=[1, 1, 1, 1],
    )
)
