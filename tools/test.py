"""Test: `tools/test.py CONFIG CHECKPOINT`; `--help` lists MMagic's options."""

from mmagic_inik.launch import run_tool

if __name__ == '__main__':
    run_tool('test.py')
