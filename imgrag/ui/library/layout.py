"""The Library tab: which library, adding to it, and its pictures. Layout and events; `Shelves` acts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from imgrag.library.intake.pictures import SUFFIXES
from imgrag.library.search.queries import PICTURE_SHARE
from imgrag.ui.language import both, label, say
from imgrag.ui.library import cards
from imgrag.ui.library.cards import PAGE
from imgrag.ui.library.events import Shelves
from imgrag.ui.library.knowledge_layout import KnowledgeFold, build_knowledge
from imgrag.ui.library.reasons import wire_reasons
from imgrag.ui.library.uploads import picture_upload

TITLE = label("""# Library
Your own pictures, found by words, by a picture, or by both.""")
FILTER = "category = 'vehicle' and price < 300"
TO_TOP = "() => document.querySelector('#ir-lib-heading').scrollIntoView({block: 'start'})"

QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
BROWSE: dict[str, Any] = {
    "concurrency_id": "browse", "concurrency_limit": 4, "show_progress": "hidden", "api_visibility": "private",
}  # fmt: skip
"""Of what reads a library but needs no model, so that it does not wait for one."""

SEARCH: dict[str, Any] = {"concurrency_id": "search", "concurrency_limit": 2}
"""Of searching: it decodes what was sent before it borrows a model for as long as that takes, so it stands in
no line with the runs."""

ADD: dict[str, Any] = {**BROWSE, "concurrency_id": "add", "concurrency_limit": 2}
"""Of adding: it borrows models for a batch at a time, so it stands in no line with the runs."""


@dataclass(frozen=True)
class Shelf:
    """Which library, and what can be done to it as a whole."""

    name: gr.Dropdown
    stats: gr.HTML
    new: gr.Textbox
    create: gr.Button
    rename: gr.Button
    delete: gr.Button
    question: gr.HTML
    row: gr.Column
    yes: gr.Button
    no: gr.Button
    banner: gr.HTML


@dataclass(frozen=True)
class Adding:
    """Pictures on their way in. A library that comes with the app shows `fixed` instead of `own` and `add`."""

    own: gr.Column
    files: gr.File
    folder: gr.Textbox
    fixed: gr.Column
    copy: gr.Button
    add: gr.Button
    again: gr.Button
    stop: gr.Button
    strip: gr.HTML
    report: gr.HTML
    banner: gr.HTML


@dataclass(frozen=True)
class Search:
    """The search form."""

    words: gr.Textbox
    picture: gr.Image
    weight: gr.Slider
    where: gr.Textbox
    k: gr.Slider
    rerank: gr.Checkbox
    reasons: gr.Checkbox
    explain: gr.Checkbox
    search: gr.Button
    clear: gr.Button


@dataclass(frozen=True)
class Gallery:
    """The pictures. `outputs` is the order of `shelves.shown`."""

    banner: gr.HTML
    heading: gr.HTML
    grid: gr.HTML
    pager: gr.Row
    number: gr.Number
    of: gr.HTML
    previous: gr.Button
    following: gr.Button
    picked: gr.State
    hits: gr.State
    row: gr.Row
    remove: gr.Button
    removing: Removing

    @property
    def outputs(self) -> list[Any]:
        return [
            self.banner, self.heading, self.grid, self.pager, self.number, self.of, self.previous,
            self.following, self.picked, self.row, self.removing.row,
        ]  # fmt: skip


@dataclass(frozen=True)
class Removing:
    """The question before pictures are removed, and the way back."""

    question: gr.HTML
    row: gr.Column
    yes: gr.Button
    no: gr.Button
    said: gr.HTML
    undoing: gr.Row
    undo: gr.Button


@dataclass(frozen=True)
class LibraryTab:
    """All of it."""

    tab: gr.Tab
    knowledge: KnowledgeFold
    shelf: Shelf
    adding: Adding
    search: Search
    gallery: Gallery

    @property
    def whole(self) -> list[Any]:
        """The order of `Shelves.open`."""
        kind = [self.adding.own, self.adding.add, self.adding.fixed, self.shelf.rename, self.shelf.delete]
        return [self.shelf.stats, *self.gallery.outputs, *kind]

    @property
    def undoing(self) -> list[Any]:
        """The order of `Removals.remove`."""
        return [self.shelf.stats, self.gallery.removing.said, self.gallery.removing.undoing]


def build_library(names: list[str], bases: list[str], folders: bool, max_upload: str) -> LibraryTab:
    """Lay the tab out: libraries by name, knowledge bases, whether the server's folders may be named."""
    with gr.Tab(label("Library"), id="library", elem_id="ir-library") as tab, gr.Row(elem_classes="ir-two"):
        with gr.Column(scale=3, min_width=300, elem_id="ir-lib-left"):
            gr.Markdown(TITLE, elem_classes="ir-title")
            name = gr.Dropdown(
                names, value=next(iter(names), None), label=label("Library"), elem_id="ir-lib-name"
            )
            stats = gr.HTML("", elem_id="ir-lib-stats")
            adding = _build_adding(folders, max_upload)
            shelf = _build_shelf(name, stats)
            knowledge = build_knowledge(bases, max_upload)
        with gr.Column(scale=8, min_width=300, elem_id="ir-lib-right"):
            search = _build_search()
            gallery = _build_gallery()
    return LibraryTab(tab, knowledge, shelf, adding, search, gallery)


