"""Leaves out what the pinned packages say of their own age at every start.

MMagic imports packages that warn of one another, of which nothing can be mended by
whoever restores or trains. Each warning is named by module and message, so that
everything else is shown as ever; ``python -W default`` shows these, too.
"""

import sys
import warnings

# Category, module and beginning of the message; the latter two are regular expressions.
_KNOWN = (
    (
        FutureWarning,
        r'(transformers|diffusers)\.utils',
        r'`torch\.utils\._pytree\._register_pytree_node` is deprecated',
    ),
    (FutureWarning, r'timm\.models', r'Importing from timm\.models\.\w+ is deprecated'),
    (UserWarning, 'controlnet_aux', r'Overwriting tiny_vit_\w+ in registry'),
    # Of whatever imports it, importlib included.
    (UserWarning, '', 'pkg_resources is deprecated as an API'),
)


def leave_out_known_warnings() -> None:
    """Filter what MMagic's import is known to warn of, in this process."""
    if sys.warnoptions:
        # Somebody wants to see, or to stop at, warnings.
        return
    for category, module, message in _KNOWN:
        warnings.filterwarnings('ignore', message, category, module)
