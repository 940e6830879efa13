"""Restore a photo with an exported model; needs numpy, onnxruntime and Pillow alone.

`restore_onnx.py MODEL.onnx PHOTO OUT` gives the whole photo to the model at once.
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def main() -> None:
    """Command line."""
    model, photo, out = sys.argv[1:]
    session = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])
    image = ImageOps.exif_transpose(Image.open(photo)).convert('RGB')
    planes = np.asarray(image, np.float32).transpose(2, 0, 1)[None] / 255
    (restored,) = session.run(None, {'image': planes})
    pixels = np.rint(restored[0].clip(0, 1) * 255).astype(np.uint8)
    Image.fromarray(pixels.transpose(1, 2, 0)).save(out)


if __name__ == '__main__':
    main()
