"""`python -m imgrag caption IMAGE...`, `library caption NAME` and `captions train | use | evaluate | list`.

With --json results go to stdout as JSON and nothing else does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgrag.commands.terminal import plain_errors, progress, say, typed
from imgrag.errors import LibraryError, RequestError
from imgrag.texts import clean_line, shortened

if TYPE_CHECKING:
    from imgrag.captions import CaptionPipeline
    from imgrag.runs.captions import Captioned

app = typer.Typer(
    no_args_is_help=True, help="What writes captions: train a LoRA for it, choose one, measure.",
)  # fmt: skip

Library = Annotated[str | None, typer.Option(help="The library whose captions are read.")]
LibraryName = Annotated[str, typer.Option(help="The library with the captions.")]
TopK = Annotated[int | None, typer.Option(help="Neighbours of the whole picture, 1 to 50.")]
Profile = Annotated[str, typer.Option(help="The profile whose captioner writes.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the results to stdout as JSON.")]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="Show no bar.")]


def _captions(profile: str) -> CaptionPipeline:
    from imgrag.captions import CaptionPipeline
    from imgrag.engine.pipeline import ImageRAGPipeline

    return CaptionPipeline(ImageRAGPipeline(profile))


def caption(
    images: Annotated[list[Path], typer.Argument(help="Pictures, or one folder of them.")],
    library: Library = None,
    top_k: TopK = None,
    out: Annotated[
        Path | None, typer.Option(help="Of a folder: the table to write. [default: its metadata.csv]")
    ] = None,
    profile: Profile = "pocket",
    as_json: AsJson = False,
    no_progress: NoProgress = False,
) -> None:
    """Say what pictures show, by the captions of similar pictures. A folder gets a table, and is gone on with."""
    with plain_errors():
        from imgrag.captions import CaptionRequest

        request = CaptionRequest(library=typed(library or "") or None, k=top_k)
        folders = [path for path in images if path.is_dir()]
        if folders and len(images) > 1:
            raise RequestError("Give pictures, or one folder of them.")
        if out is not None and not folders:
            raise RequestError("--out names the table of a folder; for pictures use --json.")
        captions = _captions(profile)
        made = (
            _of_folder(captions, folders[0], out, request)
            if folders
            else _of_files(captions, images, request)
        )
        _told(made, as_json, no_progress)


def caption_library(
    name: Annotated[str, typer.Argument(help="The library's name.")],
    library: Annotated[
        str | None, typer.Option("--from", help="The library whose captions are read. [default: its own]")
    ] = None,
    top_k: TopK = None,
    profile: Profile = "pocket",
    as_json: AsJson = False,
    no_progress: NoProgress = False,
) -> None:
    """Caption the pictures that have no caption, and mark them as written by a model; goes on where it was."""
    with plain_errors():
        from imgrag.captions import CaptionPipeline, CaptionRequest
        from imgrag.captions.folders import caption_library
        from imgrag.engine.pipeline import ImageRAGPipeline

        pipeline, own = ImageRAGPipeline(profile), typed(name)
        request = CaptionRequest(library=typed(library or "") or own, k=top_k)
        made = caption_library(pipeline, CaptionPipeline(pipeline), own, request)
        _told(made, as_json, no_progress)


def _of_files(
    captions: CaptionPipeline, files: list[Path], request: Any
) -> Iterator[tuple[Captioned, int, int]]:
    from imgrag.captions.folders import opened

    pictures = [(file.name, file) for file in files]
    for number, one in enumerate(captions.many(opened(pictures, _refused), request), start=1):
        yield one, number, len(files)


def _of_folder(
    captions: CaptionPipeline, folder: Path, out: Path | None, request: Any
) -> Iterator[tuple[Captioned, int, int]]:
    from imgrag.captions.folders import TABLE, caption_folder

    def skip(name: str, why: str) -> None:
        say(f"skipped {shortened(clean_line(name))}: {why}")

    file = out or folder / TABLE
    yield from caption_folder(captions, folder, file, request, skip)
    say(f"The captions are in {file}")


def _refused(name: str, why: str) -> None:
    raise LibraryError(f"The picture {shortened(clean_line(name))!r} cannot be used: {why}.")


def _told(made: Iterator[tuple[Captioned, int, int]], as_json: bool, no_progress: bool) -> None:
    from imgrag.captions.records import record

    rows = []
    with progress() as bars:
        bars.disable = bars.disable or no_progress
        task = bars.add_task("captions", total=None)
        for one, done, total in made:
            bars.update(task, completed=done, total=total)
            rows.append(record(one))
            if not as_json:
                print(f"{one.file}: {one.caption}", flush=True)
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))


@app.command()
def train(
    library: LibraryName,
    name: Annotated[str, typer.Option(help="What the adapter is called. [default: the library's name]")] = "",
    samples: Annotated[int, typer.Option(help="Pictures to learn from, at most.")] = 5000,
    epochs: Annotated[int, typer.Option(help="How often each is seen.")] = 3,
    seed: Annotated[int, typer.Option(help="The same seed gives the same weights.")] = 0,
    settings: Annotated[Path | None, typer.Option(help="A TOML file with rank, rate and the like.")] = None,
    top_k: TopK = None,
    profile: Profile = "pocket",
) -> None:
    """Train a LoRA on a library's captions; a stopped training goes on after its last whole epoch."""
    with plain_errors():
        from imgrag.captions import AdapterShelf, CaptionPipeline, CaptionRequest
        from imgrag.captions.lessons import SETTINGS, read_lesson, split
        from imgrag.captions.lessons import samples as make
        from imgrag.captions.measures import require_bleu
        from imgrag.captions.training import kept_samples, train_adapter, training_folder
        from imgrag.engine.pipeline import ImageRAGPipeline

        require_bleu()
        lesson = read_lesson(settings or SETTINGS, samples=samples, epochs=epochs, seed=seed)
        pipeline = ImageRAGPipeline(profile)
        captions, place = CaptionPipeline(pipeline), AdapterShelf().place_for(typed(name) or typed(library))
        request, shelf = CaptionRequest(library=typed(library), k=top_k), pipeline.library(typed(library))
        work = training_folder(place.name, shelf.name, lesson, pipeline.profile)
        with progress() as bars:
            task = bars.add_task("neighbours", total=None)

            def told(done: int, total: int) -> None:
                bars.update(task, completed=done, total=total)

            learnt, kept = kept_samples(
                work, lambda: split(make(captions, shelf, request, lesson, told), lesson)
            )
        train_adapter(work, place, learnt, kept, pipeline.profile, lesson, say)
        say(
            f"The adapter {place.name!r} is there. To use it: python -m imgrag captions use {place.name!r} --library {library!r}"
        )


