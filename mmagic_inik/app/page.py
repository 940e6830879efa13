"""The page: photos at the left, comparison at the right."""

from functools import partial
from pathlib import Path

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement
from nicegui.events import GenericEventArguments

from ..errors import InputError
from .elements import LEAFLET, Intake, Viewer
from .routes import too_large
from .sessions import CANCELLED, DONE, FAILED, WAITING, WORKING, Item, Session
from .studio import Studio

TITLE = 'Defocus restoration'
# Seconds between two looks at what has changed.
_PERIOD = 0.25
_STYLE = '\n'.join(
    path.read_text(encoding='utf-8')
    for path in (
        LEAFLET / 'leaflet' / 'leaflet.css',
        Path(__file__).with_name('page.css'),
    )
)
# A download that fails leaves its sentence in this frame, whence it is said.
_DOWNLOADS = """
<iframe name="downloads" class="unseen" title="Downloads" onload="
  const said = this.contentDocument?.body?.innerText.trim();
  if (said) document.getElementById('trouble').textContent = said;
"></iframe>
<p id="trouble" role="alert" class="download-trouble"></p>
"""


def build_page(studio: Studio) -> None:
    """Fill the page that is being opened.

    Args:
        studio (Studio): Whose photos it takes.
    """
    session = studio.sessions.open()
    client = ui.context.client
    client.on_delete(lambda: studio.sessions.close(session))
    ui.add_head_html(f'<style>{_STYLE}</style>')
    Desk(studio, session)


class Desk:
    """What is on an open page.

    Args:
        studio (Studio): Restores photos.
        session (Session): The page's own.
    """

    def __init__(self, studio: Studio, session: Session) -> None:
        self._studio = studio
        self._session = session
        self._base = f'/s/{session.token}'
        self._rows: dict[Item, Row] = {}
        self._chosen: Item | None = None
        self._viewer: Viewer | None = None
        with ui.element('div').classes('desk'):
            with ui.element('header'):
                _text('h1', TITLE)
                _text('p', 'Your photos stay on the machine that runs this page.')
            with ui.element('aside').props('aria-label="Photos"'):
                self._intake = Intake(self._base, studio.max_bytes)
                self._intake.on('refuse', self._refuse)
                self._list = ui.element('ul').classes('photos')
                self._list.props('aria-label="Photos on this page"')
                self._zip = (
                    ui.element('a')
                    .classes('button')
                    .props(f'href="{self._base}/photos.zip" target="downloads"')
                )
                with self._zip:
                    self._zip_text = _text('span', '')
                self._zip.set_visibility(False)
            with ui.element('div').classes('work'):
                self._holder = ui.element('div').classes('holder')
                with self._holder:
                    _welcome(studio.about)
                ui.html(_DOWNLOADS, sanitize=False)
        self._news = _text('p', '').classes('unseen').props('role=status')
        ui.timer(_PERIOD, self._look)

    def _refuse(self, event: GenericEventArguments) -> None:
        """Put what the browser did not send on the page, with the reason."""
        name, why = event.args['name'], event.args['why']
        try:
            item = self._session.add(name)
        except InputError as error:
            self._news.text = f'{error}.'
            return
        item.state = FAILED
        item.sentence = (
            str(too_large(item.name, self._studio.max_bytes))
            if why == 'size'
            else f'{item.name} is a folder; drop the photos in it'
        )
        self._studio.sessions.empty(item)

    def _look(self) -> None:
        """Bring the page up to date, and touch only what has changed."""
        items = list(self._session.items)
        for item in items:
            if item not in self._rows:
                with self._list:
                    self._rows[item] = Row(self, self._studio, self._base, item)
            row = self._rows[item]
            if row.show():
                self._news.text = f'{item.name}: {row.state}. {_sentence(item)}'
                if item.state == DONE and self._chosen is None:
                    self.choose(item)
        for item in [item for item in self._rows if item not in items]:
            self._rows.pop(item).delete()
        self._intake.guard(bool(items))
        done = sum(item.state == DONE for item in items)
        self._zip.set_visibility(done > 1)
        self._zip_text.text = f'Download all {done} as a zip file'
        if self._viewer is not None and self._chosen is not None:
            self._show_map(self._chosen, self._viewer)

    def choose(self, item: Item) -> None:
        """Compare a photo that was restored."""
        self._chosen = item
        self._holder.clear()
        with self._holder:
            place = f'{self._base}/{item.key}'
            self._viewer = Viewer(place, item, self._studio.draws_sizes)
        self._viewer.on('strength', lambda event: _set_strength(item, event.args))
        self._viewer.on('sizes', lambda: self._studio.draw_sizes(self._session, item))
        for each, row in self._rows.items():
            row.mark(each is item)

    def remove(self, item: Item) -> None:
        """Cancel what is being done with a photo, or take it off the page."""
        if item.state in (WAITING, WORKING):
            if item.task is not None:
                self._studio.line.cancel(item.task)
            return
        self._studio.sessions.remove(self._session, item)
        if item is self._chosen:
            self._chosen = self._viewer = None
            self._holder.clear()
            rest = [each for each in self._session.items if each.state == DONE]
            if rest:
                self.choose(rest[-1])
            else:
                with self._holder:
                    _welcome(self._studio.about)

    def _show_map(self, item: Item, viewer: Viewer) -> None:
        remark = _sentence_of(item.sizes_sentence)
        if item.sizes_task is not None:
            percent = int(100 * item.sizes_task.share)
            wait = self._studio.line.before(item.sizes_task)
            remark = (
                f'The map waits: {_photos(wait)} before it.'
                if wait
                else f'Drawing the map: {percent} %'
            )
        viewer.show_map(item, remark)


