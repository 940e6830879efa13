"""What all tools have in common."""

import argparse
from pathlib import Path

import pytest

from mmagic_inik.command_line import add_device_option, progress_bar, sentences_of
from mmagic_inik.errors import InputError, MissingPackageError

TOOLS = Path(__file__).parents[1] / 'tools'


@pytest.mark.parametrize('tool', sorted(TOOLS.glob('*.py')), ids=lambda path: path.stem)
def test_a_tool_is_thin(tool):
    """What is more than arguments, a call and its answer belongs to the package."""
    assert len(tool.read_text(encoding='utf-8').splitlines()) <= 120


def test_a_mistake_is_a_sentence_and_status_1():
    with pytest.raises(SystemExit) as stop, sentences_of('tool'):
        raise InputError('photo.jpg is none; give another')
    # Python prints it, and ends with status 1.
    assert stop.value.code == 'tool: photo.jpg is none; give another'
    needs = pytest.raises(SystemExit, match='^tool: it needs the full set-up')
    with needs, sentences_of('tool'):
        raise MissingPackageError('it', 'mmagic')


def test_other_mistakes_are_named_by_who_expects_them():
    ends = pytest.raises(SystemExit, match='^tool: no such option$')
    with ends, sentences_of('tool', TypeError):
        raise TypeError('no such option')


def test_a_fault_of_ours_keeps_its_traceback():
    with pytest.raises(ValueError, match='^a fault$'), sentences_of('tool'):
        raise ValueError('a fault')


def test_a_bar_leaves_the_output_alone(capsys):
    with progress_bar(2, 'pair') as bar:
        bar.update()
        bar.update()
    printed = capsys.readouterr()
    assert printed.out == ''
    assert '2/2' in printed.err


def test_a_device_is_chosen_later():
    parser = argparse.ArgumentParser()
    add_device_option(parser)
    assert parser.parse_args([]).device is None
    assert parser.parse_args(['--device', 'cuda:1']).device == 'cuda:1'
