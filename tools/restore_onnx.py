"""Restore a photo with an exported model, whole; needs numpy, onnxruntime, Pillow."""

import argparse

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ('model', 'photo', 'out'):
        parser.add_argument(name)
    args = parser.parse_args()
    cpu = ['CPUExecutionProvider']
    session = onnxruntime.InferenceSession(args.model, providers=cpu)
    image = ImageOps.exif_transpose(Image.open(args.photo)).convert('RGB')
    planes = np.asarray(image, np.float32).transpose(2, 0, 1)[None] / 255
    (restored,) = session.run(None, {'image': planes})
    pixels = np.rint(restored[0].clip(0, 1) * 255).astype(np.uint8)
    Image.fromarray(pixels.transpose(1, 2, 0)).save(args.out)


if __name__ == '__main__':
    main()
