# IFAN (CVPR 2021), its filters taught by reblurring, too: what single images suffice for.
_base_ = 'ifan_dpdd.py'

model = dict(type='IFANRestorer')
