# Section 4.1 of the paper: Adam, 2e-4 halved every 1e5 of 4e5 iterations.
train_cfg = dict(type='FastResumeTrainLoop', max_iters=400_000, val_interval=5000)
val_cfg = dict(type='MultiValLoop')
test_cfg = dict(type='MultiTestLoop')

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-4))
param_scheduler = dict(type='StepLR', by_epoch=False, step_size=100_000, gamma=0.5)
