"""Write a network as an ONNX model, which needs neither PyTorch nor this package.

`tools/export.py CHECKPOINT OUT.onnx` finds the network by the config or card beside the
checkpoint; CHECKPOINT may be the word `shipped`, for what comes with the package, or
the name of one of these. The model takes images of any size and is checked against
PyTorch in onnxruntime; one that differs is not written. OUT.safetensors writes the
weights alone.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmagic_inik.command_line import sentences_of
from mmagic_inik.quiet import leave_out_known_warnings


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'checkpoint',
        help='of a training, .pth; or shipped, or the name of a network of the package',
    )
    parser.add_argument('out', type=Path, help='file to write, .onnx or .safetensors')
    parser.add_argument('--config', help='of the training, where it is not beside')
    parser.add_argument(
        '--dtype',
        choices=('float32', 'float16'),
        default='float32',
        help='of weights and features (default: %(default)s)',
    )
    args = parser.parse_args(arguments)
    leave_out_known_warnings()
    with sentences_of('export'):
        from mmagic_inik.export.extra import require_extra

        require_extra('tools/export.py')
        from mmagic_inik.export import export

        written = export(args.checkpoint, args.out, args.config, args.dtype)
    for size, error, psnr, _ in written.agreements:
        shape = 'x'.join(map(str, (size[0], 3, *size[1:])))
        print(f'{shape}: largest difference from PyTorch {error:.1e}, {psnr:.1f} dB')
    print(f'{args.out}: {len(written.content) / 1e6:.2f} MB in {args.dtype}')


if __name__ == '__main__':
    main()
