# Training in pieces: a constant rate after a warm-up, and a cosine for the last third of
# ITERS (an environment variable). `ITERS=20000 python tools/train.py CONFIG --resume`
# prolongs a run of 6000: the rate goes back up until the new last third.
_base_ = 'schedule_400k.py'
max_iters = '{{$ITERS:6000}}'
if not max_iters.isdecimal() or int(max_iters) < 10:
    # An import statement would make this another kind of config.
    raise __import__('mmagic_inik').errors.InputError(
        f'ITERS is {max_iters}; give the number of iterations, from 10'
    )
max_iters = int(max_iters)
warm_up = min(300, max_iters // 10)
decay_from = max_iters * 2 // 3

train_cfg = dict(max_iters=max_iters, val_interval=1000)
optim_wrapper = dict(
    # One scene of a batch must not throw the others back.
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(
        type='LinearLR',
        by_epoch=False,
        start_factor=0.05,
        end=warm_up,
    ),
    dict(
        type='CosineAnnealingLR',
        by_epoch=False,
        begin=decay_from,
        end=max_iters,
        eta_min=1e-5,
    ),
]
