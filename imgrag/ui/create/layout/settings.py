"""The left column: the prompt, its examples, the buttons and the settings of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from imgrag.commands.prompt_files import parse_styles
from imgrag.engine.reading.vocabulary import Vocabulary
from imgrag.models.controlling import ControlProfile
from imgrag.runs.drafts import MAX_IMAGES
from imgrag.runs.knowledge import When
from imgrag.runs.values import MAX_CONCEPTS, MAX_ROUNDS, Request
from imgrag.styles import StyleShelf
from imgrag.ui.create.layout.prompts import PromptField, build_prompt
from imgrag.ui.create.layout.seeds import build_seed
from imgrag.ui.create.layout.structure import StructureFold, build_structure
from imgrag.ui.create.structures import asked_for
from imgrag.ui.create.styles import GALLERY, gallery
from imgrag.ui.language import Language, both, label, say, speaking, told

TITLE = label("""# ImageRAG
It draws your prompt, checks what is missing, looks it up, and draws again.""")

EXAMPLES = (
    "a dog and a toolbox",
    "a cat and a hedgehog on a blue background",
    "a house and a helicopter",
    "a car",
    "a tree and a volcano",
)
SPOKEN_IN: Mapping[Language, str] = {"en": "ir-examples-en", "zh": "ir-examples-zh"}


@dataclass(frozen=True)
class Controls:
    """The inputs of a run under the names of `request_from`'s arguments, and the buttons."""

    inputs: dict[str, gr.components.Component]
    gallery: gr.HTML
    structure: StructureFold
    field: PromptField
    run: gr.Button
    stop: gr.Button
    pause: gr.Checkbox
    surprise: gr.Button
    locked: gr.Checkbox


def build_controls(
    settings: Mapping[str, Any],
    libraries: list[str],
    library: str,
    bases: list[str],
    styles: StyleShelf,
    draws: str,
    vocabulary: Vocabulary | None,
    control: ControlProfile | None = None,
    by_part: bool = False,
) -> Controls:
    """Lay the left column out.

    Args:
        settings: the profile's own values under the request's names.
        library: chosen first.
        bases: the knowledge bases there are.
        styles: those of the profile.
        draws: what the profile draws, in one line; `vocabulary` are its names if they have an end.
        control: what it can draw along.
        by_part: a reference can give its style or its thing alone.
    """
    gr.Markdown(
        TITLE,
        elem_id="ir-title",
    )
    field = build_prompt(draws, vocabulary)
    prompt = field.prompt
    with gr.Row(elem_classes="ir-buttons"):
        run = gr.Button(label("Run"), variant="primary", min_width=120, scale=3, elem_id="ir-run")
        stop = gr.Button(label("Stop"), variant="secondary", min_width=80, scale=1, elem_id="ir-stop")
    field.typed.render()  # below the buttons, which nothing covers or moves
    with gr.Row(elem_classes="ir-beside"):
        pause = gr.Checkbox(False, label=label("Pause after each step"), container=False, elem_id="ir-pause")
        surprise = gr.Button(label("Surprise me"), size="sm", min_width=80, scale=0, elem_id="ir-surprise")
    for language, elem_id in SPOKEN_IN.items():  # page.css shows those of the page's language
        with speaking(language):
            texts = [[told(text)] for text in EXAMPLES]
        gr.Examples(texts, prompt, label=label("Try one of these"), elem_id=elem_id)
    structure = build_structure(control, by_part)
    with gr.Accordion(label("Settings"), open=False, elem_id="ir-settings"):
        seeds = build_seed()
        names, gallery = _build_styles(styles)
        others = _build_settings(settings, libraries, library, seeds.number) | _build_knowledge(
            settings, bases
        )
    late = {
        name: others.pop(name) for name in ("images", "look_twice", "larger")
    }  # behind what programs know by its place
    inputs = {"prompt": prompt, **others, "styles": names, **structure.inputs, **late}
    return Controls(inputs, gallery, structure, field, run, stop, pause, surprise, seeds.locked)


def _build_settings(
    settings: Mapping[str, Any], libraries: list[str], library: str, seed: gr.Number
) -> dict[str, gr.components.Component]:
    negative = gr.Textbox(
        settings["negative_prompt"],
        label=label("Negative prompt"),
        info=label("What should not be in the image"),
        lines=1,
        max_lines=3,
    )
    steps = gr.Slider(1, 150, settings["steps"], step=1, precision=0, label=label("Steps"))
    guidance = gr.Slider(
        0,
        30,
        settings["guidance_scale"],
        step=0.5,
        label=label("Guidance scale"),
        info=label("How closely to follow the words"),
    )
    scale = gr.Slider(
        0,
        2,
        settings["adapter_scale"],
        step=0.05,
        label=label("Adapter scale"),
        info=label("How strongly references guide"),
    )
    share = gr.Slider(
        0,
        1,
        settings["guided_share"],
        step=0.05,
        label=label("Guided share"),
        info=label("Of the steps, the first, that they guide"),
    )
    floor = gr.Slider(
        -1,
        1,
        settings["similarity_floor"],
        step=0.01,
        label=label("Similarity floor"),
        info=label("A less similar reference is not used"),
    )
    count = gr.Slider(
        1,
        MAX_CONCEPTS,
        settings["max_concepts"],
        step=1,
        precision=0,
        label=label("Number of concepts"),
        info=label("Missing things to look up, at most"),
    )
    with gr.Row(elem_classes="ir-weights"):
        weights = [
            gr.Number(
                1.0,
                label=both(partial(say, "Weight {number}", number=n)),
                info=both(partial(say, "of reference {number}", number=n)),
                minimum=0,
                maximum=2,
                step=0.1,
                min_width=80,
            )
            for n in range(1, MAX_CONCEPTS + 1)
        ]
    rounds = gr.Slider(
        1,
        MAX_ROUNDS,
        1,
        step=1,
        precision=0,
        label=label("Rounds"),
        info=label("Judge and draw again until it matches"),
    )
    images = gr.Slider(
        1, MAX_IMAGES, 1, step=1, precision=0, label=label("Images"), elem_id="ir-images",
        info=label("Drawn at once; the likeliest goes on"),
    )  # fmt: skip
    larger = gr.Checkbox(
        bool(settings["larger"]), label=label("Larger and cleaner"), visible=settings["larger"] is not None,
        info=label("The kept image, enlarged; the small one is what is judged"), elem_id="ir-larger",
    )  # fmt: skip
    shelf = gr.Dropdown(
        libraries, value=library, label=label("Library"), info=label("Where references come from")
    )
    return {
        "negative_prompt": negative,
        "seed": seed,
        "steps": steps,
        "guidance_scale": guidance,
        "adapter_scale": scale,
        "guided_share": share,
        "similarity_floor": floor,
        "max_concepts": count,
        **{f"weight_{n}": weight for n, weight in enumerate(weights, start=1)},
        "rounds": rounds,
        "images": images,
        "library": shelf,
        "larger": larger,
    }


