"""Train: `tools/train.py CONFIG`; `--help` lists MMagic's options."""

from mmagic_inik.launch import run_tool

if __name__ == '__main__':
    run_tool('train.py')
