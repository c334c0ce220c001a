"""What the Library tab's and its endpoints' events do. Knows the librarian, not its engines or models."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.utils import LRUCache

from imgrag.engine.librarian import as_rows
from imgrag.errors import Cancelled, LibraryError
from imgrag.library.intake.adding import Progress, Report
from imgrag.library.intake.sources import has_pictures
from imgrag.library.search.queries import PICTURE_SHARE, Query
from imgrag.texts import clean_line
from imgrag.ui.create import markup
from imgrag.ui.create.events.runs import detached
from imgrag.ui.create.events.runs import explain as in_a_sentence
from imgrag.ui.language import say, told
from imgrag.ui.library import cards
from imgrag.ui.library.cards import PAGE, Card
from imgrag.ui.library.reasons import Hits, Reasons
from imgrag.ui.library.removals import Removals
from imgrag.ui.library.uploads import folder_below, read_upload
from imgrag.ui.library.views import Updates, View, failed, shown
from imgrag.ui.server import imports

if TYPE_CHECKING:
    from imgrag.engine.librarian import Found, Librarian
    from imgrag.library.engines.store import Entry
    from imgrag.runs.values import Candidate

THUMBNAIL = 192  # px; hardly a card is wider
SHOWN_EVERY = 0.25  # seconds between updates of the progress
MOST_ADDING = 100  # pages that were told what an Add would do, or have one under way


@dataclass(frozen=True)
class Adding:
    """What one page is adding: to which library, which files and folders, and how to stop it."""

    library: str  # what the librarian knows it by
    paths: Sequence[Path]
    stop: threading.Event


class Shelves:
    """The handlers of one page.

    Args:
        offered: name in the browser -> what the librarian knows a library by, as it is at each look.
            Nothing else can be opened from a browser.
        folders: where folders of this machine may be added from; `None` is nowhere.
    """

    def __init__(self, librarian: Librarian, offered: Mapping[str, str], folders: Path | None = None) -> None:
        self._librarian = librarian
        self._offered = offered
        self._folders = folders
        self._adding: dict[str, Adding] = LRUCache(MOST_ADDING)  # by session hash
        self.removals = Removals(librarian, self._chosen)
        self.reasons = Reasons(librarian)

    def arrive(self, name: str | None, drawing: str | None) -> Updates:
        """The page was opened: which libraries there are by now, for both choices of one; both begin with the same."""
        return self._choices(drawing or name, drawing)

    def create(self, drawing: str | None, new: str) -> Updates:
        """Updates of `LibraryTab.choosing`: a new, empty library is chosen."""
        name = clean_line(new)
        return self._managed(lambda: self._librarian.create(name), name, drawing)

    def copy(self, name: str | None, drawing: str | None) -> Updates:
        """Updates of `LibraryTab.choosing`: a copy of a library that comes with the app, which can be changed."""
        new = cards.copy_name(name or "", self._offered)

        def make() -> None:
            if not self._librarian.library(self._chosen(name)).read_only:
                raise LibraryError(f"The library {name!r} can be changed as it is.")
            self._librarian.copy(self._chosen(name), new)

        return self._managed(make, new, new if drawing == name else drawing)

    def rename(self, name: str | None, drawing: str | None, new: str) -> Updates:
        """Updates of `LibraryTab.choosing`: the library under its new name."""
        new = clean_line(new)

        def act() -> None:
            self._librarian.rename(name or "", new)
            self.removals.moved(name or "", new)

        return self._managed(act, new, new if drawing == name else drawing)

    def delete(self, name: str | None, drawing: str | None) -> Updates:
        """Updates of `LibraryTab.choosing`: the library is gone and the first one is chosen."""

        def act() -> None:
            self._librarian.delete(name or "")
            self.removals.moved(name or "", None)

        return self._managed(act, None, drawing)

    def confirm(self, name: str | None) -> Updates:
        """Ask before a library is deleted: updates of the question and of its row."""
        words = say(
            "Delete “{name}”? Its copies of pictures and its index go. Folders that were added stay.",
            name=name,
        )
        return [cards.heading(words), gr.update(visible=name is not None)]

    def open(self, name: str | None) -> Updates:
        """The library's figures, its first page, and what can be done to it: updates of `LibraryTab.whole`."""
        if not name:
            return ["", *shown(View(say("No library yet. Name one and press Create."))), *_kind(fixed=False)]
        try:
            stats = self._librarian.stats(self._chosen(name))
            page = shown(self._page(self._chosen(name), "", 1))
        except Exception as error:  # noqa: BLE001  whatever it is, the person gets a sentence
            return ["", *failed(error), *_kind(fixed=False)]
        return [cards.stats(stats), *page, *_kind(stats["read_only"])]

    def turn(self, name: str | None, where: str, number: float | None, step: int = 0) -> Updates:
        """Browse: the page that is `step` pages on."""
        return self._viewed(lambda: self._page(self._chosen(name), where, int(number or 1) + step))

    def look(
        self, name: str | None, text: str, picture: str | None, where: str, number: float = 1
    ) -> Updates:
        """The search form was sent: whether there is something to find, then updates of `LibraryTab.view`.

        Without words or a picture it only browses, which needs no model and waits for none.
        """
        if not (text or "").strip() and not picture:
            return [False, *self.turn(name, where, number)]
        try:
            self._librarian.require_pictures(self._chosen(name), where)
        except Exception as error:  # noqa: BLE001
            return [False, *failed(error)]
        return [True, *shown(View(say("Searching…")))]

    def lost(self) -> Updates:
        """The search was not even begun, as where too many wait already: updates of `LibraryTab.view`."""
        return shown(View())

    def find(
        self, wanted: bool, name: str | None, text: str, picture: str | None, weight: float, where: str,
        k: float, rerank: bool, reasons: bool = False,
    ) -> Updates:  # fmt: skip
        """What `look` left to be found: updates of `LibraryTab.view`, and what is shown there."""
        if not wanted:
            return [gr.skip()] * len(shown(View())) + [None]
        try:
            found = self._search(name, text, picture, weight, where, k, rerank, reasons)
            results = [self._card(self._chosen(name), candidate) for candidate in found.candidates]
            fixed = self._librarian.library(self._chosen(name)).read_only
        except Exception as error:  # noqa: BLE001
            return [*failed(error), None]
        view = View(cards.found(len(results)), results, reason=found.reason, note=found.note, fixed=fixed)
        return [*shown(view), Hits(text, view, found.candidates)]

    def begin(self, request: gr.Request, name: str | None, files: list[str] | None, folder: str) -> Updates:
        """Get ready to add what was chosen: updates of `LibraryTab.adding`.

        From here on Stop has something to stop, whether it is this page's turn yet or not.
        """
        return self._ready(request, name, lambda: self._paths(files, folder))

    def begin_again(self, request: gr.Request, name: str | None) -> Updates:
        """Get ready to look what has changed: updates of `LibraryTab.adding`."""
        return self._ready(request, name, list)

    def begin_first(self, request: gr.Request, name: str | None) -> Updates:
        """Likewise, if nobody has looked into the library's folder yet: updates of `LibraryTab.adding`."""
        try:
            library = self._librarian.library(self._chosen(name))
            fresh = not library.count() and any(map(has_pictures, library.sources))
        except LibraryError:  # shown by `open` already
            fresh = False
        return self._ready(request, name, list) if fresh else [gr.skip()] * 5

    def add(self, request: gr.Request) -> Iterator[Updates]:
        """Add what is ready: updates of `LibraryTab.adding`, the uploaded files, and whether it was done.

        Nothing is ready where `begin` refused. It says so: without any update Gradio empties all outputs.
        """
        key = request.session_hash or ""
        adding = self._adding.get(key)
        if adding is None:
            yield [gr.skip()] * 7
            return
        try:
            for strip, report in self._steps(adding):
                yield [strip, report, "", gr.skip(), gr.skip(), gr.skip(), False]
            yield ["", gr.skip(), "", *_buttons(True), None, True]
        except Exception as error:  # noqa: BLE001
            yield ["", "", markup.sentence(in_a_sentence(error)), *_buttons(True), gr.skip(), True]
        finally:
            self._adding.pop(key, None)

    def reopen(self, done: bool, name: str | None) -> Updates:
        """If something was added: that it has been seen to, and what `open` updates for what is chosen now."""
        as_it_is = [gr.skip()] * (1 + len(shown(View())) + len(_kind(fixed=False)))
        return [False, *(self.open(name) if done else as_it_is)]

    def stop(self, request: gr.Request) -> Any:
        """Stop adding after the batch at work: an update of the strip."""
        adding = self._adding.get(request.session_hash or "")
        if adding is None:
            return gr.skip()
        adding.stop.set()
        return cards.working(say("Stopping…"))

    def turned_away(self, request: gr.Request) -> Updates:
        """Adding was not even begun, as where too many wait already: updates of `LibraryTab.adding`."""
        self._adding.pop(request.session_hash or "", None)
        return ["", "", "", *_buttons(True)]

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        adding = self._adding.pop(request.session_hash or "", None)
        if adding is not None:
            adding.stop.set()
        self.removals.leave(request)

    def library_search(
        self,
        library: str,
        text: str = "",
        image: str | None = None,
        weight: float = PICTURE_SHARE,
        where: str = "",
        k: float = 12,
        rerank: bool = False,
        explain: bool = False,
        reasons: bool = False,
    ) -> list[dict[str, Any]]:
        """Search a library of images by words, by an image, or by both.

        Args:
            library: the library's name, one of those that library_list gives.
            text: what to look for, in words; may be empty if there is an image.
            image: an image to look for similar ones of.
            weight: the image's share where there are both, 0 to 1.
            where: a filter over the metadata, such as: category = 'vehicle' and price < 300
            k: how many results, 1 to 48.
            rerank: whether a vision model looks at the best again and puts them in order, which takes longer.
            reasons: whether it then says of each of these what it sees, not just of the first.
            explain: whether a language model says of each result why it was found, which takes longer.

        Returns:
            Results, best first: id, file, name, score (cosine similarity), caption, source, licence; sure (the
            likelihood that it is what is asked for) and look (what the model sees) where it was looked at again;
            explained ones have a reason, and plain is true where no model wrote it and it only lists the fields.
        """
        try:
            found = self._search(library, text, image, weight, where, k, rerank, reasons).candidates
            return as_rows(found, list(self._librarian.explained(text, found)) if explain else ())
        except Exception as error:  # noqa: BLE001
            raise gr.Error(told(in_a_sentence(error)), print_exception=False) from None

    def library_list(self) -> list[dict[str, Any]]:
        """List the libraries of images that can be searched.

        Returns:
            For each its name and its number of images.
        """
        return [
            {"name": name, "images": self._librarian.stats(known)["images"]}
            for name, known in self._offered.items()
        ]

    def _choices(self, name: str | None, drawing: str | None) -> Updates:
        names = list(self._offered)
        return [
            gr.update(choices=names, value=chosen if chosen in names else next(iter(names), None))
            for chosen in (name, drawing)
        ]

    def _managed(self, change: Callable[[], object], name: str | None, drawing: str | None) -> Updates:
        """Change a library; then what both choices offer, the name's field, the question and the banner."""
        try:
            change()
        except Exception as error:  # noqa: BLE001
            sentence = markup.sentence(in_a_sentence(error))
            return [gr.skip(), gr.skip(), gr.skip(), gr.update(visible=False), sentence]
        return [*self._choices(name, drawing), "", gr.update(visible=False), ""]

    def _viewed(self, look: Callable[[], View]) -> Updates:
        try:
            return shown(look())
        except Exception as error:  # noqa: BLE001
            return failed(error)

    def _page(self, name: str, where: str, number: int) -> View:
        """A page that is past the end is the last one."""
        number = max(1, number)
        entries, count = self._librarian.page(name, (number - 1) * PAGE, PAGE, where)
        pages = max(1, -(-count // PAGE))
        if number > pages:
            return self._page(name, where, pages)
        words = cards.browsed(count, (number - 1) * PAGE, len(entries), where)
        fixed = self._librarian.library(name).read_only
        return View(words, [self._card(name, entry) for entry in entries], number, pages, fixed=fixed)

    def _search(
        self, name: str | None, text: str, picture: str | None, weight: float, where: str, k: float,
        rerank: bool, reasons: bool,
    ) -> Found:  # fmt: skip
        library = self._chosen(name)
        image = read_upload(picture) if picture else None
        query = Query(text=text.strip(), image=image, weight=weight, where=where)
        imports.wait()
        return self._librarian.search(library, query, int(k), rerank, reasons)

    def _card(self, name: str, item: Entry | Candidate) -> Card:
        try:
            thumbnail = markup.data_uri(
                self._librarian.thumbnail(name, item.file, THUMBNAIL), THUMBNAIL, "webp"
            )
        except LibraryError:  # it vanished since it was added
            thumbnail = ""
        return Card(
            item.file, thumbnail, item.name, item.caption, item.source, item.licence,
            getattr(item, "fields", None), getattr(item, "score", None),
            look=getattr(item, "look", ""),
        )  # fmt: skip

    def _chosen(self, name: str | None) -> str:
        """What the librarian knows it by. A path from a browser is no name."""
        if not name:
            raise LibraryError("No library is chosen. Create one, or choose one from the list.")
        if name not in self._offered:
            known = ", ".join(self._offered)
            raise LibraryError(f"There is no library {name!r} here. Choose one of: {known}.")
        return self._offered[name]

    def _paths(self, files: Sequence[str] | None, folder: str) -> list[Path]:
        paths = [Path(file) for file in files or ()]
        if folder.strip() and self._folders is not None:
            paths.append(folder_below(self._folders, folder))
        if not paths:
            raise LibraryError("There is nothing to add yet. Choose some images or a zip first.")
        return paths

    def _ready(self, request: gr.Request, name: str | None, paths: Callable[[], Sequence[Path]]) -> Updates:
        key = request.session_hash or ""
        if key in self._adding:
            return [gr.skip()] * 5
        try:
            self._adding[key] = Adding(self._chosen(name), paths(), threading.Event())
        except LibraryError as error:
            return [gr.skip(), "", markup.sentence(str(error)), gr.skip(), gr.skip()]
        return [cards.working(say("Looking at the pictures…")), "", "", *_buttons(False)]

    def _steps(self, adding: Adding) -> Iterator[tuple[str, str]]:
        """The strip and the report as HTML: now and then while it goes on, and at the end."""
        imports.wait()
        last = 0.0
        try:
            added = self._librarian.add(adding.library, adding.paths, adding.stop, reach=self._folders)
            for step in detached(added, adding.stop):
                if isinstance(step, Report):
                    yield "", _report(step)
                elif time.monotonic() - last > SHOWN_EVERY:
                    last = time.monotonic()
                    yield _strip(step), ""
        except Cancelled as stopped:
            yield "", cards.stopped(str(stopped))


def _kind(fixed: bool) -> Updates:
    """What can be done to the library that is chosen: the last updates of `LibraryTab.whole`."""
    own, still = gr.update(visible=not fixed), gr.update(interactive=not fixed)
    return [own, own, gr.update(visible=fixed), still, still]


def _buttons(free: bool) -> Updates:
    """Of the two that begin to add."""
    return [gr.update(interactive=free)] * 2


def _strip(step: Progress) -> str:
    words = told(step.what)
    if step.total:
        words = say("{what} · {done:,} of {total:,}", what=words, done=step.done, total=step.total)
    return cards.working(words, step.done / step.total if step.total else 0.0, step.eta)


def _report(report: Report) -> str:
    done = cards.report(
        report.added, report.changed, report.removed, report.unchanged, report.seconds, report.skipped
    )
    return done + cards.remarks(report.problems, report.unmatched, report.unmatched_names)
