"""The two parts of the page that work in the browser: intake and viewer."""

from pathlib import Path

import nicegui
import numpy as np
from nicegui.element import Element

from ..photos import EXTENSIONS
from .pictures import paint
from .sessions import Item

# Comes with NiceGUI, whose own element would ask for street maps.
LEAFLET = Path(nicegui.__file__).parent / 'elements' / 'leaflet' / 'dist'
# Of the map's colours, for its legend.
_STEPS = 9


class Intake(Element, component='intake.js'):
    """Takes photos by mouse, file dialogue or paste.

    Emits ``refuse`` with the name of what is not sent, and why: ``'size'`` or
    ``'folder'``.

    Args:
        base (str): Address of the page's session.
        max_bytes (int): Of a file, at most.
    """

    def __init__(self, base: str, max_bytes: int) -> None:
        super().__init__()
        self._props['base'] = base
        self._props['max-bytes'] = max_bytes
        self._props['accept'] = ','.join(('image/*', *EXTENSIONS))
        self._props['guarded'] = False

    def guard(self, guarded: bool) -> None:
        """Let the browser ask before the page is left, or not."""
        if self._props['guarded'] != guarded:
            self._props['guarded'] = guarded
            self.update()


class Viewer(Element, component='viewer.js', esm={'nicegui-leaflet': str(LEAFLET)}):
    """Compares a photo with what it was restored to.

    Emits ``strength`` with a percentage, and ``sizes`` when the map is wanted.

    Args:
        base (str): Address of the photo.
        item (Item): Restored.
        mappable (bool): Whether there are kernel sizes to be drawn.
    """

    def __init__(self, base: str, item: Item, mappable: bool) -> None:
        super().__init__()
        width, height = item.size
        self._props.update(
            base=base,
            name=item.name,
            width=width,
            height=height,
            strength=item.strength,
            mappable=mappable,
            sizes=item.sizes,
            colors=legend(),
        )
        self._props['map-remark'] = ''

    def show_map(self, item: Item, remark: str) -> None:
        """Show what has become of the map."""
        if (self._props['sizes'], self._props['map-remark']) != (item.sizes, remark):
            self._props['sizes'] = item.sizes
            self._props['map-remark'] = remark
            self.update()


def legend() -> list[str]:
    """The map's colours from the least size to the largest, as CSS calls them."""
    shares = np.linspace(0, 255, _STEPS).astype(np.uint8)[None]
    return ['#{:02x}{:02x}{:02x}'.format(*color) for color in paint(shares)[0]]
