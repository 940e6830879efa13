"""Test: `tools/test.py CONFIG CHECKPOINT`; `--help` lists MMagic's options."""

import mmagic_inik.full_setup  # noqa: F401

from mmagic_inik.launch import run_tool

if __name__ == '__main__':
    run_tool('test.py')