def wire_library(tab: LibraryTab, shelves: Shelves, drawing: gr.Dropdown, gpu: dict[str, Any]) -> None:
    """The events. `drawing` is the Create tab's choice of a library, `gpu` what events that wait for a model share."""
    _wire_shelf(tab, shelves, drawing)
    _wire_adding(tab, shelves)
    _wire_search(tab, shelves, gpu)


def wire_library_api(shelves: Shelves, library: str) -> None:
    """The named endpoints, for programs and agents; hidden components only describe what they take.

    Libraries made later are no choices of a dropdown that was built before, so the name is a text.
    """
    inputs = {
        "library": gr.Textbox(library, visible=False, label="library"),
        "text": gr.Textbox("", visible=False, label="text"),
        "image": picture_upload(visible=False, label="image"),
        "weight": gr.Slider(0, 1, PICTURE_SHARE, visible=False, label="weight"),
        "where": gr.Textbox("", visible=False, label="where"),
        "k": gr.Slider(1, PAGE, 12, step=1, visible=False, label="k"),
        "rerank": gr.Checkbox(False, visible=False, label="rerank"),
        "explain": gr.Checkbox(False, visible=False, label="explain"),
        "reasons": gr.Checkbox(False, visible=False, label="reasons"),
    }
    results = gr.JSON(visible=False, label="results")
    gr.Button(visible=False).click(
        shelves.library_search, None, results, inputs_kwargs=inputs, api_name="library_search", **SEARCH
    )
    listed = gr.JSON(visible=False, label="libraries")
    browse = {**BROWSE, "api_visibility": "public"}
    gr.Button(visible=False).click(shelves.library_list, None, listed, api_name="library_list", **browse)


def _build_adding(folders: bool, max_upload: str) -> Adding:
    with gr.Accordion(label("Add pictures"), open=True, elem_id="ir-lib-add"):
        with gr.Column() as own:
            files = gr.File(
                file_count="multiple", file_types=[*sorted(SUFFIXES), ".zip"], height=170,
                label=both(partial(say, "Images or zips, up to {size} each", size=max_upload)),
                elem_id="ir-lib-files",
            )  # fmt: skip
            folder = gr.Textbox(
                label=label("Folder on this machine"), placeholder="photos/cats",
                info=label("It stays where it is"), lines=1, max_lines=1, visible=folders, elem_id="ir-lib-folder",
            )  # fmt: skip
        with gr.Column(visible=False, elem_id="ir-lib-fixed") as fixed:
            gr.Markdown(label("This library comes with the app and stays as it is."))
            copy = gr.Button(label("Make a copy to change"), variant="primary", elem_id="ir-lib-copy")
        with gr.Row(elem_classes="ir-buttons"):
            add = gr.Button(
                label("Add"), variant="primary", min_width=80, scale=3, elem_id="ir-lib-add-button"
            )
            again = gr.Button(label("Look again"), min_width=100, scale=2, elem_id="ir-lib-again")
            stop = gr.Button(label("Stop"), min_width=70, scale=1, elem_id="ir-lib-stop")
        banner = gr.HTML("", elem_classes="ir-said")
        strip = gr.HTML("", elem_id="ir-lib-strip")
        report = gr.HTML("", elem_id="ir-lib-report")
    return Adding(own, files, folder, fixed, copy, add, again, stop, strip, report, banner)


def _build_shelf(name: gr.Dropdown, stats: gr.HTML) -> Shelf:
    with gr.Accordion(label("New, rename, delete"), open=False, elem_id="ir-lib-manage"):
        new = gr.Textbox(
            label=label("Name"), placeholder=label("my pictures"), lines=1, max_lines=1, elem_id="ir-lib-new"
        )
        with gr.Row(elem_classes="ir-buttons"):
            create = gr.Button(label("Create"), min_width=80, elem_id="ir-lib-create")
            rename = gr.Button(label("Rename"), min_width=80, elem_id="ir-lib-rename")
            delete = gr.Button(label("Delete…"), min_width=80, elem_id="ir-lib-delete")
        with gr.Column(visible=False, elem_id="ir-lib-sure", elem_classes="ir-sure") as row:
            question = gr.HTML("")
            with gr.Row(elem_classes="ir-buttons"):
                yes = gr.Button(label("Delete it"), variant="stop", min_width=80, elem_id="ir-lib-yes")
                no = gr.Button(label("Keep it"), min_width=80, elem_id="ir-lib-no")
        banner = gr.HTML("", elem_classes="ir-said", elem_id="ir-lib-manage-banner")
    return Shelf(name, stats, new, create, rename, delete, question, row, yes, no, banner)


