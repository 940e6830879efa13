import shutil

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mmagic_inik.engine import load_checkpoint_file
from mmagic_inik.errors import InputError


class Slope(BaseModel):
    """The weight falls by one in every iteration."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs, mode='loss'):
        return dict(loss=self.weight.sum())


HOOKS = [dict(type='RepeatableResumeHook'), dict(type='StrictCheckpointHook')]


@pytest.fixture
def run(tmp_path):
    """Trains up to an iteration; how often, and the last weight."""

    def train(folder, max_iters, load_from=None, resume=True, hooks=HOOKS):
        runner = Runner(
            model=Slope(),
            work_dir=str(tmp_path / folder),
            train_dataloader=dict(
                batch_size=1,
                dataset=[dict(inputs=torch.zeros(1))],
                sampler=dict(type='InfiniteSampler'),
            ),
            train_cfg=dict(
                type='FastResumeTrainLoop', max_iters=max_iters, val_interval=99
            ),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.0)),
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook', interval=1, by_epoch=False)
            ),
            custom_hooks=list(hooks),
            load_from=load_from and str(load_from),
            resume=resume,
            default_scope='mmagic',
            experiment_name=f'{folder}_{train.count}',
            cfg=Config(),
        )
        train.count += 1
        steps = []
        runner.model.register_forward_hook(lambda *_: steps.append(1))
        runner.train()
        return len(steps), -round(runner.model.weight.item())

    train.count = 0
    return train


@pytest.fixture
def state(run, tmp_path):
    run('earlier', 4)
    # Wherever it lies.
    return shutil.copy(tmp_path / 'earlier' / 'iter_4.pth', tmp_path / 'state.pth')


def test_the_same_command_goes_on_after_an_interruption(run, state, tmp_path):
    assert run('w', 6, state) == (2, 6)
    # What has been trained is kept, again and again, and from elsewhere, too.
    assert run('w', 9, state) == (3, 9)
    moved = shutil.move(state, tmp_path / 'moved.pth')
    assert run('w', 10, moved) == (1, 10)
    # Without naming it, the lineage goes on.
    assert run('w', 11) == (1, 11)
    assert run('w', 12, moved) == (1, 12)


def test_a_state_kept_of_the_same_training_does_not_turn_it_back(run, state, tmp_path):
    run('w', 6, state)
    kept = shutil.copy(tmp_path / 'w' / 'iter_6.pth', tmp_path / 'kept.pth')
    run('w', 8, state)
    # What it is now goes on, and its origin stays known.
    assert run('w', 10, kept) == (2, 10)
    assert run('w', 11, state) == (1, 11)
    # Elsewhere the kept state is where it begins.
    assert run('elsewhere', 8, kept) == (2, 8)
    # A state that is further than this training is wanted.
    further = shutil.copy(tmp_path / 'w' / 'iter_11.pth', tmp_path / 'further.pth')
    run('behind', 5, state)
    assert run('behind', 12, further) == (1, 12)


def test_mmengine_would_drop_what_was_trained(run, state):
    """What the hook is for; were it otherwise in mmengine, it could go."""
    run('w', 6, state, hooks=HOOKS[1:])
    assert run('w', 9, state, hooks=HOOKS[1:]) == (5, 9)


def test_a_run_of_other_origin_gives_way_to_the_named_state(run, state):
    # Further than the state, but not from it.
    run('w', 7)
    assert run('w', 9, state) == (5, 9)


def test_resuming_what_began_with_weights_alone_goes_on(run, tmp_path):
    weights = tmp_path / 'weights.pth'
    torch.save({'weight': torch.tensor([-100.0])}, weights)
    assert run('w', 2, weights, resume=False) == (2, 102)
    assert run('w', 3, weights) == (1, 103)
    # Where nothing has been trained, there is nothing to resume.
    with pytest.raises(InputError, match='weights.pth has weights but no state of a'):
        run('other', 3, weights)


@pytest.mark.parametrize('resume', [True, False])
def test_what_cannot_be_loaded_is_said_before_mmengine_tries(run, tmp_path, resume):
    path = tmp_path / 'absent.pth'
    with pytest.raises(InputError, match=f'checkpoint {path} does not exist'):
        run('w', 2, path, resume)
    path.write_text('no checkpoint')
    with pytest.raises(InputError, match=f'{path} is refused: it is damaged'):
        run('w', 2, path, resume)


def test_a_cut_off_newest_checkpoint_is_named(run, tmp_path):
    run('w', 2)
    newest = tmp_path / 'w' / 'iter_2.pth'
    newest.write_bytes(newest.read_bytes()[:100])
    with pytest.raises(InputError, match=f'{newest} is refused: it is damaged'):
        run('w', 3)


def test_with_what_a_run_began_is_kept_and_said(run, state, tmp_path):
    run('w', 5, state)
    content = load_checkpoint_file(str(tmp_path / 'w' / 'iter_5.pth'))
    assert len(content['meta']['began_with']) == 64
    run('w', 6, state)
    logs = ''.join(p.read_text() for p in (tmp_path / 'w').glob('*/*.log'))
    assert 'state.pth has become and goes on; name another --work-dir to begin' in logs
