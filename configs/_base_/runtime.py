# What every config shares: the plugin, logging, checkpoints, seeds.
_base_ = ['mmagic::_base_/default_runtime.py']

custom_imports = dict(imports=['mmagic_inik'], allow_failed_imports=False)

default_hooks = dict(
    # MMagic's runtime would put the checkpoints of all configs into one folder.
    checkpoint=dict(out_dir=None, interval=5000, max_keep_ckpts=3, save_best='PSNR')
)
# MMagic's runtime would write a picture of every validation image; here it is one sheet
# per validation and data set.
custom_hooks = [
    dict(type='RepeatableResumeHook'),
    dict(type='StrictCheckpointHook'),
    dict(type='ValidationSheetHook'),
]
# On one GPU per process; without device_ids the same line serves CPUs.
model_wrapper_cfg = dict(
    type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False
)
randomness = dict(seed=0)
