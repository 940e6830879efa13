# KPAC (ICCV 2021), two levels: fewer parameters and more arithmetic.
_base_ = 'kpac_dpdd.py'

model = dict(generator=dict(num_levels=2))
