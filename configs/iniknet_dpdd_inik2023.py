# Tests as the authors did (ICCV 2023): 8-bit photos, cropped to multiples of 32 before
# the network; PSNR and SSIM of clipped predictions, LPIPS of unclipped ones in BGR.
# `tools/test.py configs/iniknet_dpdd_inik2023.py CHECKPOINT --cfg-options data_root=PATH`
_base_ = 'iniknet_dpdd.py'

model = dict(test_cfg=dict(clip=False))
test_pipeline = [
    dict(type='LoadDefocusPair'),
    dict(type='CropAndRound', multiple=32, bit_depth=8),
    dict(type='PackInputs'),
]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_evaluator = [dict(type='ImageQuality', protocol='inik2023')]
