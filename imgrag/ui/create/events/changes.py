"""What the buttons in the panels do: a correction of the page's run, and the run from there on."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from PIL import Image

from imgrag.commands.prompt_files import parse_styles
from imgrag.engine.lookup import by_hand, original
from imgrag.errors import RequestError
from imgrag.runs import corrections, redrawing, variation
from imgrag.runs.structure import OWN, Structured
from imgrag.runs.styles import Use
from imgrag.runs.values import MAX_SEED, Run, StageName
from imgrag.texts import clean_line
from imgrag.ui.create.events.runs import Runs, Updates
from imgrag.ui.create.layout.forms import box_from, concepts_from, percent, places, reference_fields
from imgrag.ui.create.structures import asked_for
from imgrag.ui.language import say
from imgrag.ui.library.uploads import PICTURES, read_upload, taken

if TYPE_CHECKING:
    from imgrag.engine.pipeline import ImageRAGPipeline


Own = tuple[str, str]
"""A person's own picture: the path of the copy that is quick to read, and what the upload was called."""


class Changes:
    """The handlers of the panels' forms. Each gives updates as `Runs` does."""

    def __init__(self, runs: Runs, pipeline: ImageRAGPipeline) -> None:
        self._runs = runs
        self._pipeline = pipeline

    def again(self, stage: StageName, request: gr.Request, pause: bool) -> Iterator[Updates]:
        """Have a stage done again, and what follows from it: another draw, or another answer where a model gives it."""
        if stage == "initial":
            seed = secrets.randbelow(MAX_SEED + 1)
            words = say("Drawn again with another seed, {seed}.", seed=seed)
            yield from self._runs.changed(request, pause, lambda run: variation.redraw(run, seed), words)
        elif stage in ("verdict", "concepts", "second_verdict"):
            words = say("Asked again, at temperature {temperature:g}.", temperature=variation.WARM)
            yield from self._runs.changed(request, pause, lambda run: variation.ask_again(run, stage), words)
        else:
            yield from self._runs.changed(request, pause, lambda run: corrections.rewind(run, stage))

    def reread(self, request: gr.Request, pause: bool, text: str, negative: str) -> Iterator[Updates]:
        """The prompt as a person has it read, and what shall not be there."""

        def change(run: Run) -> Run:
            wanted = replace(run.request, prompt=text, negative_prompt=negative)
            reader = self._pipeline.reader(self._pipeline.library_of(run.request))
            if language := reader.language_of(wanted.prompt):
                raise RequestError(
                    f"This seems to be {language}, and here the words go to the models as they are. "
                    "Write them in English, or press Run to have the prompt translated."
                )
            read = reader.read(wanted.prompt)
            read = replace(read, negative=clean_line(wanted.negative_prompt))
            return corrections.reread(run, by_hand(run, read))

        yield from self._runs.changed(request, pause, change)

    def original(self, request: gr.Request, pause: bool) -> Iterator[Updates]:
        """The prompt without what was looked up for it."""

        def change(run: Run) -> Run:
            reader = self._pipeline.reader(self._pipeline.library_of(run.request))
            return corrections.reread(run, original(run, reader))

        yield from self._runs.changed(request, pause, change)

    def restyle(self, request: gr.Request, pause: bool, text: str) -> Iterator[Updates]:
        """Other styles to draw in, from the initial image on."""

        def change(run: Run) -> Run:
            wanted = replace(run.request, styles=parse_styles(text)).styles
            called = {} if run.reading is None else {style.name: style.words for style in run.reading.styles}
            shelf = self._pipeline.styles
            return redrawing.restyle(
                run, [shelf.styling(shelf.get(s.name), s.weight, called.get(s.name, "")) for s in wanted]
            )

        yield from self._runs.changed(request, pause, change)

    def restructure(self, request: gr.Request, pause: bool, *fold: Any) -> Iterator[Updates]:
        """Draw along what the fold "Structure" asks for, from the first image on that it changes."""

        def change(run: Run) -> Run:
            wanted = asked_for(*fold)
            if wanted is None:
                raise RequestError("No structure is chosen. Draw or give one in the fold Structure.")
            return redrawing.restructure(run, self._pipeline.structure(wanted))

        yield from self._runs.changed(request, pause, change)

    def compose(self, request: gr.Request, pause: bool, *fold: Any) -> Iterator[Updates]:
        """Draw the enhanced image again along the initial one's own structure, as strongly as the fold says."""
        scale, share = fold[3:5]
        yield from self._runs.changed(
            request, pause,
            lambda run: redrawing.restructure(run, self._pipeline.structure(Structured(None, OWN, scale, share))),
        )  # fmt: skip

    def unstructure(self, request: gr.Request, pause: bool) -> Iterator[Updates]:
        """Draw along nothing."""
        yield from self._runs.changed(request, pause, lambda run: redrawing.restructure(run, None))

    def take(self, request: gr.Request, path: str | None) -> Updates:
        """Read the person's own picture, before models are waited for: its copy and name, then updates as the others give."""
        try:
            if not path:
                raise RequestError("There is no picture yet. Choose one first.")
            return [(taken(path), Path(path).name), *self._runs.as_it_is()]
        except Exception as error:  # noqa: BLE001  whatever it is, the person gets a sentence
            return [None, *self._runs.refused(request, error)]

    def use_image(self, request: gr.Request, pause: bool, own: Own | None) -> Iterator[Updates]:
        """The person's own initial image, unless `take` refused it."""
        if own is None:
            yield self._runs.as_it_is()
            return
        yield from self._runs.changed(
            request, pause, lambda run: corrections.own_initial(run, read_upload(own[0]))
        )

    def take_draft(self, request: gr.Request, pause: bool, event: gr.EventData) -> Iterator[Updates]:
        """Another of the images that were drawn at once was clicked."""
        number = event.draft if isinstance(event.draft, int) else -1
        yield from self._runs.changed(request, pause, lambda run: redrawing.take_draft(run, number))

    def overrule(self, request: gr.Request, pause: bool, answer: str, missing: str) -> Iterator[Updates]:
        """The person's verdict; `missing` is a name a line."""
        names = [line.strip("-* ") for line in missing.splitlines()]
        yield from self._runs.changed(
            request, pause, lambda run: corrections.overrule(run, answer == "yes", names)
        )

    def name(self, request: gr.Request, pause: bool, text: str) -> Iterator[Updates]:
        """The concepts to look up."""
        yield from self._runs.changed(
            request, pause, lambda run: corrections.name_concepts(run, concepts_from(text))
        )

    def choose(self, request: gr.Request, pause: bool, event: gr.EventData) -> Iterator[Updates]:
        """A candidate was clicked."""
        concept, file = str(event.concept), str(event.file)

        def change(run: Run) -> Run:
            return corrections.choose(run, concept, file, self._opened(run, file))

        yield from self._runs.changed(request, pause, change)

    def own(
        self, request: gr.Request, pause: bool, own: Own | None, concept: str | None
    ) -> Iterator[Updates]:
        """The person's own picture for a concept, unless `take` refused it."""
        if own is None:
            yield self._runs.as_it_is()
            return

        def change(run: Run) -> Run:
            return corrections.own_picture(run, _named(concept), read_upload(own[0]), own[1])

        yield from self._runs.changed(request, pause, change)

    def adjust(
        self,
        request: gr.Request,
        pause: bool,
        concept: str | None,
        weight: float,
        use: Use,
        crop: str,
        region: str,
    ) -> Iterator[Updates]:
        """A reference's weight, what it gives, and which part of it fills which part of the image."""

        def change(run: Run) -> Run:
            return corrections.adjust(run, _named(concept), weight, box_from(crop), box_from(region), use)

        yield from self._runs.changed(request, pause, change)

    def drop(self, request: gr.Request, pause: bool, concept: str | None) -> Iterator[Updates]:
        """Do without a reference."""
        yield from self._runs.changed(request, pause, lambda run: corrections.drop(run, _named(concept)))

    def enhance(self, request: gr.Request, pause: bool, scale: float, share: float) -> Iterator[Updates]:
        """Draw again, guided so strongly and so long."""
        yield from self._runs.changed(request, pause, lambda run: corrections.guide(run, scale, share))

    def keep(self, request: gr.Request, pause: bool, number: int | None) -> Iterator[Updates]:
        """The person's choice of the result."""
        yield from self._runs.changed(request, pause, lambda run: corrections.keep(run, int(number or 0)))

    def reference(self, request: gr.Request, concept: str | None) -> Updates:
        """Another reference was chosen in the form: its weight, use, crop, region and pictures."""
        run = self._runs.run_of(request)
        held = [] if run is None else [r for r in run.round.references or () if r.concept == concept]
        return reference_fields(held[0] if held else None, run)

    def drawn(self, event: gr.EventData) -> Updates:
        """A box was drawn: updates of crop and region."""
        edges = percent(box_from(str(event.edges)))
        if event.box == "crop":
            return [edges, gr.skip()]
        return [gr.skip(), gr.update(value=edges, choices=places())]

    def _opened(self, run: Run, file: str) -> Image.Image:
        return self._pipeline.library_of(run.request).open(file)


