"""Choices that a command line offers before PyTorch is imported."""

DTYPES = ('auto', 'float32', 'bfloat16', 'float16')
# Pixels: see README, and benchmarks/overlap.py, which measures it.
DEFAULT_OVERLAP = 64
# Those that come with the package, the default first.
NETWORKS = ('light', 'small')
# What runs the network.
ENGINES = ('pytorch', 'onnxruntime', 'openvino')
