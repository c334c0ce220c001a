"""Taking pictures out of a library: which, whether really, and back again until the page is closed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from imgrag.errors import LibraryError
from imgrag.ui.language import say
from imgrag.ui.library import cards

if TYPE_CHECKING:
    from imgrag.engine.librarian import Librarian
    from imgrag.library.removal import Removal

MOST_UNDONE = 20  # removals of a page; earlier ones are for good then

Updates = list[Any]


@dataclass(frozen=True)
class Taken:
    """What a page took out at once: of which library, as the browser calls it."""

    library: str
    removal: Removal


class Removals:
    """The handlers of one page. `chosen` gives what the librarian knows a library by, or raises LibraryError."""

    def __init__(self, librarian: Librarian, chosen: Callable[[str | None], str]) -> None:
        self._librarian = librarian
        self._chosen = chosen
        self._taken: dict[str, list[Taken]] = {}  # by session hash, the last at the end

    def pick(self, event: gr.EventData) -> Updates:
        """Pictures were ticked: their files, and updates of the row and the button that remove them."""
        if event.act != "tick":
            return [gr.skip()] * 4
        files = [str(file) for file in event.files]
        words = say("Remove {pictures}…", pictures=cards.pictures(len(files)))
        return [files, gr.update(visible=bool(files)), gr.update(value=words), gr.update(visible=False)]

    def ask(self, name: str | None, files: list[str]) -> Updates:
        """Updates of the question, and of the row that it stands in."""
        words = say(
            "Remove {pictures} from “{name}”? You can undo it until you close this page.",
            pictures=cards.pictures(len(files)), name=name,
        )  # fmt: skip
        return [cards.heading(words), gr.update(visible=bool(files))]

    def remove(self, request: gr.Request, name: str | None, files: list[str]) -> Updates:
        """Take pictures out: updates of `LibraryTab.undoing`. Raises LibraryError: they stay as they are."""
        removal = self._librarian.take_out(self._chosen(name), files)
        taken = self._taken.setdefault(request.session_hash or "", [])
        taken.append(Taken(name or "", removal))
        if len(taken) > MOST_UNDONE:
            self._forget(taken.pop(0))
        return self._said(request, name)

    def undo(self, request: gr.Request, name: str | None) -> Updates:
        """Put back what was taken out last: updates of `LibraryTab.undoing`.

        Raises:
            LibraryError: something is being added to the library at the moment.
        """
        taken = self._taken.get(request.session_hash or "", [])
        if taken:
            last = taken.pop()
            try:
                self._librarian.put_back(self._chosen(last.library), last.removal)
            except LibraryError:
                taken.append(last)  # it may go another time
                raise
        return self._said(request, name)

    def moved(self, old: str, new: str | None) -> None:
        """A library has another name, so what was taken out of it goes back there; or it was deleted."""
        for taken in self._taken.values():
            here = [replace(one, library=new) if new and one.library == old else one for one in taken]
            taken[:] = [one for one in here if one.library != old]

    def leave(self, request: gr.Request) -> None:
        """The page was closed: nothing can be undone any more."""
        for taken in self._taken.pop(request.session_hash or "", []):
            self._forget(taken)

    def _forget(self, taken: Taken) -> None:
        with suppress(LibraryError):  # the library itself was deleted
            self._librarian.forget(self._chosen(taken.library), taken.removal)

    def _said(self, request: gr.Request, name: str | None) -> Updates:
        """The figures of the library that is chosen, what can be undone, and whether anything can."""
        stats = cards.stats(self._librarian.stats(self._chosen(name))) if name else ""
        taken = self._taken.get(request.session_hash or "", [])
        if not taken:
            return [stats, "", gr.update(visible=False)]
        pictures = cards.pictures(len(taken[-1].removal.files))
        words = say("{pictures} taken out of “{name}”.", pictures=pictures, name=taken[-1].library)
        return [stats, cards.removed(words), gr.update(visible=True)]
