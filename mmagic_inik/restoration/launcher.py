"""``torchrun`` for ``tools/restore.py``, without its traceback at the end.

The leader of the processes has the last word: which photos were not restored. Run as
``python -m mmagic_inik.restoration.launcher``, with the arguments of ``torchrun``.
"""

import logging
import sys

from torch.distributed import DistNetworkError
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import get_args_parser, run

_GO_ON = 'the photos written so far are complete, and the same command goes on'


def main() -> None:
    """Command line."""
    # It would announce every end that is told below.
    logging.getLogger('torch.distributed.elastic').setLevel(logging.CRITICAL)
    try:
        run(get_args_parser().parse_args())
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode > 0:
            # It has said why.
            sys.exit(failure.exitcode)
        sys.exit(
            f'restore: process {rank} was ended by {failure.signal_name()}, perhaps '
            f'for lack of memory; {_GO_ON}'
        )
    except DistNetworkError as error:
        sys.exit(
            f'restore: the processes cannot meet ({str(error).splitlines()[0]}); set '
            'PORT to a free one, and on several machines MASTER_ADDR to the first'
        )
    except SignalException as error:
        sys.exit(f'restore: ended by {error.sigval.name}; {_GO_ON}')


if __name__ == '__main__':
    main()