def _named(concept: str | None) -> str:
    if not concept:
        raise RequestError("There is no concept to change a reference of. Name one in the panel before.")
    return concept


def wire_changes(
    changes: Changes, panels: Any, pause: gr.Checkbox, structure: list[Any], outputs: list[Any], gpu: dict[str, Any]
) -> list[Any]:  # fmt: skip
    """Let the buttons do what they say; returns the events that a Stop has to end. `structure` are the fold's inputs."""
    fields, buttons = panels.forms.fields, panels.forms.buttons
    heavy: dict[str, Any] = {
        "outputs": outputs, "trigger_mode": "once", "show_progress": "minimal", "show_progress_on": outputs[0],
        "api_visibility": "private", **gpu,
    }  # fmt: skip
    own: dict[str, tuple[Any, list[str]]] = {
        "reread": (changes.reread, ["read_as", "unwanted"]),
        "original": (changes.original, []),
        "restyle": (changes.restyle, ["styles"]),
        "unstructure": (changes.unstructure, []),
        "overrule": (changes.overrule, ["matches", "missing"]),
        "name": (changes.name, ["concepts"]),
        "adjust": (changes.adjust, ["concept", "weight", "use", "crop", "region"]),
        "drop": (changes.drop, ["concept"]),
        "enhance": (changes.enhance, ["scale", "share"]),
        "keep": (changes.keep, ["result"]),
    }
    events = [
        buttons[name].click(function, [pause, *(fields[field] for field in inputs)], **heavy)
        for name, (function, inputs) in own.items()
    ]
    for name, function in (("restructure", changes.restructure), ("compose", changes.compose)):
        events.append(buttons[name].click(function, [pause, *structure], **heavy))
    for name, field, function, inputs in (
        ("use_image", "own_image", changes.use_image, ()),
        ("own", "own_picture", changes.own, ("concept",)),
    ):
        own_picture = gr.State(None)
        taking = buttons[name].click(
            changes.take, fields[field], [own_picture, *outputs], trigger_mode="once", **PICTURES
        )
        events.append(
            taking.then(function, [pause, own_picture, *(fields[field] for field in inputs)], **heavy)
        )
    again: dict[str, StageName] = {
        "read": "reading", "draw": "initial", "judge": "verdict", "extract": "concepts", "retrieve": "references",
        "rejudge": "second_verdict",
    }  # fmt: skip
    events += [buttons[name].click(_again(changes, stage), pause, **heavy) for name, stage in again.items()]
    events.append(panels.bodies["references"].select(changes.choose, pause, **heavy))
    events.append(panels.bodies["initial"].select(changes.take_draft, pause, **heavy))
    light: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    parts = [fields["weight"], fields["use"], fields["crop"], fields["region"], fields["frames"]]
    fields["concept"].input(changes.reference, fields["concept"], parts, **light)
    fields["frames"].select(changes.drawn, None, [fields["crop"], fields["region"]], **light)
    return events


def _again(changes: Changes, stage: StageName) -> Any:
    def handler(request: gr.Request, pause: bool) -> Iterator[Updates]:
        yield from changes.again(stage, request, pause)

    return handler