@app.command()
def use(
    adapter: Annotated[str, typer.Argument(help='The adapter\'s name; "none" for none.')],
    library: Annotated[
        str | None, typer.Option(help="The library that uses it. [default: the profile does]")
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Merge it into the whole weights first.")] = False,
    profile: Profile = "pocket",
) -> None:
    """Have a library, or a profile, use an adapter from now on."""
    with plain_errors():
        from imgrag.captions import AdapterShelf
        from imgrag.engine.pipeline import ImageRAGPipeline
        from imgrag.models.checkpoints import locate

        shelf, pipeline, name = AdapterShelf(), ImageRAGPipeline(profile), typed(adapter)
        captioner = pipeline.profile.captioner
        if captioner is None:
            raise RequestError(f"The profile {profile!r} has the VLM write captions, which wears no adapter.")
        who = pipeline.library(typed(library)).name if library else pipeline.profile.name
        if name == "none":
            shelf.use("", "library" if library else "profile", who)
            return
        if merge:
            name = shelf.merge(name, locate(captioner.checkpoint, pipeline.profile.name))
        shelf.require_fit(name, locate(captioner.checkpoint, pipeline.profile.name))
        shelf.use(name, "library" if library else "profile", who)
        say(f"The {'library' if library else 'profile'} {who!r} uses the adapter {name!r} now.")


@app.command()
def evaluate(
    library: LibraryName,
    samples: Annotated[int, typer.Option(help="Pictures to measure by, at most.")] = 500,
    seed: Annotated[int, typer.Option(help="Which pictures.")] = 1,
    top_k: TopK = None,
    profile: Profile = "pocket",
    as_json: AsJson = False,
) -> None:
    """BLEU-1 to 4, CIDEr-D and length, with and without retrieval, with and without the adapter in use."""
    with plain_errors():
        from imgrag.captions import CaptionPipeline, CaptionRequest
        from imgrag.captions.evaluating import evaluate as rows_of
        from imgrag.captions.lessons import read_lesson
        from imgrag.engine.pipeline import ImageRAGPipeline

        pipeline = ImageRAGPipeline(profile)
        lesson = read_lesson(samples=samples, seed=seed)
        request = CaptionRequest(library=typed(library), k=top_k)
        shelf, rows = pipeline.library(typed(library)), []
        for row in rows_of(CaptionPipeline(pipeline), shelf, request, lesson, pipeline.profile.captions):
            rows.append(asdict(row))
            if not as_json:
                how = f"{'with' if row.retrieval else 'without'} neighbours, {row.adapter or 'no adapter'}"
                print(f"{how}: " + ", ".join(f"{key} {value:g}" for key, value in row.figures.items()))
        if as_json:
            print(json.dumps(rows, indent=2, ensure_ascii=False))


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """The adapters."""
    with plain_errors():
        from imgrag.captions import AdapterShelf

        names = AdapterShelf().names()
        print(json.dumps(names, ensure_ascii=False) if as_json else "\n".join(names))
