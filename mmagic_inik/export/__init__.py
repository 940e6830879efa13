"""Networks as files that run without PyTorch and without this package."""

import lazy_loader

# onnx and onnxruntime are an extra, and PyTorch takes seconds.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=['checking', 'forms', 'source', 'tracing', 'writing'],
    submod_attrs={
        'source': ['Source', 'find_source'],
        'tracing': ['to_onnx'],
        'writing': ['Export', 'export', 'model_of'],
    },
)
