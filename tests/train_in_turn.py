"""For test_mixed.py: tools/train.py with one command line after another.

In the place of ``train.py`` beside ``dist_train.sh``, so that processes start and meet
once for many configs. Takes a JSON file of command lines for a config.
"""

import json
import sys
from pathlib import Path

import torch

from mmagic_inik import launch, processes


def main():
    lines, *launcher = sys.argv[1:]
    processes.join_cpu_group()
    # The group outlives a run; the ranks meet where it would have ended.
    processes.join_cpu_group = lambda timeout: None
    leave, processes.leave_group = processes.leave_group, torch.distributed.barrier
    for line in json.loads(Path(lines).read_text()):
        sys.argv[1:] = line + launcher
        launch.run_tool('train.py')
    leave()


if __name__ == '__main__':
    main()
