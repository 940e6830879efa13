# GoPro (Nah et al., CVPR 2017), motion blur: files and transforms as MMagic's own config
# has them (`blur` and `sharp` in `train` and `test`, equal names, no sub-folders), whose
# network and schedule are left behind. `--cfg-options data_root=PATH` points all three
# loaders elsewhere.
_base_ = 'mmagic::nafnet/nafnet_c64eb11128mb1db1111_8xb8-lr1e-3-400k_gopro.py'
[_base_.pop(key) for key in set(_base_) if not key.endswith(('loader', 'pipeline'))]

data_root = 'data/gopro'

# Of MMagic's `gopro` mmengine would make the contents of a file or folder of that name in
# the working directory.
_data = dict(data_root=data_root, metainfo=None)
_train = dict(_data, data_prefix=dict(gt='train/sharp', img='train/blur'))
_test = dict(_data, data_prefix=dict(gt='test/sharp', img='test/blur'), test_mode=True)
train_dataloader = dict(batch_size=4, dataset=_train)
val_dataloader = dict(dataset=_test)
test_dataloader = dict(dataset=_test)

val_evaluator = [dict(type='ImageQuality', scores=['PSNR', 'SSIM_7x7', 'SSIM_11x11'])]
test_evaluator = val_evaluator
