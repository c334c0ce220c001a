"""The command line: `python -m imgrag run | batch | enlarge | caption | library | knowledge | style | captions | download | train | bench`.

Results go to stdout, progress and errors to stderr. Bad input is one sentence and exit code 2, a
run that could not be done (or any of a batch) exit code 1, Ctrl-C 130.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator, Iterable
from contextlib import closing
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import (
    Progress,
    TaskID,
)

from imgrag.commands.captions import app as captions_app
from imgrag.commands.captions import caption, caption_library
from imgrag.commands.enlarging import enlarge
from imgrag.commands.grid import Grid, laid_out, sides
from imgrag.commands.knowledge import app as knowledge_app
from imgrag.commands.library import app as library_app
from imgrag.commands.prompt_files import MAX_REQUESTS, parse_styles, parse_weights, read_prompts
from imgrag.commands.structures import read_control, structure_from
from imgrag.commands.style import app as style_app
from imgrag.commands.terminal import Pace, Program, plain_errors, progress, say, typed
from imgrag.errors import Cancelled, RequestError
from imgrag.runs.events import Event, Finished, Preview, StageDone, StageSkipped, StageStarted
from imgrag.runs.structure import Structured
from imgrag.runs.trace import trace
from imgrag.runs.values import Request, Run, in_brief

if TYPE_CHECKING:
    from imgrag.commands.batch import Line

app = typer.Typer(cls=Program, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(library_app, name="library")
app.add_typer(knowledge_app, name="knowledge")
app.add_typer(style_app, name="style")
app.add_typer(captions_app, name="captions")
app.command()(caption)
app.command()(enlarge)
library_app.command("caption")(caption_library)

TITLES = {
    "reading": "how the prompt was read",
    "initial": "initial image",
    "verdict": "verdict",
    "concepts": "missing concepts",
    "references": "references",
    "enhanced": "enhanced image",
    "second_verdict": "second verdict",
}


class PolicyName(str, Enum):
    """How models share the memory."""

    sequential = "sequential"
    resident = "resident"


class KnowledgeWhen(str, Enum):
    """When a prompt is augmented: always, never, or where something in it is unknown."""

    off = "off"
    on = "on"
    unknown = "unknown"


class KindName(str, Enum):
    """What a structure is made of."""

    edges = "edges"
    depth = "depth"
    pose = "pose"
    sketch = "sketch"
    lines = "lines"


class SimilarUse(str, Enum):
    """What a similar picture gives."""

    both = "both"
    style = "style"
    thing = "thing"


Seed = Annotated[int, typer.Option(help="The same seed gives the same image.")]
ProfileName = Annotated[str, typer.Option(help="A profile's name or the path of a TOML file.")]
Steps = Annotated[int | None, typer.Option(help="Denoising steps.")]
GuidanceScale = Annotated[float | None, typer.Option(help="How closely to follow the prompt.")]
AdapterScale = Annotated[float | None, typer.Option(help="How closely to follow the references.")]
SimilarityFloor = Annotated[float | None, typer.Option(help="Lowest similarity of a reference.")]
MaxConcepts = Annotated[int | None, typer.Option(help="Missing concepts to look up, 1 to 3.")]
Rounds = Annotated[int, typer.Option(help="How often to draw again until it matches.")]
Images = Annotated[int, typer.Option(help="How many to draw at first, 1 to 4; the likeliest goes on.")]
NegativePrompt = Annotated[str, typer.Option(help="What to keep out of the image.")]
Library = Annotated[str | None, typer.Option(help="A library's name or a folder of images.")]
Knowledge = Annotated[KnowledgeWhen | None, typer.Option(help="When texts are looked up for the prompt.")]
KnowledgeBaseName = Annotated[str | None, typer.Option("--knowledge-base", help="Where they are looked up.")]
LookTwice = Annotated[
    bool | None,
    typer.Option(help="Rank what was found for a reference before one is taken. [default: the profile's]"),
]
Styles = Annotated[
    list[str] | None, typer.Option("--style", help="A style to draw in, NAME or NAME:WEIGHT; may come again.")
]
Control = Annotated[Path | None, typer.Option(help="A sketch or picture whose structure to draw along.")]
ControlKind = Annotated[KindName | None, typer.Option(help="What to make of it. [default: sketch]")]
ControlScale = Annotated[float | None, typer.Option(help="How closely to follow it, 0 to 2.")]
ControlShare = Annotated[float | None, typer.Option(help="Share of the steps, the first, that follow it.")]
ControlInitial = Annotated[
    bool, typer.Option("--control-initial", help="Keep the initial image's own structure.")
]
ControlSimilar = Annotated[
    SimilarUse | None, typer.Option(help="What a picture of the library that looks like it is to give.")
]
Larger = Annotated[
    bool | None,
    typer.Option("--larger/--small", help="Make the kept image larger and cleaner. [default: the profile's]"),
]
Weights = Annotated[str, typer.Option(help="Weights of the references, such as 1,0.5.")]
PolicyChoice = Annotated[PolicyName, typer.Option(help="Let idle models go, or keep all.")]


@app.callback()
def main() -> None:
    """Retrieval-augmented image generation, step by step."""


@app.command()
def run(
    prompt: Annotated[str, typer.Argument(help="What to draw, 1 to 2,000 characters.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder below which the run gets its own. [default: datasets/results]")
    ] = None,
    seed: Seed = 0,
    profile: ProfileName = "pocket",
    steps: Steps = None,
    guidance_scale: GuidanceScale = None,
    adapter_scale: AdapterScale = None,
    similarity_floor: SimilarityFloor = None,
    max_concepts: MaxConcepts = None,
    rounds: Rounds = 1,
    images: Images = 1,
    negative_prompt: NegativePrompt = "",
    library: Library = None,
    weights: Weights = "",
    knowledge: Knowledge = None,
    knowledge_base: KnowledgeBaseName = None,
    look_twice: LookTwice = None,
    style: Styles = None,
    control: Control = None,
    control_kind: ControlKind = None,
    control_scale: ControlScale = None,
    control_share: ControlShare = None,
    control_initial: ControlInitial = False,
    control_similar: ControlSimilar = None,
    larger: Larger = None,
    policy: PolicyChoice = PolicyName.sequential,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record to stdout.")] = False,
) -> None:
    """Draw a prompt: reading, draft, verdict, references, enhanced image, second verdict."""
    with plain_errors():
        request = Request(
            typed(prompt), typed(negative_prompt), seed, steps, guidance_scale, adapter_scale, similarity_floor,
            max_concepts, parse_weights(weights), rounds, library,
            knowledge=knowledge.value if knowledge else None, knowledge_base=typed(knowledge_base or "") or None,
            styles=parse_styles(typed(",".join(style or ()))),
            structure=_structure(
                control, control_kind, control_scale, control_share, control_initial, control_similar
            ),
            images=images,
            look_twice=look_twice,
            larger=larger,
        )  # fmt: skip
        from imgrag.engine.pipeline import RESULTS, ImageRAGPipeline

        results = out or RESULTS
        pipeline = ImageRAGPipeline(profile, policy=policy.value, results=results)
        finished = _followed(pipeline.stream(request))
        _print(finished, results, as_json)


@app.command()
def batch(
    prompts: Annotated[list[str] | None, typer.Argument(help="What to draw, each in quotes.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Prompts, one a line; or JSON or a table of requests. - is standard input."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the batch. [default: datasets/results/batch]")
    ] = None,
    sheet: Annotated[bool, typer.Option(help="Draw a contact sheet at the end.")] = True,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="How often each, with the next seeds.")] = 1,
    across: Annotated[str | None, typer.Option(help="What varies across a grid, as seed=1-4.")] = None,
    down: Annotated[str | None, typer.Option(help="What varies down, as adapter_scale=0.3,0.6,1.")] = None,
    seed: Seed = 0,
    profile: ProfileName = "pocket",
    steps: Steps = None,
    guidance_scale: GuidanceScale = None,
    adapter_scale: AdapterScale = None,
    similarity_floor: SimilarityFloor = None,
    max_concepts: MaxConcepts = None,
    rounds: Rounds = 1,
    images: Images = 1,
    negative_prompt: NegativePrompt = "",
    library: Library = None,
    weights: Weights = "",
    knowledge: Knowledge = None,
    knowledge_base: KnowledgeBaseName = None,
    look_twice: LookTwice = None,
    style: Styles = None,
    control: Control = None,
    control_kind: ControlKind = None,
    control_scale: ControlScale = None,
    control_share: ControlShare = None,
    control_initial: ControlInitial = False,
    control_similar: ControlSimilar = None,
    larger: Larger = None,
    policy: PolicyChoice = PolicyName.sequential,
) -> None:
    """Draw a list of prompts, one line of JSON each; the same command again goes on where it was stopped."""
    with plain_errors():
        usual: dict[str, Any] = {
            "negative_prompt": typed(negative_prompt), "seed": seed, "steps": steps, "guidance_scale": guidance_scale,
            "adapter_scale": adapter_scale, "similarity_floor": similarity_floor, "max_concepts": max_concepts,
            "weights": parse_weights(weights), "rounds": rounds, "images": images, "library": library,
            "knowledge": knowledge.value if knowledge else None, "knowledge_base": typed(knowledge_base or "") or None,
            "styles": parse_styles(typed(",".join(style or ()))),
            "structure": _structure(
                control, control_kind, control_scale, control_share, control_initial, control_similar
            ),
            "look_twice": look_twice,
            "larger": larger,
        }  # fmt: skip
        requests = [Request(typed(prompt), **usual) for prompt in prompts or ()]
        requests += read_prompts(file, usual, MAX_REQUESTS - len(requests), say) if file else []
        if not requests:
            raise RequestError("There is no prompt. Give some in quotes, or a file of them with --file.")
        varied = Grid(*(sides(typed(text)) if text else None for text in (across, down)))
        requests = laid_out(requests, varied if across or down else None, seeds)
        from imgrag.commands.batch import Journal, run_batch
        from imgrag.engine.pipeline import RESULTS, ImageRAGPipeline

        folder = out or RESULTS / "batch"
        pipeline = ImageRAGPipeline(profile, policy=policy.value, results=folder)
        lines = _told(run_batch(pipeline, requests, journal=Journal(folder)), len(requests))
        _sum_up(lines, folder, sheet, varied if across or down else None)
    if any(line.state == "failed" for line in lines):
        raise typer.Exit(1)


@app.command()
def download(
    profile: Annotated[str, typer.Option(help="The profile whose checkpoints to fetch.")] = "sdxl",
) -> None:
    """Fetch a profile's checkpoints from the hub and remember their commits."""
    with plain_errors(), progress() as bars:
        from imgrag.models.checkpoints import download as fetch
        from imgrag.models.profile import load_profile

        task = bars.add_task(f"looking at {profile}", total=None)

        def show(file: str, done: int, total: int) -> None:
            bars.update(task, description=file, completed=done, total=total)

        fetched = fetch(load_profile(profile), show)
        print("\n".join(f"fetched {label}" for label in fetched) or "Everything is here already.")


