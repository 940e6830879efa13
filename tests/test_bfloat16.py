from contextlib import nullcontext
from copy import deepcopy

import pytest
import torch
from mmagic.registry import MODELS, OPTIM_WRAPPERS
from mmagic.structures import DataSample
from torch import nn

from mmagic_inik.models import UNet
from mmagic_inik.models.duplex_conv_lstm import ConvLSTMCell
from mmagic_inik.models.layers import ReflectConv2d, ResBlock
from mmagic_inik.ops import use_references

TINY = dict(
    type='MultiScaleRestorer',
    generator=dict(
        type='INIKNet',
        backbone=dict(type='UNet', base_channels=4, num_res_blocks=1),
        neck=dict(type='DuplexConvLSTM', channels=4, num_res_blocks=1),
        head=dict(
            type='InverseFilterHead',
            in_channels=4,
            atom_bank=dict(type='INRAtomBank', num_atoms=2, kernel_sizes=(1, 3, 5)),
        ),
    ),
    loss=dict(type='MultiScaleLoss', losses=dict(mse=dict(type='MSELoss'))),
    data_preprocessor=dict(type='DataPreprocessor', mean=[0.0], std=[255.0]),
)


def test_a_step_computes_in_bfloat16_and_learns_in_float32():
    torch.manual_seed(0)
    model = MODELS.build(TINY).train()
    wrapper = OPTIM_WRAPPERS.build(
        dict(
            type='Bfloat16OptimWrapper',
            optimizer=torch.optim.SGD(model.parameters(), lr=1.0),
        )
    )
    features = []
    model.generator.size_neck.register_forward_hook(
        lambda module, args, outputs: features.extend(outputs)
    )
    before = [p.detach().clone() for p in model.parameters()]
    gradients = []
    wrapper.optimizer.register_step_pre_hook(
        lambda *_: gradients.extend(p.grad.dtype for p in model.parameters())
    )
    images = torch.randint(256, (2, 1, 3, 32, 32), dtype=torch.uint8)
    sample = DataSample(gt_img=images[1][0])
    logged = model.train_step(dict(inputs=[*images[0]], data_samples=[sample]), wrapper)
    assert {feature.dtype for feature in features} == {torch.bfloat16}
    assert logged['loss'].dtype == torch.float32
    assert gradients == [torch.float32] * len(before)
    assert all(p.dtype == torch.float32 for p in model.parameters())
    moved = [
        not torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True)
    ]
    assert sum(moved) > 0.9 * len(moved)


@pytest.mark.parametrize('cell_state', ['recurrent', 'feature'])
def test_all_paths_compute_in_the_same_types(cell_state):
    """What a GPU takes are the plain forms of all operations but one."""
    generator = deepcopy(TINY['generator'])
    generator['neck']['cell_state'] = cell_state
    network = MODELS.build(generator)
    # As a GPU's autocast has it, which normalizes in float32.
    for neck in (network.size_neck, network.shape_neck):
        neck.norm.register_forward_hook(lambda module, args, output: output.float())
    seen = set()

    def note(module, args, output):
        outputs = output if isinstance(output, tuple) else (output,)
        seen.update((type(module), t.dtype) for t in outputs)

    for module in network.modules():
        # What hands images on; the streams of residuals are among them.
        if isinstance(module, ReflectConv2d | ResBlock | ConvLSTMCell | UNet):
            module.register_forward_hook(note)

    def run(context):
        seen.clear()
        with context, torch.autocast('cpu', torch.bfloat16):
            network(torch.rand(1, 3, 32, 48))
        return set(seen)

    fast, plain = run(nullcontext()), run(use_references())
    assert fast == plain
    assert {dtype for _, dtype in fast} == {torch.bfloat16}


def test_gradients_accumulate_as_in_mmengine():
    layer = nn.Linear(2, 1)
    wrapper = OPTIM_WRAPPERS.build(
        dict(
            type='Bfloat16OptimWrapper',
            optimizer=torch.optim.SGD(layer.parameters(), lr=1.0),
            accumulative_counts=2,
        )
    )
    before = layer.weight.detach().clone()
    for moved in (False, True):
        with wrapper.optim_context(layer):
            loss = layer(torch.ones(1, 2)).float().sum()
        wrapper.update_params(loss)
        assert torch.equal(layer.weight, before) != moved
