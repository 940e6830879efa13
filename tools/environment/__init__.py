"""Building `.venv`. Standard library only, of any Python: it says which is needed."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = ROOT / 'requirements' / 'constraints.txt'


class SetupError(Exception):
    """One sentence: what is wrong and the cure."""
