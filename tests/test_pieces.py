import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mmagic_inik.engine import TrainingPiecesHook, load_checkpoint_file
from mmagic_inik.errors import InputError


class Slope(BaseModel):
    """The weight falls by the learning rate in every iteration."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs, mode='loss'):
        return dict(loss=self.weight.sum())


class RatesHook(Hook):
    priority = 'VERY_HIGH'  # before the schedule goes on

    def __init__(self):
        self.rates = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.rates.append(runner.optim_wrapper.param_groups[0]['lr'])


@pytest.fixture
def run(tmp_path):
    def train(max_iters, hooks=(), resume=False, stop=None):
        noted = RatesHook()
        loader = dict(
            batch_size=1,
            dataset=[dict(inputs=torch.zeros(1))],
            sampler=dict(type='InfiniteSampler'),
        )
        runner = Runner(
            model=Slope(),
            work_dir=str(tmp_path),
            train_dataloader=loader,
            train_cfg=dict(
                type='FastResumeTrainLoop', max_iters=stop or max_iters, val_interval=99
            ),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.0)),
            param_scheduler=[
                dict(type='LinearLR', by_epoch=False, start_factor=0.25, end=3),
                dict(
                    type='CosineAnnealingLR',
                    by_epoch=False,
                    begin=max_iters // 2,
                    end=max_iters,
                ),
            ],
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook', interval=1, by_epoch=False)
            ),
            custom_hooks=[noted, dict(type='StrictCheckpointHook'), *hooks],
            resume=resume,
            default_scope='mmagic',
            experiment_name=f'{max_iters}{stop}{resume}{len(hooks)}',
            cfg=Config(),
        )
        runner.train()
        return noted.rates, runner

    return train


PIECES = dict(type='TrainingPiecesHook', kept_history=4)


@pytest.mark.parametrize('first', [2, 6, 9, 10], ids=lambda n: f'after {n}')
def test_prolonged_run_has_the_longer_schedules_rates(run, first):
    whole, _ = run(20)
    assert whole[:4] == pytest.approx([0.25, 0.625, 1, 1])
    assert whole[9:12] == pytest.approx([1, 1, whole[11]])
    run(10, [PIECES], stop=first)
    resumed, _ = run(20, [PIECES], resume=True)
    assert resumed == pytest.approx(whole[first:])


def test_mmengine_keeps_the_old_schedule(run):
    """What the hook is for; were it otherwise in mmengine, it could go."""
    run(10)
    resumed, _ = run(20, resume=True)
    assert set(resumed) == {resumed[0]}
    assert resumed[0] < 0.1


def test_checkpoints_keep_the_last_logged_values_alone(run, tmp_path):
    _, runner = run(10, [PIECES])
    content = load_checkpoint_file(str(tmp_path / 'iter_10.pth'))
    loss = content['message_hub']['log_scalars']['train/loss']
    values, counts = loss.data
    everything, _ = runner.message_hub.get_scalar('train/loss').data
    assert len(everything) == 10
    assert values.tolist() == everything[-4:].tolist()
    assert counts.tolist() == [1] * 4
    # The loss is minus the sum of the rates so far.
    assert loss.mean() == pytest.approx(everything[-4:].mean())


def test_checkpoints_hold_averaged_weights_and_resume_the_others(run, tmp_path):
    momentum = 0.25
    hooks = [
        PIECES,
        dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=momentum),
    ]
    rates, _ = run(10, hooks)
    weights, averaged = [], 0
    for n, rate in enumerate(rates):
        weights.append(weights[-1] - rate if weights else -rate)
        averaged += (weights[-1] - averaged) * (momentum if n else 1)
    content = load_checkpoint_file(str(tmp_path / 'iter_10.pth'))
    assert content['state_dict']['weight'].item() == pytest.approx(averaged)
    raw = content['ema_state_dict']['module.weight'].item()
    assert raw == pytest.approx(weights[-1])
    resumed, runner = run(12, hooks, resume=True)
    assert runner.model.weight.item() == pytest.approx(weights[-1] - sum(resumed))
    for rate in resumed:
        weights.append(weights[-1] - rate)
        averaged += (weights[-1] - averaged) * momentum
    content = load_checkpoint_file(str(tmp_path / 'iter_12.pth'))
    assert content['state_dict']['weight'].item() == pytest.approx(averaged)
    # Who only loads, as tools/test.py and tools/restore.py do, has the average.
    loaded = Runner(
        model=Slope(),
        work_dir=str(tmp_path),
        load_from=str(tmp_path / 'iter_12.pth'),
        custom_hooks=[dict(type='StrictCheckpointHook')],
        experiment_name='loaded',
        default_scope='mmagic',
    )
    loaded.load_or_resume()
    assert loaded.model.weight.item() == pytest.approx(averaged)


def test_history_must_be_positive():
    with pytest.raises(ValueError, match='kept_history must be positive, got 0'):
        TrainingPiecesHook(0)


@pytest.mark.parametrize('name', ['iniknet_synthetic', 'iniknet_small_synthetic'])
def test_length_of_the_recipes_is_a_variable(monkeypatch, name):
    monkeypatch.setenv('ITERS', '900')
    config = Config.fromfile(f'configs/{name}.py')
    warm_up, decay = config.param_scheduler
    assert (warm_up.end, decay.begin, decay.end) == (90, 600, 900)
    assert config.train_cfg.max_iters == 900
    kinds = [hook.type for hook in config.custom_hooks]
    assert kinds[-2:] == ['TrainingPiecesHook', 'EMAHook']
    monkeypatch.setenv('ITERS', '1e5')
    with pytest.raises(InputError, match='ITERS is 1e5; give the number of iter'):
        Config.fromfile(f'configs/{name}.py')
