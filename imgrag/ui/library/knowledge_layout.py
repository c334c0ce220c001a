"""The Library tab's fold "Knowledge": which knowledge base, adding to it, its texts. `Knowledge` acts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from imgrag.knowledge.reading import SUFFIXES
from imgrag.ui.language import both, label, say
from imgrag.ui.library import cards
from imgrag.ui.library.knowledge_events import Knowledge

ABOUT = label(
    "Short texts that a prompt is looked up in before it is drawn: CSV, JSON lines, Parquet or Markdown, a term and a text each."
)
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
READ: dict[str, Any] = {
    "concurrency_id": "knowledge", "concurrency_limit": 2, "show_progress": "hidden", "api_visibility": "private",
}  # fmt: skip
"""Of what reads or writes texts; a CLIP is borrowed for as long as it embeds."""
ADD: dict[str, Any] = {**READ, "concurrency_id": "knowledge files"}
"""Of what takes as long as somebody's files do: nobody who looks waits for it."""


@dataclass(frozen=True)
class KnowledgeFold:
    """All of it. `doing` is what a yes to the question does; `told` and `banner` say what went wrong, in their halves."""

    name: gr.Dropdown
    stats: gr.HTML
    own: gr.Column
    files: gr.File
    add: gr.Button
    fixed: gr.Column
    copy: gr.Button
    report: gr.HTML
    words: gr.Textbox
    meaning: gr.Checkbox
    search: gr.Button
    texts: gr.HTML
    picked: gr.State
    row: gr.Row
    remove: gr.Button
    new: gr.Textbox
    create: gr.Button
    delete: gr.Button
    question: gr.HTML
    sure: gr.Column
    doing: gr.State
    yes: gr.Button
    no: gr.Button
    banner: gr.HTML
    told: gr.HTML

    @property
    def choosing(self) -> list[Any]:
        """The order of `Knowledge.create`."""
        return [self.name, self.new, self.sure, self.told]

    @property
    def inside(self) -> list[Any]:
        """The order of `Knowledge.refresh`."""
        return [self.stats, self.own, self.fixed, self.delete, self.texts, self.picked, self.row, self.sure]

    @property
    def whole(self) -> list[Any]:
        """The order of `Knowledge.show`."""
        return [*self.inside, self.report, self.banner, self.told]

    @property
    def found(self) -> list[Any]:
        """The order of `Knowledge.look_up`."""
        return [self.texts, self.picked, self.row, self.sure, self.banner]


def build_knowledge(names: list[str], max_upload: str) -> KnowledgeFold:
    """Lay the fold out."""
    with gr.Accordion(label("Knowledge"), open=False, elem_id="ir-know"):
        gr.Markdown(ABOUT)
        name = gr.Dropdown(
            names, value=next(iter(names), None), label=label("Knowledge base"), elem_id="ir-know-name"
        )
        stats = gr.HTML("", elem_id="ir-know-stats")
        adding = _build_adding(max_upload)
        search = _build_search()
        shelf = _build_shelf()
    return KnowledgeFold(name, stats, **adding, **search, **shelf)


def wire_knowledge(fold: KnowledgeFold, knowledge: Knowledge, tab: gr.Tab) -> None:
    """The events."""
    asked = [fold.name, fold.words, fold.meaning]
    gr.on([fold.name.change, tab.select], knowledge.show, fold.name, fold.whole, **READ)
    gr.on([fold.search.click, fold.words.submit], knowledge.look_up, asked, fold.found, **READ)
    fold.copy.click(knowledge.copy, fold.name, [*fold.choosing[:-1], fold.banner], **READ)
    gr.on([fold.create.click, fold.new.submit], knowledge.create, fold.new, fold.choosing, **READ)
    given, said = [fold.name, fold.files], [fold.report, fold.banner, fold.files]
    changed = [fold.add.click(knowledge.add, given, said, **ADD), _wire_removing(fold, knowledge)]
    for event in changed:
        event.then(knowledge.refresh, asked, fold.inside, **READ)


def _wire_removing(fold: KnowledgeFold, knowledge: Knowledge) -> Any:
    """Ticks and the question; returns the event after which texts are gone."""
    asking = [fold.question, fold.sure, fold.doing]
    fold.texts.select(knowledge.pick, None, [fold.picked, fold.row, fold.remove, fold.sure], **QUIET)
    fold.remove.click(knowledge.ask_remove, [fold.name, fold.picked], asking, **QUIET)
    fold.delete.click(knowledge.ask_delete, fold.name, asking, **QUIET)
    fold.no.click(lambda: gr.update(visible=False), None, fold.sure, **QUIET)
    return fold.yes.click(knowledge.sure, [fold.name, fold.doing, fold.picked], fold.choosing, **READ)


def _build_adding(max_upload: str) -> dict[str, Any]:
    with gr.Column() as own:
        files = gr.File(
            file_count="multiple", file_types=[*SUFFIXES, ".zip"], height=150,
            label=both(partial(say, "Tables, Markdown, zips, up to {size} each", size=max_upload)),
            elem_id="ir-know-files",
        )  # fmt: skip
        add = gr.Button(label("Add"), variant="primary", elem_id="ir-know-add")
    with gr.Column(visible=False) as fixed:
        gr.Markdown(label("This knowledge base comes with the app and stays as it is."))
        copy = gr.Button(label("Make a copy to change"), elem_id="ir-know-copy")
    report = gr.HTML("", elem_id="ir-know-report")
    banner = gr.HTML("", elem_classes="ir-said", elem_id="ir-know-banner")
    return {
        "own": own, "files": files, "add": add, "fixed": fixed, "copy": copy, "report": report, "banner": banner,
    }  # fmt: skip


def _build_search() -> dict[str, Any]:
    words = gr.Textbox(
        label=label("Words"),
        placeholder=label("the king of the beasts"),
        lines=1,
        max_lines=1,
        elem_id="ir-know-words",
    )
    meaning = gr.Checkbox(False, label=label("Also by meaning (loads CLIP)"), container=False)
    search = gr.Button(label("Search"), elem_id="ir-know-search")
    texts = gr.HTML("", elem_id="ir-know-texts", js_on_load=cards.SELECT)
    with gr.Row(visible=False, elem_classes="ir-buttons") as row:
        remove = gr.Button(label("Remove"), variant="stop", size="sm", elem_id="ir-know-remove")
    return {
        "words": words, "meaning": meaning, "search": search, "texts": texts, "picked": gr.State([]), "row": row,
        "remove": remove,
    }  # fmt: skip


def _build_shelf() -> dict[str, Any]:
    with gr.Column(visible=False, elem_id="ir-know-sure", elem_classes="ir-sure") as sure:
        question = gr.HTML("")
        with gr.Row(elem_classes="ir-buttons"):
            yes = gr.Button(label("Yes, for good"), variant="stop", min_width=80, elem_id="ir-know-yes")
            no = gr.Button(label("Keep it"), min_width=80, elem_id="ir-know-no")
    told = gr.HTML("", elem_classes="ir-said", elem_id="ir-know-told")
    new = gr.Textbox(
        label=label("Name"), placeholder=label("my knowledge"), lines=1, max_lines=1, elem_id="ir-know-new"
    )
    with gr.Row(elem_classes="ir-buttons"):
        create = gr.Button(label("Create"), min_width=80, elem_id="ir-know-create")
        delete = gr.Button(label("Delete…"), min_width=80, elem_id="ir-know-delete")
    return {
        "new": new, "create": create, "delete": delete, "question": question, "sure": sure, "doing": gr.State(""),
        "yes": yes, "no": no, "told": told,
    }  # fmt: skip
