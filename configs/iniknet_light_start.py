# The first hours of iniknet_light_synthetic.py, which its own loss would spend on leaving
# photos as they are: scenes that are all blurred, and a loss that wants the fine detail
# back. Then `--resume --cfg-options load_from=CHECKPOINT` of it begins the other's.
_base_ = 'iniknet_light_synthetic.py'

model = dict(loss=dict(losses=dict(psnr=None, mse=dict(_delete_=True, type='MSELoss'))))
_base_.train_dataloader.dataset.pipeline[1].update(
    in_focus=0, soft_in_focus=0, softness=0
)
train_dataloader = dict(dataset=_base_.train_dataloader.dataset)
