import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import InfiniteSampler
from mmengine.model import BaseModel
from mmengine.runner import Runner


class Numbers(torch.utils.data.Dataset):
    """Item n is n; every read is noted."""

    read: list = []

    def __len__(self):
        return 7

    def __getitem__(self, index):
        Numbers.read.append(index)
        return dict(inputs=torch.tensor([float(index)]))


class Recorder(BaseModel):
    seen: list = []

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs, mode='loss'):
        Recorder.seen.append([int(n) for n in inputs])
        return dict(loss=self.weight.sum())


@pytest.fixture
def run(tmp_path):
    def train(max_iters, resume=False, loop='FastResumeTrainLoop'):
        Recorder.seen, Numbers.read = [], []
        dataset = Numbers()
        loader = torch.utils.data.DataLoader(
            dataset, batch_size=2, sampler=InfiniteSampler(dataset, seed=5)
        )
        runner = Runner(
            model=Recorder(),
            work_dir=str(tmp_path),
            train_dataloader=loader,
            train_cfg=dict(type=loop, max_iters=max_iters, val_interval=1000),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook', interval=5, by_epoch=False)
            ),
            custom_hooks=[dict(type='StrictCheckpointHook')],
            resume=resume,
            default_scope='mmagic',
            experiment_name=f'{loop}{max_iters}{resume}',
            cfg=Config(),
        )
        runner.train()
        return Recorder.seen

    return train


def test_resumed_run_sees_the_same_images_and_reads_none_twice(run):
    whole = run(12)
    assert run(5) == whole[:5]
    assert run(12, resume=True) == whole[5:]
    # The loader's first iterator may have fetched nothing yet: 7 batches of 2.
    assert len(Numbers.read) == 14


def test_mmengines_loop_reads_all_again(run):
    """What the loop above saves; were it repaired in mmengine, ours could go."""
    run(5, loop='IterBasedTrainLoop')
    run(12, resume=True, loop='IterBasedTrainLoop')
    assert len(Numbers.read) == 24
