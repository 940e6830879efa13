import csv
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from PIL import Image

from mmagic_inik.engine import (
    ProgressHook,
    load_checkpoint_file,
    progress_hook,
    small_state,
)

ROOT = Path(__file__).parents[1]


class Line(BaseModel):
    """Weights that a loss pulls up; predicts their sum."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.linspace(0, 1, 40))

    def forward(self, inputs, mode='loss'):
        if mode == 'loss':
            return dict(loss=-(self.weight * torch.linspace(0.1, 1, 40)).sum())
        return [self.weight.sum()]


class Total(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results += data_samples

    def compute_metrics(self, results):
        return dict(total=float(results[0]))


@pytest.fixture
def run(tmp_path):
    def train(max_iters, folder='work', **given):
        images = torch.utils.data.DataLoader(
            [torch.zeros(3, 20, 50)] * 64,
            batch_size=4,
            collate_fn=lambda images: dict(inputs=images),
        )
        runner = Runner(
            model=Line(),
            work_dir=str(tmp_path / folder),
            train_dataloader=images,
            val_dataloader=images,
            val_evaluator=[Total()],
            train_cfg=dict(
                type='IterBasedTrainLoop', max_iters=max_iters, val_interval=2
            ),
            val_cfg=dict(),
            optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.1)),
            default_hooks=dict(
                timer=dict(type='mmengine.IterTimerHook'),
                checkpoint=dict(type='CheckpointHook', interval=2, by_epoch=False),
            ),
            custom_hooks=[
                dict(type='StrictCheckpointHook'),
                dict(type='TrainingPiecesHook'),
                dict(type='EMAHook', momentum=0.1),
                dict(type='ProgressHook'),
            ],
            default_scope='mmagic',
            experiment_name=f'{folder}{max_iters}',
            cfg=Config(),
            **given,
        )
        runner.train()
        return runner

    return train


def table(folder, name='progress.csv'):
    with (folder / name).open() as file:
        return [
            {key: float(value) for key, value in row.items()}
            for row in csv.DictReader(file)
        ]


def test_progress_goes_on_with_training_in_another_place(run, tmp_path):
    run(4)
    first = table(tmp_path / 'work')
    assert [row['iteration'] for row in first] == [2, 4]
    # Batches of four images of 1000 pixels.
    assert [row['images'] for row in first] == [8, 16]
    assert [row['megapixels'] for row in first] == [0.008, 0.016]
    assert first[1]['hours'] >= first[0]['hours'] >= 0
    run(6, 'elsewhere', resume=True, load_from=str(tmp_path / 'work/iter_4.pth'))
    rows = table(tmp_path / 'elsewhere')
    # The checkpoint was there before the validation of its iteration.
    assert rows[0] == first[0]
    assert [row['images'] for row in rows] == [8, 24]
    run(6, resume=True)
    rows = table(tmp_path / 'work')
    assert rows[:2] == first
    assert [row['images'] for row in rows] == [8, 16, 24]
    assert rows[2]['total'] > rows[1]['total']
    with Image.open(tmp_path / 'elsewhere/progress.png') as picture:
        assert picture.width > 300


def test_images_of_all_processes_count(run, tmp_path, monkeypatch):
    monkeypatch.setattr(progress_hook, 'get_world_size', lambda: 2)
    run(2)
    (row,) = table(tmp_path / 'work')
    assert (row['images'], row['megapixels']) == (16, 0.016)


def test_a_repeated_validation_replaces_its_row(run, tmp_path):
    runner = run(4)
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, ProgressHook))
    before = [dict(row) for row in hook.rows]
    hook.after_val_epoch(runner, dict(total=7))
    assert [row['iteration'] for row in hook.rows] == [2, 4]
    assert hook.rows[0] == before[0]
    assert hook.rows[1]['total'] == 7


def test_training_goes_on_from_a_small_state(run, tmp_path):
    run(4)
    whole = load_checkpoint_file(str(tmp_path / 'work/iter_4.pth'), 'cpu')
    torch.save(small_state(whole), tmp_path / 'small.pth')
    small = load_checkpoint_file(str(tmp_path / 'small.pth'), 'cpu')
    moments = small['optimizer']['state'][0]
    assert moments['exp_avg'].untyped_storage().nbytes() == 2
    assert moments['exp_avg_sq'].dtype == torch.bfloat16
    assert small['state_dict']['weight'].dtype == torch.float16

    runner = run(6, 'on', resume=True, load_from=str(tmp_path / 'small.pth'))
    assert runner.iter == 6
    assert [row['iteration'] for row in table(tmp_path / 'on')] == [2, 6]
    assert runner.model.weight.dtype == torch.float32
    # The weights themselves are exact: Adam's step is what it adds to them.
    before = whole['ema_state_dict']['module.weight']
    moved = runner.model.weight.detach() - before
    assert ((moved > 0.01) & (moved < 0.2)).all()
    (state,) = runner.optim_wrapper.optimizer.state.values()
    assert state['step'] == 6
    assert {state[key].dtype for key in ('exp_avg', 'exp_avg_sq')} == {torch.float32}
    averaged = load_checkpoint_file(str(tmp_path / 'on/iter_6.pth'))['state_dict']
    assert (averaged['weight'] > whole['state_dict']['weight']).all()


def test_a_small_state_is_less_than_two_thirds_of_a_checkpoint(run, tmp_path):
    run(2)
    whole = load_checkpoint_file(str(tmp_path / 'work/iter_2.pth'), 'cpu')
    small = small_state(whole)

    def size(tensors):
        return sum(t.untyped_storage().nbytes() for t in tensors)

    def weights(state):
        moments = state['optimizer']['state'][0]
        return [
            state['state_dict']['weight'],
            state['ema_state_dict']['module.weight'],
            moments['exp_avg'],
            moments['exp_avg_sq'],
        ]

    # 2 + 4 + 0 + 2 of 16 bytes a weight.
    assert size(weights(whole)) == 40 * 16
    assert size(weights(small)) == 40 * 8 + 2


def test_tool_keeps_state_and_progress(run, tmp_path, monkeypatch, capsys):
    runner = run(4)
    (tmp_path / 'work').rename(tmp_path / 'moved')
    out = tmp_path / 'state.pth'
    monkeypatch.syspath_prepend(ROOT / 'tools')
    import keep_state

    arguments = ['keep_state', str(tmp_path / 'moved'), str(out)]
    monkeypatch.setattr('sys.argv', arguments)
    keep_state.main()
    assert capsys.readouterr().out.endswith('state.pth: iteration 4, 0.0 MB\n')
    # With the row of the checkpoint's own iteration, which it was saved before.
    assert [row['iteration'] for row in table(tmp_path, 'state.csv')] == [2, 4]
    assert out.with_suffix('.png').is_file()
    run(6, 'on', resume=True, load_from=str(out))
    assert [row['iteration'] for row in table(tmp_path / 'on')] == [2, 4, 6]
    assert runner.iter == 4


@pytest.mark.parametrize(
    ('given', 'out', 'message'),
    [
        ('empty', 'a.pth', 'empty has no last_checkpoint; give the work folder'),
        ('weights.pth', 'a.pth', "weights.pth has no 'ema_state_dict'; give a checkp"),
        ('weights.pth', 'a.bin', 'a.bin does not end in .pth; name it so'),
        ('weights.pth', 'no/a.pth', 'no is not a folder; create it first'),
    ],
    ids=['no training', 'exported weights', 'name', 'folder'],
)
def test_tool_says_what_it_wants(tmp_path, monkeypatch, given, out, message):
    monkeypatch.syspath_prepend(ROOT / 'tools')
    import keep_state

    (tmp_path / 'empty').mkdir()
    torch.save(dict(state_dict=dict(w=torch.ones(1))), tmp_path / 'weights.pth')
    arguments = ['keep_state', str(tmp_path / given), str(tmp_path / out)]
    monkeypatch.setattr('sys.argv', arguments)
    with pytest.raises(SystemExit, match=f'^keep_state: .*{message}'):
        keep_state.main()
    assert not (tmp_path / out).exists()