def _build_search() -> Search:
    with gr.Row(elem_id="ir-lib-form", elem_classes="ir-panel"):
        with gr.Column(scale=4, min_width=240):
            words = gr.Textbox(
                label=label("Words"), placeholder=label("a red toolbox"), lines=1, max_lines=1, elem_id="ir-lib-words"
            )  # fmt: skip
            where = gr.Textbox(
                label=label("Filter"), placeholder=FILTER, info=label("Over names, captions and any other metadata"),
                lines=1, max_lines=1, elem_id="ir-lib-where",
            )  # fmt: skip
            with gr.Row(elem_classes="ir-options"):
                k = gr.Slider(1, PAGE, 12, step=1, precision=0, label=label("Results"), min_width=150)
                weight = gr.Slider(
                    0, 1, PICTURE_SHARE, step=0.05, label=label("The picture's share"), min_width=150,
                    elem_id="ir-lib-weight",
                )  # fmt: skip
            with gr.Row(elem_classes="ir-options"):
                rerank = gr.Checkbox(label=label("Re-rank with the vision model (slower)"), container=False)
                reasons = gr.Checkbox(label=label("With a reason for each of them"), container=False)
            why = label("Say why each was found (slower)")
            explain = gr.Checkbox(label=why, container=False, elem_id="ir-lib-why")
            with gr.Row(elem_classes="ir-buttons"):
                search = gr.Button(
                    label("Search"), variant="primary", min_width=120, scale=3, elem_id="ir-lib-search"
                )
                clear = gr.Button(label("Clear"), min_width=80, scale=1, elem_id="ir-lib-clear")
        with gr.Column(scale=2, min_width=180):
            picture = picture_upload(
                sources=["upload", "clipboard"], label=label("Picture"), height=260,
                alt_text="The picture to search by", elem_id="ir-lib-picture",
            )  # fmt: skip
    return Search(words, picture, weight, where, k, rerank, reasons, explain, search, clear)


def _build_gallery() -> Gallery:
    banner = gr.HTML("", elem_classes="ir-said", elem_id="ir-lib-banner")
    with gr.Row(elem_classes="ir-found-row"):
        heading = gr.HTML("", elem_id="ir-lib-heading")
        with gr.Row(visible=False, elem_id="ir-lib-picked", elem_classes="ir-buttons") as row:
            remove = gr.Button(
                label("Remove"), variant="stop", size="sm", min_width=120, elem_id="ir-lib-remove"
            )
    removing = _build_removing()
    grid = gr.HTML("", elem_id="ir-lib-grid", js_on_load=cards.SELECT)
    with gr.Row(visible=False, elem_id="ir-lib-pager", elem_classes="ir-pager") as pager:
        previous = gr.Button(label("Previous"), min_width=90, scale=0, elem_id="ir-lib-previous")
        number = gr.Number(
            1, label=label("Page"), show_label=False, container=False, precision=0, min_width=70, scale=0,
            elem_id="ir-lib-number",
        )  # fmt: skip
        of = gr.HTML("")
        following = gr.Button(label("Next"), min_width=90, scale=0, elem_id="ir-lib-next")
    states = gr.State([]), gr.State(None)
    return Gallery(
        banner, heading, grid, pager, number, of, previous, following, *states, row, remove, removing
    )


def _build_removing() -> Removing:
    with gr.Column(visible=False, elem_id="ir-lib-remove-sure", elem_classes="ir-sure") as row:
        question = gr.HTML("")
        with gr.Row(elem_classes="ir-buttons"):
            yes = gr.Button(label("Remove them"), variant="stop", min_width=80, elem_id="ir-lib-remove-yes")
            no = gr.Button(label("Keep them"), min_width=80, elem_id="ir-lib-remove-no")
    with gr.Row(visible=False, elem_id="ir-lib-undoing", elem_classes="ir-found-row") as undoing:
        said = gr.HTML("")
        undo = gr.Button(label("Undo"), size="sm", min_width=80, scale=0, elem_id="ir-lib-undo")
    return Removing(question, row, yes, no, said, undoing, undo)


