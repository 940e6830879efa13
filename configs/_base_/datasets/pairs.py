# Pipelines, loaders and scores of every data set of pairs; what inherits from it names
# the data.
train_pipeline = [
    dict(type='LoadDefocusPair'),
    dict(type='PairedRandomCrop', gt_patch_size=256),
    dict(type='Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='horizontal'),
    dict(type='Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='vertical'),
    # With the flips, all rotations by 90°.
    dict(type='RandomTransposeHW', keys=['img', 'gt'], transpose_ratio=0.5),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='LoadDefocusPair'), dict(type='PackInputs')]

train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(type='DefocusPairDataset', split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='DefocusPairDataset', split='val', pipeline=test_pipeline, test_mode=True
    ),
)
test_dataloader = dict(
    val_dataloader, dataset=dict(val_dataloader['dataset'], split='test')
)

val_evaluator = [dict(type='ImageQuality', scores=['PSNR', 'SSIM_7x7'])]
test_evaluator = [
    dict(
        type='ImageQuality',
        scores=['PSNR', 'SSIM_7x7', 'SSIM_11x11', 'MAE', 'LPIPS_alex'],
    )
]
