"""Make the demo's data: photos from scikit-image and scikit-learn, and blurred copies.

`tools/make_demo_data.py [FOLDER]` writes FOLDER/{train,test}/{input,target}/*.png and
FOLDER/{train,test}/radius/*.npy, the disc radius at every pixel. Training photos and
test photos are different photos.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmagic_inik.datasets.demo_data import make_demo_data


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', nargs='?', type=Path, default='data/demo')
    make_demo_data(parser.parse_args(arguments).folder)


if __name__ == '__main__':
    main()
