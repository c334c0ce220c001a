"""What the Library tab's fold "Knowledge" does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from imgrag.errors import Cancelled, LibraryError
from imgrag.texts import clean_line
from imgrag.ui.create import markup
from imgrag.ui.create.events.runs import explain
from imgrag.ui.language import say
from imgrag.ui.library import cards, facts
from imgrag.ui.library.views import Updates
from imgrag.ui.server import imports

if TYPE_CHECKING:
    from imgrag.knowledge import KnowledgeBase, KnowledgeShelf
    from imgrag.models import Embedder

SHOWN = 50  # texts at a time
READING_SECONDS = 60  # that one visitor's files may be read for


class Knowledge:
    """The handlers of one page.

    Args:
        embedder: gives the profile's CLIP; nothing is loaded before.
    """

    def __init__(self, shelf: KnowledgeShelf, embedder: Callable[[], Embedder]) -> None:
        self._shelf = shelf
        self._embedder = embedder
        self._adding: dict[str, threading.Event] = {}  # by session hash: what stops it

    def arrive(self, name: str | None) -> Any:
        """The page was opened: which knowledge bases there are by now."""
        return self._choices(name)

    def create(self, new: str) -> Updates:
        """Updates of `KnowledgeFold.choosing`: a new, empty one is chosen."""
        return self._managed(lambda: self._shelf.create(clean_line(new)), clean_line(new))

    def copy(self, name: str | None) -> Updates:
        """Updates of `KnowledgeFold.choosing`: a copy of one that comes with the app, which can be changed."""
        new = cards.copy_name(name or "", self._shelf.names())
        return self._managed(lambda: self._shelf.copy(self._base(name).name, new), new)

    def show(self, name: str | None) -> Updates:
        """Another one is chosen: updates of `KnowledgeFold.whole`."""
        return [*self.refresh(name, "", False), "", "", ""]

    def refresh(self, name: str | None, words: str, meaning: bool) -> Updates:
        """What is in it now and what can be done to it: updates of `KnowledgeFold.inside`."""
        if not name:
            none = cards.heading(say("None yet. Name one and press Create."))
            return [none, *_kind(fixed=False), *_listed("")]
        try:
            base = self._base(name)
            stats = facts.stats(base.count(), base.read_only, self._shelf.damaged(base.name))
            return [stats, *_kind(base.read_only), *_listed(self._texts(base, words, meaning))]
        except Exception as error:  # noqa: BLE001  whatever it is, the person gets a sentence
            return [markup.sentence(explain(error)), *_kind(fixed=False), *_listed("")]

    def look_up(self, name: str | None, words: str, meaning: bool) -> Updates:
        """Updates of `KnowledgeFold.found`."""
        try:
            return [*_listed(self._texts(self._base(name), words, meaning)), ""]
        except Exception as error:  # noqa: BLE001
            return [*_listed(""), markup.sentence(explain(error))]

    def add(self, request: gr.Request, name: str | None, files: list[str] | None) -> Iterator[Updates]:
        """Take in uploaded files: updates of the report, the banner and the files."""
        key = request.session_hash or ""
        stop = self._adding.setdefault(key, threading.Event())
        try:
            yield [cards.working(say("Reading the texts…")), "", gr.skip()]
            if not files:
                raise LibraryError("There is nothing to add yet. Choose some files first.")
            done = self._base(name).add(*map(Path, files), check=_limited(stop))
            yield [facts.report(done), "", None]
        except Exception as error:  # noqa: BLE001
            yield ["", markup.sentence(explain(error)), gr.skip()]
        finally:
            self._adding.pop(key, None)

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        if stop := self._adding.get(request.session_hash or ""):
            stop.set()

    def pick(self, event: gr.EventData) -> Updates:
        """Texts were ticked: which, and updates of the row and the button that remove them, and of the question."""
        picked = [str(one) for one in event.files]
        words = say("Remove {texts}…", texts=facts.texts(len(picked)))
        return [picked, gr.update(visible=bool(picked)), gr.update(value=words), gr.update(visible=False)]

    def ask_remove(self, name: str | None, picked: list[str]) -> Updates:
        """Updates of the question, of its row, and what a yes does."""
        words = say(
            "Remove {texts} from “{name}”? This cannot be undone.", texts=facts.texts(len(picked)), name=name
        )
        return [cards.heading(words), gr.update(visible=bool(picked)), "remove"]

    def ask_delete(self, name: str | None) -> Updates:
        """Likewise."""
        words = say("Delete “{name}” with all its texts? This cannot be undone.", name=name)
        return [cards.heading(words), gr.update(visible=bool(name)), "delete"]

    def sure(self, name: str | None, doing: str, picked: list[str]) -> Updates:
        """Updates of `KnowledgeFold.choosing`: what was asked is done."""
        if doing == "delete":
            return self._managed(lambda: self._shelf.delete(name or ""), None)
        return self._managed(lambda: self._remove(name, picked), name)

    def _texts(self, base: KnowledgeBase, words: str, meaning: bool) -> str:
        """What is found, or without words the first ones."""
        if not (words or "").strip():
            first = cards.heading(say("The first {count:,}", count=SHOWN)) if base.count() > SHOWN else ""
            return first + facts.listed(base.texts(0, SHOWN), not base.read_only)
        if meaning:
            imports.wait()
        found = base.search(words, SHOWN, self._embedder() if meaning else None)
        return cards.heading(cards.found(len(found))) + facts.listed(found, not base.read_only)

    def _remove(self, name: str | None, picked: list[str]) -> None:
        base = self._base(name)
        for one in picked:
            term, _, text = one.partition("\n")
            base.remove(term, text)

    def _managed(self, change: Callable[[], object], name: str | None) -> Updates:
        """Change something; then the choice, the name's field, the question and the banner."""
        try:
            change()
        except Exception as error:  # noqa: BLE001
            return [gr.skip(), gr.skip(), gr.update(visible=False), markup.sentence(explain(error))]
        return [self._choices(name), "", gr.update(visible=False), ""]

    def _choices(self, name: str | None) -> Any:
        names = self._shelf.names()
        return gr.update(choices=names, value=name if name in names else next(iter(names), None))

    def _base(self, name: str | None) -> KnowledgeBase:
        if not name:
            raise LibraryError("No knowledge base is chosen. Create one, or choose one from the list.")
        return self._shelf.open(name)


def _limited(stop: threading.Event) -> Callable[[], None]:
    """What raises once the page is closed, or reading goes on for too long."""
    end = time.monotonic() + READING_SECONDS

    def check() -> None:
        if stop.is_set():
            raise Cancelled("Adding was stopped.")
        if time.monotonic() > end:
            raise LibraryError(
                f"Reading took longer than {READING_SECONDS} seconds; add fewer or smaller files."
            )

    return check


def _kind(fixed: bool) -> Updates:
    """What can be done to the one that is chosen."""
    return [gr.update(visible=not fixed), gr.update(visible=fixed), gr.update(interactive=not fixed)]


def _listed(html: str) -> Updates:
    """The texts, none of which is ticked, and no question."""
    return [html, [], gr.update(visible=False), gr.update(visible=False)]
