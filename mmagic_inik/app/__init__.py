"""A page in the browser that restores photos and compares them with the originals."""

import lazy_loader

# NiceGUI and PyTorch are imported when the page is served.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={'serving': ['check_library', 'serve']}
)