def _wire_shelf(tab: LibraryTab, shelves: Shelves, drawing: gr.Dropdown) -> None:
    shelf = tab.shelf
    choosing = [shelf.name, drawing, shelf.new, shelf.row, shelf.banner]
    created = [shelf.create.click, shelf.new.submit]
    gr.on(created, shelves.create, [drawing, shelf.new], choosing, **QUIET)
    shelf.rename.click(shelves.rename, [shelf.name, drawing, shelf.new], choosing, **QUIET)
    shelf.delete.click(shelves.confirm, shelf.name, [shelf.question, shelf.row], **QUIET)
    shelf.no.click(lambda: gr.update(visible=False), None, shelf.row, **QUIET)
    shelf.yes.click(shelves.delete, [shelf.name, drawing], choosing, **QUIET)
    copied = [*choosing[:-1], tab.adding.banner]
    tab.adding.copy.click(shelves.copy, [shelf.name, drawing], copied, **BROWSE)


def _wire_adding(tab: LibraryTab, shelves: Shelves) -> None:
    adding, name = tab.adding, tab.shelf.name
    given = [name, adding.files, adding.folder]
    said = [adding.strip, adding.report, adding.banner, adding.add, adding.again]
    view, done = tab.whole, gr.State(False)
    begun = [
        adding.add.click(shelves.begin, given, said, **QUIET),
        adding.again.click(shelves.begin_again, name, said, **QUIET),
        gr.on([name.change, tab.tab.select], shelves.open, name, view, **BROWSE).then(
            shelves.begin_first, name, said, **QUIET
        ),
    ]
    for event in begun:
        added = event.then(shelves.add, None, [*said, adding.files, done], **ADD)
        added.then(shelves.reopen, [done, name], [done, *view], **BROWSE)
        added.failure(shelves.turned_away, None, said, **QUIET)
    adding.stop.click(shelves.stop, None, adding.strip, **QUIET)


def _wire_search(tab: LibraryTab, shelves: Shelves, gpu: dict[str, Any]) -> None:
    name, form, gallery = tab.shelf.name, tab.search, tab.gallery
    asked, wanted = [name, form.words, form.picture], gr.State(False)
    looked = [wanted, *gallery.outputs]
    look: dict[str, Any] = {"fn": shelves.look, "outputs": looked, **BROWSE}
    find: dict[str, Any] = {
        "fn": shelves.find,
        "inputs": [wanted, *asked, form.weight, form.where, form.k, form.rerank, form.reasons],
        "outputs": [*gallery.outputs, gallery.hits], "show_progress": "hidden", "api_visibility": "private", **SEARCH,
    }  # fmt: skip
    searched = gr.on(
        [form.search.click, form.words.submit, form.where.submit], inputs=[*asked, form.where], **look
    )
    form.clear.click(lambda: ("", None, ""), None, [form.words, form.picture, form.where], **QUIET).then(
        inputs=[*asked, form.where], **look
    )
    changed = [
        event.success(inputs=[*asked, form.where, gallery.number], **look)
        for event in _wire_removing(tab, shelves)
    ]
    said, removing = [gallery.heading, gallery.grid], gallery.removing
    leaving = [
        form.search.click, form.words.submit, form.where.submit, form.clear.click, name.change, tab.adding.add.click,
        removing.yes.click, removing.undo.click, gallery.number.submit, gallery.previous.click, gallery.following.click,
    ]  # fmt: skip
    for event in (searched, *changed):
        found = event.then(**find)
        found.failure(shelves.lost, None, gallery.outputs, **QUIET)
        wire_reasons(found, shelves.reasons, [form.explain, gallery.hits], said, leaving, gpu)
    _wire_pages(tab, shelves)


def _wire_pages(tab: LibraryTab, shelves: Shelves) -> None:
    gallery = tab.gallery
    here = [tab.shelf.name, tab.search.where, gallery.number]
    gallery.number.submit(shelves.turn, here, gallery.outputs, **BROWSE).then(None, js=TO_TOP)
    for button, step in ((gallery.previous, -1), (gallery.following, 1)):
        button.click(shelves.turn, [*here, gr.State(step)], gallery.outputs, **BROWSE).then(None, js=TO_TOP)


def _wire_removing(tab: LibraryTab, shelves: Shelves) -> list[Any]:
    """Ticks, the question and the way back; returns the events after which other pictures are there."""
    name, gallery, removals = tab.shelf.name, tab.gallery, shelves.removals
    removing = gallery.removing
    ticked = [gallery.picked, gallery.row, gallery.remove, removing.row]
    gallery.grid.select(removals.pick, None, ticked, **QUIET)
    gallery.remove.click(removals.ask, [name, gallery.picked], [removing.question, removing.row], **QUIET)
    removing.no.click(lambda: gr.update(visible=False), None, removing.row, **QUIET)
    return [
        removing.yes.click(removals.remove, [name, gallery.picked], tab.undoing, **BROWSE),
        removing.undo.click(removals.undo, name, tab.undoing, **BROWSE),
    ]