def _build_styles(shelf: StyleShelf) -> tuple[gr.Textbox, gr.HTML]:
    """The names of styles with their weights, and a gallery to press them in; nothing where there are none."""
    styles = shelf.styles()
    names = gr.Textbox(
        "", label=label("Styles"), info=label("What to draw in, such as pencil:0.8"), lines=1, max_lines=2,
        visible=bool(styles), elem_id="ir-styles",
    )  # fmt: skip
    return names, gr.HTML(
        both(partial(gallery, styles)), js_on_load=GALLERY, visible=bool(styles), elem_id="ir-style-gallery"
    )


def offering(shelf: StyleShelf) -> list[Any]:
    """Updates of the styles that there are by now: the field of names, and the gallery in the page's language."""
    styles = shelf.styles()
    return [gr.update(visible=bool(styles)), gr.update(value=gallery(styles), visible=bool(styles))]


def _build_knowledge(settings: Mapping[str, Any], bases: list[str]) -> dict[str, gr.components.Component]:
    """When texts are looked up and in which base (a later name may be typed), and how pictures are."""
    when = gr.Radio(
        whens(), value=settings["knowledge"], label=label("Knowledge"), elem_id="ir-knowledge",
        info=label("Texts that are looked up to write the prompt again"),
    )  # fmt: skip
    base = gr.Dropdown(
        bases, value=settings["knowledge_base"] or None, allow_custom_value=True, label=label("Knowledge base"),
        info=label("Where these texts come from"), elem_id="ir-knowledge-base",
    )  # fmt: skip
    twice = gr.Checkbox(
        settings["look_twice"], label=label("Look twice"), elem_id="ir-look-twice",
        info=label("Pictures that were found are ranked by the vision model before one is taken"),
    )  # fmt: skip
    return {"knowledge": when, "knowledge_base": base, "look_twice": twice}


def whens() -> list[tuple[str, str]]:
    """When knowledge is looked up, as choices."""
    return [
        (say("Off"), "off"),
        (say("On"), "on"),
        (say("Only where something is unknown"), "unknown"),
    ]


def knowing(bases: list[str]) -> list[Any]:
    """Updates of what can be chosen of knowledge: when, in the page's language, and the bases there are by now."""
    return [gr.update(choices=whens()), gr.update(choices=bases)]


def request_from(
    prompt: str,
    negative_prompt: str = "",
    seed: int | None = 0,
    steps: int | None = None,
    guidance_scale: float | None = None,
    adapter_scale: float | None = None,
    similarity_floor: float | None = None,
    max_concepts: int | None = None,
    weight_1: float | None = 1.0,
    weight_2: float | None = 1.0,
    weight_3: float | None = 1.0,
    rounds: int | None = 1,
    library: str | None = None,
    guided_share: float | None = None,
    knowledge: When | None = None,
    knowledge_base: str | None = None,
    look_twice: bool | None = None,
    styles: str | None = None,
    sketch: str | None = None,
    control: str | None = None,
    control_kind: str | None = None,
    control_scale: float | None = None,
    control_share: float | None = None,
    control_initial: bool | None = False,
    control_similar: str | None = None,
    images: int | None = 1,
    larger: bool | None = None,
) -> Request:
    """The request these values make; a field that was emptied counts as not touched.

    Raises:
        RequestError: a value is empty or out of its range.
    """
    return Request(
        prompt=prompt or "",
        negative_prompt=negative_prompt or "",
        seed=0 if seed is None else seed,
        steps=steps,
        guidance_scale=guidance_scale,
        adapter_scale=adapter_scale,
        similarity_floor=similarity_floor,
        max_concepts=max_concepts,
        weights=tuple(1.0 if weight is None else weight for weight in (weight_1, weight_2, weight_3)),
        rounds=1 if rounds is None else rounds,
        images=1 if images is None else images,
        library=library,
        guided_share=guided_share,
        knowledge=knowledge or None,
        knowledge_base=knowledge_base or None,
        styles=parse_styles(styles or ""),
        look_twice=look_twice,
        larger=larger,
        structure=asked_for(
            sketch or "",
            control,
            control_kind,
            control_scale,
            control_share,
            bool(control_initial),
            control_similar,
        ),
    )
