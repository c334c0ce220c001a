"""What a person can change in each panel: its fields and buttons, and how a run fills them.

Each panel has a fold "Correct this step". Its fields show what the stage found; its buttons either
put the person's own in its place or have the stage done again, and the run goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from imgrag.engine.prompts import default_caption
from imgrag.errors import RequestError
from imgrag.runs.values import MAX_CONCEPTS, ONCE, Box, Concept, Reference, Run, StageName
from imgrag.ui.create.board import Board
from imgrag.ui.create.markup import data_uri
from imgrag.ui.create.styles import typed_names
from imgrag.ui.language import label, say
from imgrag.ui.library.uploads import picture_upload

WHOLE = "0 0 100 100"
BOXES = """
const boxes = () => element.querySelectorAll("[data-box]");
let drag = null;
const place = (event, frame) => {
    const area = frame.getBoundingClientRect();
    const part = (value, low, size) => Math.min(100, Math.max(0, Math.round(100 * (value - low) / size)));
    return [part(event.clientX, area.left, area.width), part(event.clientY, area.top, area.height)];
};
const span = (a, b) => [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])];
element.addEventListener("pointerdown", (event) => {
    const frame = event.target.closest("[data-box]");
    if (!frame) return;
    event.preventDefault();
    frame.setPointerCapture(event.pointerId);
    drag = { frame, from: place(event, frame) };
});
element.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [left, top, right, bottom] = span(drag.from, place(event, drag.frame));
    drag.edges = [left, top, right, bottom];
    const mark = drag.frame.querySelector("i");
    mark.style.inset = `${top}% ${100 - right}% ${100 - bottom}% ${left}%`;
});
element.addEventListener("pointerup", () => {
    const done = drag;
    drag = null;
    if (!done?.edges) return;
    const [left, top, right, bottom] = done.edges;
    if (right - left < 3 || bottom - top < 3) return;
    trigger("select", { box: done.frame.dataset.box, edges: done.edges.join(" ") });
});
"""
"""Of the component with the two pictures: a rectangle drawn on one is its new box."""

PICK = """
element.addEventListener("click", (event) => {
    const other = event.target.closest("button[data-file]");
    if (other && !document.querySelector("#ir-strip [data-phase='running']")) trigger("select", { concept: other.dataset.concept, file: other.dataset.file });
});
"""
"""Of the panel with the references: a click on another candidate chooses it, unless a run is at work."""


TAKE = """
element.addEventListener("click", (event) => {
    const draft = event.target.closest("button[data-draft]:not([aria-pressed='true'])");
    if (draft && !document.querySelector("#ir-strip [data-phase='running']")) trigger("select", { draft: Number(draft.dataset.draft) });
});
"""
"""Of the panel with the initial image: a click on another one that was drawn with it takes that."""


@dataclass(frozen=True)
class Forms:
    """The components of all panels by name; `outputs` is the order of `form_updates`."""

    fields: dict[str, Any]
    buttons: dict[str, gr.Button]

    @property
    def outputs(self) -> list[Any]:
        return [*self.fields.values(), *self.buttons.values()]


def build_form(stage: StageName, forms: Forms) -> None:
    """Lay out the fold of a stage's panel and put its parts into `forms`."""
    with gr.Accordion(
        label("Correct this step"), open=False, elem_classes="ir-correct", elem_id=f"ir-correct-{stage}"
    ):
        _BUILD[stage](forms)


def form_updates(board: Board) -> list[Any]:
    """What stands in the forms beside this board, for `Forms.outputs`."""
    run = board.run
    ready = run is not None and board.phase in ("paused", "finished", "stopped", "failed")
    buttons = [gr.update(interactive=ready and _can(name, run)) for name in BUTTONS]
    return [*(_filled(run) if ready and run is not None else [gr.skip()] * len(FIELDS)), *buttons]


def choices() -> list[Any]:
    """Updates of what can always be chosen, verdict, region and use, in the page's language."""
    return [gr.update(choices=_answers()), gr.update(choices=places()), gr.update(choices=uses())]


