# What surrounds any network that pads its sides itself.
model = dict(
    type='MultiScaleRestorer',
    size_divisor=1,
    min_size=1,
    data_preprocessor=dict(
        type='DataPreprocessor', mean=[0.0], std=[255.0], output_channel_order='RGB'
    ),
)
