# IFAN (CVPR 2021), the released recipe whole: reblurring, and disparity by the dual-pixel
# views, of DPDD's files with both.
_base_ = 'ifan_reblurring_dpdd.py'

_views = ['left', 'right']
_base_.train_pipeline[4]['keys'] = ['img', 'gt', *_views]
_base_.train_pipeline[5] = dict(type='PackInputs', data_keys=_views)

model = dict(disparity_weight=1.0)
train_dataloader = dict(dataset=dict(views=True, pipeline=_base_.train_pipeline))