@app.command()
def train(
    names: Annotated[list[str] | None, typer.Argument(help="Recipes, or all.")] = None,
    device: Annotated[str, typer.Option(help='"cpu", "cuda", "mps" or "auto".')] = "auto",
) -> None:
    """Train the pocket checkpoints; a stopped training goes on where it was."""
    with plain_errors():
        from imgrag.pocket.recipes import catalogue as recipes

        _check_names("recipe", names or (), ["all", *recipes.RECIPES, *recipes.TERMS])
        recipes.train(names or ["all"], device)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def bench(
    context: typer.Context, name: Annotated[str, typer.Argument(help="Which bench, such as fidelity.")]
) -> None:
    """Measure: a table, then one JSON line. Options after the name are the bench's own."""
    import importlib
    import pkgutil

    with plain_errors():
        import imgrag.bench

        _check_names("bench", [name], [module.name for module in pkgutil.iter_modules(imgrag.bench.__path__)])
        module = importlib.import_module(f"imgrag.bench.{name}")
        code = module.main(context.args)
    raise typer.Exit(code)


def _structure(
    control: Path | None, kind: KindName | None, scale: float | None, share: float | None, initial: bool,
    similar: SimilarUse | None,
) -> Structured | None:  # fmt: skip
    return structure_from(
        read_control(control) if control else None, kind.value if kind else None, scale, share, initial,
        similar.value if similar else None,
    )  # fmt: skip


