"""The systems of the paper's Table 1, and successors, as contenders."""

from pathlib import Path
from typing import NamedTuple

from natsort import natsorted

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
