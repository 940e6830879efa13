# What is no file of its own here is an option of iniknet_dpdd.py, for --cfg-options of
# tools/train.py and tools/test.py or for --variant of tools/run_ablations.py. Before
# each stands `model.generator.`:
#
#   image scales            num_scales=1                        (2, 3, 4)
#   base atoms              head.atom_bank.num_atoms=1          (5, 10, 20)
#   kernel sizes            head.atom_bank.kernel_sizes=1,3,5,7
#   frequencies             head.atom_bank.frequency_range=2,16
#                           head.atom_bank.frequencies=uniform
#   ConvLSTM's cell state   neck.cell_state=feature
#   no ConvLSTM             neck.type=ConvNeck
#   Eq. 9 as a plain sum    head.fusion=sum
#   delta and sum           head.fusion=sum head.residual=False head.atom_bank.center=delta
_base_ = '../iniknet_dpdd.py'
