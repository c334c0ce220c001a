"""The Caption tab's components, and which event leads to which handler of `Captions`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from imgrag.runs.captions import MAX_CAPTION_PROMPT, MOST_NEIGHBOURS
from imgrag.ui.captions import cards
from imgrag.ui.captions.events import Captions
from imgrag.ui.language import both, label, say
from imgrag.ui.library.uploads import BESIDE, PICTURES, picture_upload

QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
TITLE = label(
    "# Caption\nSimilar pictures of a library, what people wrote of them, and a caption made of that."
)


@dataclass(frozen=True)
class CaptionTab:
    """All of it."""

    tab: gr.Tab
    picture: gr.Image
    library: gr.Dropdown
    k: gr.Slider
    caption: gr.Button
    stop: gr.Button
    banner: gr.HTML
    neighbours: gr.HTML
    kept: gr.CheckboxGroup
    again: gr.Button
    prompt: gr.Textbox
    write: gr.Button
    text: gr.Textbox
    written: gr.HTML
    use: gr.Button

    @property
    def outputs(self) -> list[Any]:
        """The order of each update that `Captions` gives."""
        return [
            self.banner, self.neighbours, self.kept, self.prompt, self.text, self.written, self.again, self.write,
            self.use,
        ]  # fmt: skip


def build_captions(libraries: list[str], library: str, k: int) -> CaptionTab:
    """Lay the tab out: the picture left, a panel a step right."""
    with gr.Tab(label("Caption"), id="caption", elem_id="ir-caption") as tab, gr.Row(elem_classes="ir-two"):
        with gr.Column(scale=3, min_width=300, elem_id="ir-cap-left"):
            gr.Markdown(TITLE, elem_classes="ir-title")
            picture = picture_upload(label=label("Picture"), height=220, elem_id="ir-cap-picture")
            chosen = gr.Dropdown(
                libraries, value=library, label=label("Library"), info=label("Whose captions are read"),
                elem_id="ir-cap-library",
            )  # fmt: skip
            neighbours = gr.Slider(
                1, MOST_NEIGHBOURS, k, step=1, label=label("Neighbours"), info=label("Pictures like the whole"),
                elem_id="ir-cap-k",
            )  # fmt: skip
            with gr.Row(elem_classes="ir-buttons"):
                caption = gr.Button(label("Caption it"), variant="primary", elem_id="ir-cap-run")
                stop = gr.Button(label("Stop"), elem_id="ir-cap-stop")
        with gr.Column(scale=8, min_width=300, elem_id="ir-cap-right"):
            banner = gr.HTML("", elem_classes="ir-said", elem_id="ir-cap-banner")
            panels = _build_panels()
    return CaptionTab(tab, picture, chosen, neighbours, caption, stop, banner, **panels)


def _build_panels() -> dict[str, Any]:
    with gr.Column(elem_classes="ir-panel", min_width=0):
        gr.HTML(
            both(lambda: cards.step(1, say("Neighbours"), say("Pictures like the whole and like its parts")))
        )
        found = gr.HTML("", elem_id="ir-cap-neighbours")
        kept = gr.CheckboxGroup(
            [], label=label("Whose captions are read"), visible=False, elem_id="ir-cap-kept"
        )
        again = gr.Button(label("Go on with these"), interactive=False, elem_id="ir-cap-again")
    with gr.Column(elem_classes="ir-panel", min_width=0):
        gr.HTML(both(lambda: cards.step(2, say("Prompt"), say("What the model is asked"))))
        prompt = gr.Textbox(
            label=label("Prompt"),
            lines=5,
            max_lines=12,
            max_length=MAX_CAPTION_PROMPT,
            elem_id="ir-cap-prompt",
        )
        write = gr.Button(label("Go on with this prompt"), interactive=False, elem_id="ir-cap-write")
    with gr.Column(elem_classes="ir-panel", min_width=0):
        gr.HTML(both(lambda: cards.step(3, say("Caption"), say("What the model wrote"))))
        text = gr.Textbox(label=label("Caption"), lines=2, interactive=False, elem_id="ir-cap-text")
        written = gr.HTML("")
        use = gr.Button(label("Use as prompt"), interactive=False, elem_id="ir-cap-use")
    return {
        "neighbours": found, "kept": kept, "again": again, "prompt": prompt, "write": write, "text": text,
        "written": written, "use": use,
    }  # fmt: skip


def wire_captions(
    tab: CaptionTab,
    captions: Captions,
    tabs: gr.Tabs,
    prompt: gr.Textbox,
    bring: gr.Button,
    gpu: dict[str, Any],
) -> None:
    """The events. `prompt` is Create's, `bring` the button at a result there that has it captioned."""
    heavy: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", **gpu}
    asked = [tab.picture, tab.library, tab.k]
    brought = bring.click(captions.bring, None, [tabs, tab.picture, tab.banner], **QUIET)
    taken = [
        event(captions.take, asked, tab.banner, trigger_mode="once", **PICTURES)
        for event in (tab.caption.click, brought.success)
    ]
    going = [
        *taken, *(one.then(captions.write, None, tab.outputs, **heavy) for one in taken),
        tab.again.click(captions.keep, [tab.kept], tab.outputs, trigger_mode="once", **heavy),
        tab.write.click(captions.rewrite, [tab.prompt], tab.outputs, trigger_mode="once", **heavy),
    ]  # fmt: skip
    tab.stop.click(captions.stop, None, tab.banner, cancels=going, **QUIET)
    tab.use.click(captions.use, tab.text, [tabs, prompt], **QUIET)
    tab.tab.select(captions.arrive, tab.library, tab.library, **QUIET)


def wire_caption_api(captions: Captions, library: str, k: int) -> None:
    """The named endpoint, for programs and agents; hidden components only describe what it takes."""
    inputs = {
        "image": picture_upload(visible=False, label="image"),
        "library": gr.Textbox(library, visible=False, label="library"),
        "k": gr.Slider(1, MOST_NEIGHBOURS, k, step=1, visible=False, label="k"),
    }
    result = gr.JSON(visible=False, label="caption")
    gr.Button(visible=False).click(
        captions.caption, None, result, inputs_kwargs=inputs, api_name="caption", **BESIDE
    )
