"""What is seen inside of drawings -> HTML, in the language in force; inside.js goes through it.

Each image brings its film and its maps along as JSON, so that a slider and a click ask the server for nothing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from imgrag.runs.events import Preview
from imgrag.runs.inside import Heat, Inside
from imgrag.runs.values import StageName
from imgrag.ui.create.board import DRAWING
from imgrag.ui.create.markup import chip, data_uri, icon, line, sentence, title
from imgrag.ui.language import say, told

FILM_SIDE = 256  # px of a frame; the models' previews are no larger


def progress(stage: StageName, preview: Preview | None) -> str:
    """How far the drawing is, before its first step too."""
    part = 0.0 if preview is None else preview.step / preview.steps
    words = say("Drawing again to look inside: {image}…", image=title(stage))
    return line("running", escape(words), "", part, say("Progress of looking inside"))


def viewer(figures: Mapping[str, str], message: str = "") -> str:
    """The films side by side with one slider for all, and above them what went wrong; "" without either."""
    shown = "".join(figures[stage] for stage in DRAWING if stage in figures)
    if not shown:
        return sentence(message)
    heading, step = escape(say("Seen inside")), escape(say("Denoising step"))
    alone = escape(say("Maps of this step alone"))
    hint = say(
        "Press a word or a reference to see where it acted: blue is the weakest place of its map, red the strongest."
    )
    return (
        f'{sentence(message)}<div class="ir-inside"><div class="ir-head"><h2>{heading}</h2></div>'
        f'<div class="ir-films">{shown}</div>'
        f'<label class="ir-reel"><span>{step} <output></output></span>'
        f'<input type="range" min="1" max="1" value="1"></label>'
        f'<label class="ir-alone"><input type="checkbox"> {alone}</label>'
        f'<p class="ir-meta">{escape(hint)}</p></div>'
    )


def figure(inside: Inside) -> str:
    """One image: its frames, a button for each word and reference, and whether it is the run's own."""
    film = {
        "frames": [data_uri(frame, FILM_SIDE, "webp") for frame in inside.frames[:-1]]
        + [data_uri(inside.image, FILM_SIDE)],
        "heats": list(map(_packed, inside.heats)),
    }
    name = title(inside.stage)
    turn = say(" · round {number}", number=inside.round) if inside.round > 1 else ""
    same = (
        chip("plain", say("the same image, pixel for pixel"), "done")
        if inside.same
        else chip("unsure", say("not the same image as before"), "unsure")
    )
    note = f'<p class="ir-note">{icon("absent")}{escape(told(inside.note))}</p>' if inside.note else ""
    return (
        f'<figure data-film="{escape(json.dumps(film))}"><figcaption>{escape(name + turn)} {same}</figcaption>'
        f'<div class="ir-reeled"><img alt="{escape(say("{image}, step by step", image=name))}">'
        f'<canvas aria-hidden="true"></canvas></div>{_choice(inside)}{note}</figure>'
    )


def _choice(inside: Inside) -> str:
    buttons = "".join(_button(number, heat) for number, heat in enumerate(inside.heats))
    named = escape(say("Where words and references acted"))
    return f'<div class="ir-acted" role="group" aria-label="{named}">{buttons}</div>' if buttons else ""


def _button(number: int, heat: Heat) -> str:
    """A word as the prompt has it; a reference with the sign of one."""
    words = say("reference: {name}", name=heat.name) if heat.kind == "reference" else heat.name
    sign = icon("search") if heat.kind == "reference" else ""
    return f'<button type="button" data-heat="{number}" aria-pressed="false">{sign}{escape(words)}</button>'


def _packed(heat: Heat) -> dict[str, Any]:
    """The maps of all steps as bytes, 255 being the strongest place in any."""
    peak = float(heat.maps.max()) or 1.0
    whole = np.clip(np.rint(heat.maps / peak * 255), 0, 255).astype(np.uint8)
    steps, height, width = whole.shape
    return {
        "steps": steps,
        "height": height,
        "width": width,
        "maps": base64.b64encode(whole.tobytes()).decode(),
    }