def reference_fields(reference: Reference | None, run: Run | None) -> list[Any]:
    """The fields of one reference: weight, use, crop, region and the two pictures to draw boxes on."""
    if reference is None or run is None:
        return [1.0, "both", WHOLE, gr.update(value=WHOLE, choices=places()), ""]
    return [
        reference.weight,
        gr.update(value=reference.use, choices=uses()),
        percent(reference.crop),
        gr.update(value=percent(reference.region), choices=places()),
        frames(reference, run),
    ]


def places() -> list[tuple[str, str]]:
    """Boxes that have a name, in percent (left, top, right, bottom), as choices."""
    return [
        (say("Everywhere"), WHOLE),
        (say("Left half"), "0 0 50 100"),
        (say("Right half"), "50 0 100 100"),
        (say("Upper half"), "0 0 100 50"),
        (say("Lower half"), "0 50 100 100"),
    ]


def uses() -> list[tuple[str, str]]:
    """What a reference can give, as choices."""
    return [(say("All of it"), "both"), (say("Its style only"), "style"), (say("The thing only"), "thing")]


def frames(reference: Reference, run: Run) -> str:
    """The reference with its crop and the image with the region, to draw on."""
    shown = run.round.enhanced or run.initial
    image = data_uri(shown) if shown is not None else ""
    return (
        '<div class="ir-boxes">'
        + _frame("crop", data_uri(reference.image), reference.crop, say("Draw on it what to use"))
        + _frame("region", image, reference.region, say("Draw on it what to fill"))
        + "</div>"
    )


def percent(box: Box) -> str:
    """Box(0, 0, 0.5, 1) -> "0 0 50 100"."""
    return " ".join(f"{100 * edge:.3g}" for edge in (box.left, box.top, box.right, box.bottom))


def box_from(text: str | None) -> Box:
    """ "0 0 50 100" -> Box(0, 0, 0.5, 1); nothing is the whole.

    Raises:
        RequestError: these are not four numbers from 0 to 100 that make a box.
    """
    parts = (text or WHOLE).replace(",", " ").replace("%", " ").split()
    try:
        left, top, right, bottom = (float(part) / 100 for part in parts)
    except ValueError:
        raise RequestError(
            "A box is four numbers from 0 to 100: its left, top, right and bottom edge in percent, such as 0 0 50 100."
        ) from None
    return Box(left, top, right, bottom)


def concepts_from(text: str) -> list[Concept]:
    """A concept a line, "name" or "name: caption"."""
    found = []
    for line in filter(str.strip, text.splitlines()):
        name, _, caption = line.strip().lstrip("-* ").partition(":")
        found.append(Concept(name.strip(), caption.strip() or default_caption(name.strip())))
    return found


def results_of(run: Run) -> list[tuple[str, int]]:
    """The images that can be the result, as choices."""
    drawn = [n for n, past in enumerate(run.rounds, start=1) if past.enhanced is not None]
    names = [(_round_name(number, run), number) for number in drawn]
    return [(say("Initial image"), 0), *names]


def _round_name(number: int, run: Run) -> str:
    return say("Enhanced image") if len(run.rounds) == 1 else say("Enhanced image of round {n}", n=number)


FIELDS = (
    "read_as", "unwanted", "styles", "own_image", "matches", "missing", "concepts", "concept", "weight", "use", "crop", "region", "frames", "own_picture",
    "scale", "share", "result",
)  # fmt: skip
BUTTONS = (
    "reread", "read", "original", "restyle", "restructure", "unstructure", "use_image", "draw", "overrule", "judge", "name", "extract", "adjust", "own",
    "drop", "retrieve", "enhance", "compose", "keep", "rejudge",
)  # fmt: skip

