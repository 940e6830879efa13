# INIKNet with the numerics of the released implementation, and the paper's loss.
channels = 32  # C
model = dict(
    type='MultiScaleRestorer',
    generator=dict(
        type='INIKNet',
        num_scales=3,  # P
        backbone=dict(type='UNet', base_channels=channels),
        neck=dict(type='DuplexConvLSTM', channels=channels),
        head=dict(
            type='InverseFilterHead',
            in_channels=channels,
            atom_bank=dict(
                type='INRAtomBank',
                num_atoms=10,  # N
                kernel_sizes=(1, 3, 5, 7, 9, 11, 13, 15),  # M_1 … M_R
            ),
        ),
    ),
    # Section 3.4: λ1 = λ2 = 0.1.
    loss=dict(
        type='MultiScaleLoss',
        losses=dict(
            mse=dict(type='MSELoss'),
            fd=dict(type='FrequencyLoss', loss_weight=0.1),
            lpips=dict(type='LPIPSLoss', loss_weight=0.1),
        ),
    ),
    data_preprocessor=dict(
        type='DataPreprocessor', mean=[0.0], std=[255.0], output_channel_order='RGB'
    ),
)
