"""The systems of the paper's Table 1, and successors, as contenders."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from natsort import natsorted

from ..errors import InputError
from .complexity import complexity
from .tables import Column, Row, peers_table

CONFIGS = Path(__file__).parents[2] / 'configs'
# Of a photo of DPDD, height and width.
PHOTO = (1120, 1680)


class Peer(NamedTuple):
    """A system and where it is described.

    Attributes:
        name (str): As in the paper.
        config (str): Path, or one of MMagic's configs behind ``mmagic::``.
    """

    name: str
    config: str

    @property
    def stem(self) -> str:
        """What its checkpoint is called, without extension."""
        return Path(self.config).stem

    @property
    def available(self) -> bool:
        """Whether this installation has its config."""
        return self.config.startswith('mmagic::') or Path(self.config).is_file()


def _ours(stem: str, folder: str = 'peers') -> str:
    return str(CONFIGS / folder / f'{stem}_dpdd.py')


# In the order of the table; the last ones came after it.
PEERS = (
    Peer('DPDNet', _ours('dpdnet')),
    Peer('AIFNet', _ours('aifnet')),
    Peer('IFANet', _ours('ifan')),
    Peer('KPAC', _ours('kpac')),
    Peer('GKMNet', _ours('gkmnet')),
    Peer('MDP', _ours('mdp')),
    Peer('DRBNet', _ours('drbnet')),
    Peer('MPRNet', _ours('mprnet')),
    Peer('Restormer', 'mmagic::restormer/restormer_official_dpdd-single.py'),
    Peer('INIKNet', _ours('iniknet', '')),
    Peer('NRKNet', _ours('nrknet')),
    Peer('ConvIR-S', _ours('convir_s')),
    Peer('ConvIR-B', _ours('convir_b')),
    Peer('ConvIR-L', _ours('convir_l')),
)


def find_checkpoint(peer: Peer, folder: Path) -> Path | None:
    """A peer's weights in a folder.

    Args:
        peer (Peer): The system.
        folder (Path): With ``iniknet_dpdd.pth``, or ``iniknet_dpdd/best_*.pth`` as
            training writes them, of which the last in natural order is taken.

    Returns:
        Path | None: None: there are none.
    """
    single = folder / f'{peer.stem}.pth'
    if single.is_file():
        return single
    best = natsorted((folder / peer.stem).glob('best_*.pth'))
    return best[-1] if best else None


def peer_configs() -> list[str]:
    """Configs of all systems that this installation has.

    Returns:
        list[str]: In the order of the table.
    """
    return [peer.config for peer in PEERS if peer.available]


def find_peers(folder: Path) -> tuple[list[tuple[str, str, str]], list[Peer]]:
    """Systems whose weights are in a folder.

    Args:
        folder (Path): As of :func:`find_checkpoint`.

    Returns:
        tuple[list[tuple[str, str, str]], list[Peer]]: Name, config and checkpoint of
        each, and those whose weights are not there.

    Raises:
        InputError: If the folder is none.
    """
    if not folder.is_dir():
        raise InputError(
            f'--peers {folder} is no folder; give the one with the checkpoints'
        )
    found = {peer: find_checkpoint(peer, folder) for peer in PEERS}
    there = [
        (peer.name, peer.config, str(path)) for peer, path in found.items() if path
    ]
    return there, [peer for peer, path in found.items() if path is None]


def without_weights(absent: Sequence[Peer], folder: Path) -> str:
    """Which systems were not scored, and what they would have needed.

    Args:
        absent (Sequence[Peer]): Systems.
        folder (Path): That has no weights of them.

    Returns:
        str: A line each.
    """
    return ''.join(
        f'- {peer.name} is not scored: {folder} has neither {peer.stem}.pth nor '
        f'{peer.stem}/best_*.pth.\n'
        for peer in absent
    )


def table_of_peers(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """Table 1 in its order, other contenders before it.

    Args:
        rows (Sequence[Row]): What was scored.
        columns (Sequence[Column]): Data sets.

    Returns:
        str: Markdown, as of :func:`~.tables.peers_table`.
    """
    scored = {row.model: row for row in rows}
    counts = {
        peer.name: complexity(peer.config, PHOTO) for peer in PEERS if peer.available
    }
    total = {
        name: (count.parameters['total'], count.flops['total'] // 2)
        for name, count in counts.items()
    }
    names = [peer.name for peer in PEERS]
    ordered = [row for row in rows if row.model not in names] + [
        scored.get(name) or Row(name, total.get(name, (None,))[0], {}) for name in names
    ]
    return peers_table(
        ordered, columns, {name: macs for name, (_, macs) in total.items()}
    )