STRUCTURING = ("restructure", "unstructure", "compose")
"""Those that a profile has which draws along structures."""
ALWAYS = ("reread", "read")
NEEDS: dict[str, StageName] = {
    "restyle": "reading", "restructure": "reading", "unstructure": "reading", "compose": "references", "use_image": "reading", "draw": "reading", "overrule": "initial", "judge": "initial", "name": "verdict",
    "extract": "verdict", "adjust": "references", "own": "concepts", "drop": "references", "retrieve": "concepts",
    "enhance": "references", "keep": "enhanced", "rejudge": "enhanced",
}  # fmt: skip
"""What must be known before any other button makes sense."""


def _can(name: str, run: Run | None) -> bool:
    if run is None:
        return False
    if name in ALWAYS:
        return True
    if name == "original":
        told = run.reading.augmentation if run.reading is not None else None
        return told is not None and not told.reason
    if name == "unstructure" and run.structure is None:
        return False
    stage = NEEDS[name]
    report = run.report(stage, 1 if stage in ONCE else len(run.rounds))
    return report is not None and report.status != "skipped"


def _filled(run: Run) -> list[Any]:
    now, verdict = run.round, run.rounds[0].verdict if run.rounds else None
    held = list(now.references or ())
    names = [concept.name for concept in now.concepts or ()]
    names += [r.concept for r in held if r.concept not in names]
    lines = "\n".join(f"{concept.name}: {concept.caption}" for concept in now.concepts or ())
    return [
        run.prompt,
        run.reading.negative if run.reading else "",
        typed_names(run.reading.styles) if run.reading else "",
        None,  # no update: Gradio would make the upload anew, without what `picture_upload` changed in it
        gr.update(value="yes" if verdict and verdict.matches else "no", choices=_answers()),
        "\n".join(verdict.missing) if verdict else "",
        lines,
        gr.update(choices=names, value=names[0] if names else None),
        *reference_fields(held[0] if held else None, run),
        None,
        run.settings["adapter_scale"],
        run.settings["guided_share"],
        gr.update(choices=results_of(run), value=run.kept),
    ]


def _answers() -> list[tuple[str, str]]:
    return [(say("It matches the prompt"), "yes"), (say("Something is missing"), "no")]


def _frame(name: str, picture: str, box: Box, words: str) -> str:
    edges = (box.top, 1 - box.right, 1 - box.bottom, box.left)
    inset = " ".join(f"{100 * edge:.3g}%" for edge in edges)
    return (
        f'<figure><div data-box="{name}"><img src="{picture}" alt="{escape(words)}" draggable="false">'
        f'<i style="inset:{inset}"></i></div><figcaption>{escape(words)}</figcaption></figure>'
    )


def _buttons(forms: Forms, **names: tuple[str, bool]) -> None:
    with gr.Row(elem_classes="ir-buttons"):
        for name, (text, main) in names.items():
            forms.buttons[name] = gr.Button(
                text, variant="primary" if main else "secondary", size="sm", min_width=80, interactive=False,
                elem_id=f"ir-do-{name}",
            )  # fmt: skip


def _reading(forms: Forms) -> None:
    forms.fields["read_as"] = gr.Textbox(
        label=label("The prompt as the models get it"), lines=2, max_lines=8, elem_id="ir-read-as"
    )
    forms.fields["unwanted"] = gr.Textbox(
        label=label("What should not be in the image"), lines=1, max_lines=3, elem_id="ir-unwanted"
    )
    _buttons(
        forms, reread=(label("Read it like this"), True), read=(label("Read again"), False),
        original=(label("Draw the original"), False),
    )  # fmt: skip


def _initial(forms: Forms) -> None:
    forms.fields["styles"] = gr.Textbox(
        label=label("Styles"), info=label("What to draw in, such as pencil:0.8"), lines=1, max_lines=2,
        elem_id="ir-own-styles",
    )  # fmt: skip
    _buttons(forms, restyle=(label("Draw in these styles"), True))
    _buttons(
        forms, restructure=(label("Draw along the structure chosen above"), False),
        unstructure=(label("Draw along no structure"), False),
    )  # fmt: skip
    forms.fields["own_image"] = picture_upload(
        sources=["upload", "clipboard"], label=label("Your own picture"), height=150,
        alt_text="Your own picture", elem_id="ir-own-image",
    )  # fmt: skip
    _buttons(forms, use_image=(label("Use it and go on"), True), draw=(label("Draw again"), False))


