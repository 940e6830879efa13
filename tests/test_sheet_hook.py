import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mmagic_inik.engine import ValidationSheetHook, sheet_hook
from mmagic_inik.engine.sheet_hook import photos_of

HOOK = dict(type='ValidationSheetHook', max_side=24)


class Photos(torch.utils.data.Dataset):
    """Two photos with sides that the model must extend, one plain colour each."""

    def __init__(self, color, target=True):
        self.color, self.target = color, target

    def __len__(self):
        return 2

    def __getitem__(self, index):
        image = torch.zeros(3, 40, 52, dtype=torch.uint8)
        image[:] = torch.tensor(self.color, dtype=torch.uint8).view(3, 1, 1) // (
            index + 1
        )
        sample = DataSample(
            metainfo=dict(img_channel_order='RGB', gt_channel_order='RGB')
        )
        if self.target:
            sample.set_tensor_data(dict(gt_img=image))
        return dict(inputs=image, data_samples=sample)


class Noise(Photos):
    """What is trained on depends on the random numbers drawn before."""

    def __getitem__(self, index):
        item = super().__getitem__(index)
        noise = torch.randint(0, 40, (3, 1, 1)) + random.randrange(9)
        noise += np.random.randint(9)
        item['inputs'] = (item['inputs'] // 2 + noise).to(torch.uint8)
        return item


def loader(dataset):
    return torch.utils.data.DataLoader(dataset, 1, collate_fn=pseudo_collate)


def model(generator='iniknet'):
    config = Config.fromfile('configs/_base_/models/iniknet_tiny.py').model
    if generator == 'unet':
        config.generator = dict(type='UNet', base_channels=3, num_res_blocks=1)
    torch.manual_seed(0)
    return MODELS.build(config)


@pytest.fixture
def train(tmp_path):
    def run(name, hooks, sets, prefixes=(None,), network=None):
        """Train for two steps with a validation after each; the runner."""
        network = network or model()
        scores = [[dict(type='MAE', prefix=prefix)] for prefix in prefixes]
        torch.manual_seed(1)
        random.seed(1)
        np.random.seed(1)
        runner = Runner(
            model=network,
            work_dir=str(tmp_path / name),
            train_dataloader=loader(Noise((250, 120, 30))),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=2, val_interval=1),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            val_dataloader=[loader(dataset) for dataset in sets],
            val_cfg=dict(type='MultiValLoop'),
            val_evaluator=scores,
            default_hooks=dict(checkpoint=None),
            custom_hooks=hooks,
            visualizer=dict(
                type='ConcatImageVisualizer',
                fn_key='gt_path',
                img_keys=[],
                name=name,
                vis_backends=[
                    dict(type='LocalVisBackend'),
                    dict(type='TensorboardVisBackend'),
                ],
            ),
            default_scope='mmagic',
            experiment_name=name,
            randomness=dict(seed=1),
            cfg=Config(),
        )
        runner.train()
        return runner

    return run


def fake_runner(network, added):
    return SimpleNamespace(
        model=network,
        iter=7,
        val_loop=SimpleNamespace(
            dataloader=object(), evaluator=SimpleNamespace(metrics=[])
        ),
        visualizer=SimpleNamespace(add_image=lambda *image: added.append(image)),
    )


def test_one_sheet_per_validation_and_data_set(train, tmp_path):
    sets = [Photos((250, 120, 30)), Photos((20, 60, 240))]
    runner = train('two', [HOOK], sets, ('DPDD', 'my set/1'))
    images = sorted((tmp_path / 'two').glob('*/vis_data/vis_image/*'))
    names = ['validation_DPDD', 'validation_my_set_1']
    expected = [f'{name}_{step}.png' for name in names for step in (1, 2)]
    assert [path.name for path in images] == expected
    # The first photo of each set, in its colours: input and target are of one value.
    colors = [(250, 120, 30)] * 2 + [(20, 60, 240)] * 2
    for path, color in zip(images, colors, strict=True):
        pixels = np.asarray(Image.open(path)).reshape(-1, 3)
        assert (np.abs(pixels.astype(int) - color).max(1) <= 1).mean() > 0.1
    events = EventAccumulator(str(next((tmp_path / 'two').glob('*/vis_data'))))
    events.Reload()
    for name in names:
        assert [event.step for event in events.Images(name)] == [1, 2]
    # Nothing of ours stays in the network.
    assert not runner.model.generator.head._forward_pre_hooks


