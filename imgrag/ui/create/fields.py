"""What stands in the fields of the left column: brought back with a run, or as it was typed before a reload."""

from __future__ import annotations

import json
import math
from collections.abc import Container, Mapping
from typing import Any

import gradio as gr

from imgrag.runs.structure import Structure
from imgrag.runs.values import MAX_CONCEPTS, Run
from imgrag.texts import clean
from imgrag.ui.create.styles import typed_names

DRAFT = (
    "imgrag-draft"  # where the browser keeps it, for as long as its tab lives; page.js has read it by then
)
LONGEST = (
    20_000  # characters of a text that was typed; a prompt that is too long comes back too, to be shortened
)


class Fields:
    """The components that a draft and a run fill, by the names of `request_from`'s arguments.

    Args:
        parts: those of a request, and whatever else a person chooses for a run.
        libraries: the names that may be chosen at the moment.
    """

    def __init__(self, parts: Mapping[str, Any], libraries: Container[str]) -> None:
        self.parts = dict(parts)
        self._libraries = libraries

    @property
    def outputs(self) -> list[Any]:
        return list(self.parts.values())

    def as_they_are(self) -> list[Any]:
        """Updates that change nothing."""
        return [gr.skip()] * len(self.parts)

    def of_run(self, run: Run) -> list[Any]:
        """Updates that ask for the run again, its seed kept."""
        return self._filled({**run_values(run), "locked": True})

    def of_draft(self, draft: Any) -> list[Any]:
        """Updates of what was typed. It comes from a browser: what a field does not take stays out."""
        return self._filled(draft if isinstance(draft, dict) else {})

    def keeping(self) -> str:
        """JavaScript that keeps what stands in the fields, given their values in the order of `outputs`."""
        return (
            f"(...values) => {{ const names = {json.dumps(list(self.parts))}; "
            f"sessionStorage.setItem('{DRAFT}', JSON.stringify(Object.fromEntries("
            "names.map((name, place) => [name, values[place]])))); return []; }"
        )

    def _filled(self, values: Mapping[str, Any]) -> list[Any]:
        return [self._value(name, part, values.get(name)) for name, part in self.parts.items()]

    def _value(self, name: str, part: Any, value: Any) -> Any:
        if name == "library" and value not in self._libraries:
            return gr.skip()
        if isinstance(part, gr.Checkbox):
            return value if isinstance(value, bool) else gr.skip()
        if isinstance(part, gr.Slider | gr.Number):
            return value if _is_within(value, part.minimum, part.maximum) else gr.skip()
        if isinstance(part, gr.Radio):
            return value if value in [choice for _, choice in part.choices] else gr.skip()
        return clean(value[:LONGEST]) if isinstance(value, str) else gr.skip()


def run_values(run: Run) -> dict[str, Any]:
    """What a run was asked for, under the names of `request_from`'s arguments."""
    settings = run.settings
    weights = [*settings["weights"], *[1.0] * MAX_CONCEPTS][:MAX_CONCEPTS]
    taken = ("seed", "negative_prompt", "steps", "guidance_scale", "adapter_scale", "guided_share", "similarity_floor",
             "max_concepts", "rounds", "images", "knowledge", "knowledge_base", "look_twice", "larger")  # fmt: skip
    return {
        "prompt": run.request.prompt,
        "library": run.library,
        "styles": typed_names(run.request.styles),
        **{name: settings[name] for name in taken},
        **{f"weight_{number}": weight for number, weight in enumerate(weights, start=1)},
        **_structure_values(run.structure),
    }


def _structure_values(structure: Structure | None) -> dict[str, Any]:
    """How a run was drawn along its structure; a sketch or picture stays with the run, whose panels draw again along it."""
    if structure is None:
        return {"sketch": "", "control": "", "control_initial": False, "control_similar": ""}
    return {
        "sketch": "",
        "control": "",
        "control_initial": structure.initial,
        "control_similar": structure.similar or "",
        "control_scale": structure.scale,
        "control_share": structure.share,
    }


def _is_within(value: Any, low: float | None, high: float | None) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return number and (low is None or value >= low) and (high is None or value <= high)