class Row:
    """A photo in the list.

    Args:
        desk (Desk): The page.
        studio (Studio): Restores it.
        base (str): Address of the session.
        item (Item): The photo.
    """

    def __init__(self, desk: Desk, studio: Studio, base: str, item: Item) -> None:
        self._studio = studio
        self._item = item
        self._thumbnail = f'{base}/{item.key}/thumbnail.png'
        self._shown: tuple | None = None
        self.state = ''
        self._line = ui.element('li')
        with self._line:
            self._pick = ui.element('button').classes('pick').props('type=button')
            self._pick.on('click', partial(desk.choose, item))
            with self._pick:
                self._image = ui.element('img').classes('thumb').props('alt=""')
                _text('span', item.name).classes('name')
                self._state = _text('span', '').classes('state')
            self._button = ui.element('button').classes('plain').props('type=button')
            self._button.on('click', partial(desk.remove, item))
            with self._button:
                _text('span', '×').props('aria-hidden=true')
            self._bar = ui.element('progress').props('max=100')
            self._bar.props['aria-label'] = f'Progress of {item.name}'
            self._sentence = _text('p', '').classes('sentence')

    def show(self) -> bool:
        """Bring it up to date.

        Returns:
            bool: Whether it is restored, failed or was cancelled since the last time.
        """
        item = self._item
        busy = item.state in (WAITING, WORKING)
        percent = int(100 * item.task.share) if item.task else 0
        shown = item.state, percent, self._describe(), item.sentence
        if shown == self._shown:
            return False
        news = not busy and (self._shown is None or self._shown[0] != item.state)
        self._shown, self.state = shown, shown[2]
        self._state.text = self.state
        if item.state == FAILED:
            self._line.classes(add='failed')
        self._pick.props['disabled'] = item.state != DONE
        self._pick.update()
        verb = 'Cancel' if busy else 'Remove'
        self._button.props['title'] = verb
        self._button.props['aria-label'] = f'{verb} {item.name}'
        self._button.update()
        self._bar.set_visibility(item.state == WORKING)
        self._bar.props['value'] = percent
        self._bar.update()
        self._sentence.text = _sentence(item)
        self._sentence.set_visibility(bool(item.sentence))
        if item.state == DONE and 'src' not in self._image.props:
            self._image.props['src'] = self._thumbnail
            self._image.update()
        return news

    def mark(self, chosen: bool) -> None:
        """Show whether it is the one that is compared."""
        if chosen:
            self._line.classes(add='chosen')
        else:
            self._line.classes(remove='chosen')
        self._pick.props['aria-pressed'] = str(chosen).lower()
        self._pick.update()

    def delete(self) -> None:
        """Take it off the page."""
        self._line.delete()

    def _describe(self) -> str:
        item, line = self._item, self._studio.line
        task = item.task
        if item.state == WAITING and task is not None:
            before = line.before(task)
            return f'waits: {_photos(before)} before it' if before else 'begins'
        if item.state == WORKING and task is not None:
            left = line.seconds_left(task)
            percent = f'{int(100 * task.share)} %'
            return percent if left is None else f'{percent}, {_duration(left)} left'
        names = {
            WAITING: 'is being read',
            WORKING: 'is being written',
            DONE: 'restored',
            FAILED: 'not restored',
            CANCELLED: 'cancelled',
        }
        return names[item.state]


def _welcome(about: str) -> None:
    with ui.element('div').classes('welcome'):
        _text('h2', 'Take the defocus blur out of photos.')
        _text(
            'p',
            'Compare original and restored down to single pixels, choose how strong '
            'the restoration shall be, and download a file of the same format, depth, '
            'colour profile and metadata.',
        )
        _text('p', f'Restores with {about}.')


def _text(tag: str, text: str) -> TextElement:
    """An HTML element that holds text and never markup."""
    return TextElement(tag=tag, text=text)


def _set_strength(item: Item, percent: object) -> None:
    if isinstance(percent, int) and 0 <= percent <= 100:
        item.strength = percent


def _sentence(item: Item) -> str:
    return _sentence_of(item.sentence)


def _sentence_of(text: str) -> str:
    return f'{text[0].upper()}{text[1:]}.' if text else ''


def _photos(count: int) -> str:
    return f'{count} photo' if count == 1 else f'{count} photos'


def _duration(seconds: float) -> str:
    """As one says it.

    Example:
        >>> [_duration(s) for s in (0.4, 12, 100, 5000)]
        ['1 s', '12 s', '2 min', '1 h 23 min']
    """
    if seconds < 60:
        return f'{max(1, round(seconds))} s'
    minutes = round(seconds / 60)
    if minutes < 60:
        return f'{minutes} min'
    return f'{minutes // 60} h {minutes % 60} min'