@pytest.mark.parametrize('network', ['iniknet', 'unet'])
@pytest.mark.parametrize('target', [True, False], ids=['target', 'no target'])
def test_what_is_on_a_sheet(network, target, monkeypatch, tmp_path):
    drawn = []

    def note(photos, prediction, title, max_side):
        drawn.append((photos, prediction, title, max_side))
        return original(photos, prediction, title, max_side)

    original = sheet_hook.validation_sheet
    monkeypatch.setattr(sheet_hook, 'validation_sheet', note)
    network = model(network).eval()
    hook, added = ValidationSheetHook(24), []
    runner = fake_runner(network, added)
    hook.before_val_epoch(runner)
    for batch in loader(Photos((250, 120, 30), target)):
        hook.before_val_iter(runner, 0, batch)
        with torch.no_grad():
            outputs = network.val_step(batch)
        hook.after_val_iter(runner, 0, batch, outputs)
    ((name, pixels, step),) = added
    assert (name, step) == ('validation', 7)
    assert pixels.dtype == np.uint8
    ((photos, prediction, title, max_side),) = drawn
    assert title == 'validation, iteration 7'
    assert max_side == 24
    assert list(photos) == ['input', 'restored', 'target'][: 2 + target]
    assert (photos['input'] == (250, 120, 30)).all()
    assert {photo.shape for photo in photos.values()} == {(40, 52, 3)}
    if hasattr(network.generator, 'head'):
        # The photo's own pixels, without what the model added to its sides.
        assert prediction.mu.shape == (5, 40, 52)
        torch.testing.assert_close(prediction.mu.sum(0), torch.ones(40, 52))
    else:
        assert prediction is None


def test_training_is_the_same_with_and_without_sheets(train):
    states = []
    for name, hooks in (('with', [HOOK]), ('without', [])):
        runner = train(name, hooks, [Photos((250, 120, 30))])
        states.append(
            [
                *runner.model.state_dict().values(),
                torch.get_rng_state(),
                torch.tensor(runner.model.training),
                torch.tensor(np.random.random()),
                torch.tensor(random.random()),
            ]
        )
    start = model().state_dict().values()
    assert any(not torch.equal(*pair) for pair in zip(start, states[0], strict=False))
    for pair in zip(*states, strict=True):
        assert torch.equal(*pair)


def test_other_ranks_draw_nothing(monkeypatch):
    monkeypatch.setattr(sheet_hook, 'is_main_process', lambda: False)
    network, added, hook = model().eval(), [], ValidationSheetHook()
    runner = fake_runner(network, added)
    (batch, _) = loader(Photos((9, 9, 9)))
    hook.before_val_epoch(runner)
    hook.before_val_iter(runner, 0, batch)
    assert not network.generator.head._forward_pre_hooks
    hook.after_val_iter(runner, 0, batch, network.val_step(batch))
    assert not added


def test_grey_photos_and_values_beyond_the_range():
    tensor = torch.tensor([[[-3.0, 255.6, 7.4]]])
    photos = photos_of(dict(input=tensor, output=dict(pred_img=tensor.flip(2))))
    assert list(photos) == ['input', 'restored']
    assert photos['input'].tolist() == [[[0] * 3, [255] * 3, [7] * 3]]


def test_bgr_becomes_rgb():
    tensor = torch.tensor([30.0, 120.0, 250.0]).view(3, 1, 1)
    photos = photos_of(dict(input=tensor, output=dict(pred_img=tensor), gt_img=tensor))
    assert [photo.tolist() for photo in photos.values()] == [[[[250, 120, 30]]]] * 3


def test_size_must_be_positive():
    with pytest.raises(ValueError, match='max_side must be positive, got 0'):
        ValidationSheetHook(0)


def test_runtime_has_the_hook():
    config = Config.fromfile('configs/_base_/runtime.py')
    assert dict(type='ValidationSheetHook') in config.custom_hooks
