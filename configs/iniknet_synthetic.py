# INIKNet of the paper's size, trained on sharp photos alone; for a GPU:
# `ITERS=100000 tools/train.py configs/iniknet_synthetic.py --cfg-options data_root=PATH`,
# without AlexNet's weights, with `model.loss.losses.lpips=None` behind it.
_base_ = [
    '_base_/models/iniknet.py',
    '_base_/datasets/synthetic.py',
    '_base_/schedule_pieces.py',
    '_base_/runtime.py',
]

# The mean square is that of the widest blur; in dB, every scene counts alike. What is in
# focus has gradients no larger than what is blurred.
model = dict(
    # bfloat16 where the processor has instructions for it, else float32.
    train_cfg=dict(dtype='auto'),
    loss=dict(losses=dict(mse=None, psnr=dict(type='FlooredPSNRLoss', loss_weight=0.05)))
)

# Photos reduced at random are sharper, and many of one. Scenes in focus want nothing
# done, some of them soft of themselves: each of those costs gain on what is blurred a
# little, which looks alike. Noise is as of a good camera. How wide, soft and dark real
# ones are: benchmarks/results/renderer_spectra.md.
scenes = dict(
    max_radius=16,
    scale=(0.4, 1.0),
    softness=0.9,
    exposure=(0.25, 1.0),
    in_focus=0.15,
    soft_in_focus=0.2,
    shot_noise=0.005,
    read_noise=0.001,
    jpeg_quality=(85, 100),
)
_base_.train_dataloader.dataset.pipeline[1].update(scenes)
_base_.val_dataloader.dataset.pipeline[1].update(scenes)
# Each worker renders some 31 crops a second.
train_dataloader = dict(
    batch_size=8, num_workers=8, dataset=_base_.train_dataloader.dataset
)
val_dataloader = dict(dataset=_base_.val_dataloader.dataset)
test_dataloader = val_dataloader
test_evaluator = _base_.val_evaluator

train_cfg = dict(val_interval=5000)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
default_hooks = dict(checkpoint=dict(interval=1000))
# Validation, checkpoints' `state_dict` and so tools/test.py have the averaged weights.
custom_hooks = _base_.custom_hooks + [
    dict(type='TrainingPiecesHook'),
    dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=1e-3),
]
