# An INIKNet for laptops, trained on sharp photos alone:
# `tools/train.py configs/iniknet_small_synthetic.py --cfg-options data_root=PATH`.
# All atoms and kernel sizes of the paper, which cost little, on half of its channels.
_base_ = [
    '_base_/models/iniknet.py',
    '_base_/datasets/synthetic.py',
    '_base_/schedule_pieces.py',
    '_base_/runtime.py',
]
channels = 16

model = dict(
    generator=dict(
        backbone=dict(base_channels=channels, num_res_blocks=1),
        neck=dict(channels=channels, num_res_blocks=1),
        head=dict(in_channels=channels),
    ),
    # LPIPS would need AlexNet's weights, and as much time again.
    loss=dict(losses=dict(lpips=None)),
)

# Kernels of 15 pixels reach no further.
_base_.train_dataloader.dataset.pipeline[1].update(crop_size=128, max_radius=8)
_base_.val_dataloader.dataset.pipeline[1].update(max_radius=8)
train_dataloader = dict(
    batch_size=8, num_workers=1, dataset=_base_.train_dataloader.dataset
)
val_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=_base_.val_dataloader.dataset
)
test_dataloader = val_dataloader
test_evaluator = _base_.val_evaluator

default_hooks = dict(checkpoint=dict(interval=250), logger=dict(interval=50))
# Validation, checkpoints' `state_dict` and so tools/test.py have the averaged weights.
custom_hooks = _base_.custom_hooks + [
    dict(type='TrainingPiecesHook'),
    dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=2e-3),
]