def _verdict(forms: Forms) -> None:
    forms.fields["matches"] = gr.Radio(
        _answers(), value="no", show_label=False,
        label=label("Your verdict"), elem_id="ir-matches",
    )  # fmt: skip
    forms.fields["missing"] = gr.Textbox(
        label=label("What is missing, one thing a line"), lines=2, max_lines=5, elem_id="ir-missing"
    )
    _buttons(forms, overrule=(label("Overrule and go on"), True), judge=(label("Judge again"), False))


def _concepts(forms: Forms) -> None:
    forms.fields["concepts"] = gr.Textbox(
        label=label("What to look up, one a line, in order"), placeholder="toolbox: a picture of a toolbox",
        lines=MAX_CONCEPTS, max_lines=8, elem_id="ir-concepts",
    )  # fmt: skip
    _buttons(forms, name=(label("Look these up"), True), extract=(label("Name them again"), False))


def _references(forms: Forms) -> None:
    fields = forms.fields
    fields["concept"] = gr.Dropdown([], label=label("Reference for"), elem_id="ir-concept")
    fields["weight"] = gr.Slider(0, 2, 1.0, step=0.05, label=label("Weight"), elem_id="ir-weight")
    fields["use"] = gr.Radio(uses(), value="both", label=label("What it gives"), elem_id="ir-use")
    fields["crop"] = gr.Textbox(
        WHOLE, label=label("Part of it to use"), info=label("Left, top, right, bottom in percent"), lines=1,
        max_lines=1, elem_id="ir-crop",
    )  # fmt: skip
    fields["region"] = gr.Dropdown(
        places(), value=WHOLE, allow_custom_value=True,
        label=label("Part of the image to fill"), elem_id="ir-region",
    )  # fmt: skip
    fields["frames"] = gr.HTML("", js_on_load=BOXES, elem_id="ir-frames")
    _buttons(forms, adjust=(label("Apply and go on"), True), drop=(label("Do without it"), False))
    fields["own_picture"] = picture_upload(
        sources=["upload", "clipboard"], label=label("Your own picture instead"), height=150,
        alt_text="Your own picture instead", elem_id="ir-own-picture",
    )  # fmt: skip
    _buttons(forms, own=(label("Use it and go on"), True), retrieve=(label("Search again"), False))


def _enhanced(forms: Forms) -> None:
    forms.fields["scale"] = gr.Slider(
        0, 2, 1.0, step=0.05, label=label("Adapter scale"), info=label("How strongly references guide"),
        elem_id="ir-scale",
    )  # fmt: skip
    forms.fields["share"] = gr.Slider(
        0, 1, 1.0, step=0.05, label=label("Guided share"), info=label("Of the steps, the first, that they guide"),
        elem_id="ir-share",
    )  # fmt: skip
    _buttons(
        forms, enhance=(label("Draw again with these"), True),
        compose=(label("Keep the initial image's structure"), False),
    )  # fmt: skip


def _second_verdict(forms: Forms) -> None:
    forms.fields["result"] = gr.Radio([], label=label("The better image"), elem_id="ir-better")
    _buttons(forms, keep=(label("Keep this one"), True), rejudge=(label("Judge again"), False))


_BUILD = {
    "reading": _reading, "initial": _initial, "verdict": _verdict, "concepts": _concepts, "references": _references,
    "enhanced": _enhanced, "second_verdict": _second_verdict,
}  # fmt: skip


def in_order(forms: Forms) -> Forms:
    """The forms with their parts in the order of `form_updates`."""
    fields: Sequence[str] = FIELDS
    return Forms({n: forms.fields[n] for n in fields}, {n: forms.buttons[n] for n in BUTTONS})
