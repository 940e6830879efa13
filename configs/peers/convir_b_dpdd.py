# ConvIR-B, trained as the smaller one; see there what is not published.
_base_ = 'convir_s_dpdd.py'

model = dict(generator=dict(size='B'))
