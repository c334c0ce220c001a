"""The command line: `python -m imgrag run | library | download | train | bench`.

Results go to stdout, progress and errors to stderr. Bad input is one sentence and exit code 2, a
run that could not be done exit code 1, Ctrl-C 130.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Generator, Iterable
from contextlib import closing
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import (
    Progress,
    TaskID,
)

from imgrag.errors import Cancelled, RequestError
from imgrag.events import Event, Finished, Preview, StageDone, StageSkipped, StageStarted
from imgrag.library_cli import app as library_app
from imgrag.run import Request, Run
from imgrag.terminal import plain_errors, progress, say

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(library_app, name="library")

TITLES = {
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


@app.callback()
def main() -> None:
    """Retrieval-augmented image generation, step by step."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a console may lack some letters of a prompt
            stream.reconfigure(errors="replace")


@app.command()
def run(
    prompt: Annotated[str, typer.Argument(help="What to draw, 1 to 2,000 characters.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder below which the run gets its own. [default: datasets/results]")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same image.")] = 0,
    profile: Annotated[str, typer.Option(help="A profile's name or the path of a TOML file.")] = "pocket",
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="How closely to follow the prompt.")] = None,
    adapter_scale: Annotated[float | None, typer.Option(help="How closely to follow the references.")] = None,
    similarity_floor: Annotated[float | None, typer.Option(help="Lowest similarity of a reference.")] = None,
    max_concepts: Annotated[int | None, typer.Option(help="Missing concepts to look up, 1 to 3.")] = None,
    rounds: Annotated[int, typer.Option(help="How often to draw again until it matches.")] = 1,
    negative_prompt: Annotated[str, typer.Option(help="What to keep out of the image.")] = "",
    library: Annotated[str | None, typer.Option(help="A library's name or a folder of images.")] = None,
    weights: Annotated[str, typer.Option(help="Weights of the references, such as 1,0.5.")] = "",
    policy: Annotated[
        PolicyName, typer.Option(help="Let idle models go, or keep all.")
    ] = PolicyName.sequential,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record to stdout.")] = False,
) -> None:
    """Draw a prompt: draft, verdict, references, enhanced image, second verdict."""
    with plain_errors():
        request = Request(
            prompt, negative_prompt, seed, steps, guidance_scale, adapter_scale, similarity_floor,
            max_concepts, _weights(weights), rounds, library,
        )  # fmt: skip
        from imgrag.pipeline import RESULTS, ImageRAGPipeline

        results = out or RESULTS
        pipeline = ImageRAGPipeline(profile, policy=policy.value, results=results)
        finished = _followed(pipeline.stream(request))
        _print(finished, results, as_json)


@app.command()
def download(
    profile: Annotated[str, typer.Option(help="The profile whose checkpoints to fetch.")] = "sdxl",
) -> None:
    """Fetch a profile's checkpoints from the hub and remember their commits."""
    with plain_errors(), progress() as bars:
        from imgrag.checkpoints import download as fetch
        from imgrag.profile import load_profile

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
        from imgrag.pocket import recipes

        _check_names("recipe", names or (), ["all", *recipes.RECIPES])
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
        raise typer.Exit(module.main(context.args))


def _check_names(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            say(f"There is no {what} {name!r}. Known are: {', '.join(known)}.")
            raise typer.Exit(2)


def _weights(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(weight) for weight in text.split(",")) if text.strip() else ()
    except ValueError:
        raise RequestError(f"The weights are {text!r}; give numbers with commas, such as 1,0.5.") from None


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


def _print(finished: Run, results: Path, as_json: bool) -> None:
    from imgrag import records

    if as_json:
        print(json.dumps(records.record(finished), indent=2))
        return
    for line in records.trace(finished):
        print(line)
    print(results / finished.id / "result.png")