def _check_names(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            raise RequestError(f"There is no {what} {in_brief(name)!r}. Known are: {', '.join(known)}.")


def _followed(events: Generator[Event, None, None]) -> Run:
    """Show the events as they come; returns the finished run. Ctrl-C closes the stream."""
    with progress() as bars, closing(events):
        tasks: dict[tuple[str, int], TaskID] = {}
        for event in events:
            if isinstance(event, Finished):
                return event.run
            _show(event, bars, tasks)
    raise Cancelled("The run was stopped.")


def _show(event: Event, bars: Progress, tasks: dict[tuple[str, int], TaskID]) -> None:
    if isinstance(event, StageStarted):
        tasks[event.stage, event.round] = bars.add_task(TITLES[event.stage], total=None)
    elif isinstance(event, Preview):
        bars.update(tasks[event.stage, event.round], completed=event.step, total=event.steps)
    elif isinstance(event, StageDone):
        bars.update(tasks[event.stage, event.report.round], completed=1, total=1)
    elif isinstance(event, StageSkipped):
        bars.add_task(f"[dim]{TITLES[event.stage]}: skipped[/dim]", total=1, completed=1)


def _told(events: Generator[Event | Line, None, None], total: int) -> list[Line]:
    """Print each line as it comes, and show how far the batch is; returns the lines."""
    from imgrag.commands.batch import Line

    lines, pace, stdout = list[Line](), Pace(total), sys.stdout
    with progress() as bars, closing(events):
        # The bars take over sys.stdout: right on a terminal, which they share, and wrong for a file.
        printed = sys.stdout if stdout.isatty() else stdout
        task = bars.add_task(str(pace), total=total)
        for event in events:
            if isinstance(event, StageStarted):
                bars.update(task, description=f"{pace}: {TITLES[event.stage]}")
            if isinstance(event, Line):
                lines.append(event)
                pace.count(event)
                print(event.json(), file=printed, flush=True)
                bars.update(task, completed=len(lines), description=str(pace))
                if bars.disable and not event.reused:
                    say(str(pace))
    return lines


def _sum_up(lines: list[Line], folder: Path, sheet: bool, grid: Grid | None) -> None:
    from imgrag.commands.contact_sheet import contact_sheets
    from imgrag.commands.grid_sheet import grid_sheet

    failed, reused = (
        sum(flags) for flags in zip(*((n.state == "failed", n.reused) for n in lines), strict=True)
    )
    say(f"{len(lines) - failed} finished, {reused} of them earlier; {failed} failed.")
    for path in contact_sheets(lines, folder, folder) if sheet else ():
        say(f"Contact sheet: {path}")
    if grid is not None:
        say(f"Grid: {grid_sheet(lines, folder, folder, grid.across, grid.down)}")


def _print(finished: Run, results: Path, as_json: bool) -> None:
    from imgrag.archive import records

    if as_json:
        print(json.dumps(records.record(finished), indent=2))
        return
    for line in trace(finished):
        print(line)
    print(results / finished.id / "result.png")
