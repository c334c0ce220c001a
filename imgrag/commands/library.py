"""`python -m imgrag library create | copy | add | search | remove | list | stats | export`.

With --json results go to stdout as JSON and nothing else does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgrag.commands.terminal import plain_errors, progress, require_yes, say, typed
from imgrag.errors import Cancelled, LibraryError
from imgrag.texts import clean_line, shortened

if TYPE_CHECKING:
    from imgrag.library.search.explaining import Explanation

app = typer.Typer(
    no_args_is_help=True, help="Libraries of reference pictures: add, search, browse, export.",
)  # fmt: skip

Name = Annotated[str, typer.Argument(help="The library's name.")]
Profile = Annotated[str, typer.Option(help="The profile whose CLIP embeds.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the results to stdout as JSON.")]


def _librarian(profile: str = "pocket") -> Any:
    from imgrag.engine.librarian import Librarian
    from imgrag.engine.pipeline import ImageRAGPipeline

    return Librarian(ImageRAGPipeline(profile))


@app.command()
def create(
    name: Name,
    milvus: Annotated[
        str,
        typer.Option(help="Keep the entries in this Milvus, such as http://localhost:19530 or a .db file."),
    ] = "",
) -> None:
    """Make an empty library. The token of a Milvus is taken from IMGRAG_MILVUS_TOKEN."""
    with plain_errors():
        _librarian().create(name, milvus)
        say(f"The library {name!r} is there. Add pictures with: python -m imgrag library add {name!r} FOLDER")


@app.command()
def copy(name: Name, new: Annotated[str, typer.Argument(help="The copy's name.")]) -> None:
    """Make a library with the pictures of another one, to change it. Nothing is embedded again."""
    with plain_errors():
        _librarian().copy(name, new)
        say(f"The library {new!r} is there, with the pictures of {name!r}.")


@app.command()
def add(
    name: Name,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders (they stay where they are), pictures, zips, Parquet shards."),
    ] = None,
    profile: Profile = "pocket",
    as_json: AsJson = False,
) -> None:
    """Add pictures, or without paths look what has changed. What was stopped goes on where it was.

    Links within the folders are followed, wherever they lead; each picture is taken once.
    """
    with plain_errors(), _copy_offered(name):
        report = _followed(_librarian(profile).add(name, paths or [], reach=Path("/")))
        if as_json:
            print(json.dumps(asdict(report), indent=2, ensure_ascii=False))
            return
        print(
            f"{report.added} added, {report.changed} changed, {report.removed} removed, "
            f"{report.unchanged} unchanged, {len(report.skipped)} skipped in {report.seconds:.1f} s"
        )
        for skipped in report.skipped:
            print(f"skipped {skipped.shown}: {skipped.reason}")
        for problem in report.problems:
            print(f"not read {problem.shown}: {problem.reason}")
        if report.unmatched:
            names = ", ".join(report.unmatched_names) or "one without a name"
            print(f"without a picture: {report.unmatched:,} rows of metadata, such as {names}")


@app.command()
def search(
    name: Name,
    words: Annotated[str, typer.Argument(help="What to look for.")] = "",
    image: Annotated[Path | None, typer.Option(help="A picture to look for, alone or with words.")] = None,
    where: Annotated[str, typer.Option(help="A filter, such as: category = 'vehicle' and price < 300")] = "",
    k: Annotated[int, typer.Option("-k", help="How many results.")] = 10,
    weight: Annotated[
        float | None, typer.Option(help="The picture's share beside words, 0 to 1; 0.4 unless told.")
    ] = None,
    rerank: Annotated[bool, typer.Option(help="Let a model look at the best again and order them.")] = False,
    reasons: Annotated[
        bool, typer.Option("--reasons", help="With --rerank: a sentence for each, not just the first.")
    ] = False,
    explain: Annotated[bool, typer.Option(help="Let the LLM say why each was found.")] = False,
    profile: Profile = "pocket",
    as_json: AsJson = False,
) -> None:
    """Search by words, by a picture, or by both; best first."""
    with plain_errors():
        from imgrag.engine.librarian import as_rows
        from imgrag.library.search.queries import Query

        share = {} if weight is None else {"weight": weight}
        query = Query(typed(words), _picture(image) if image else None, where=typed(where), **share)
        librarian = _librarian(profile)
        found = librarian.search(name, query, k, rerank, reasons)
        told = (
            _told(librarian.explained(query.text, found.candidates), len(found.candidates)) if explain else []
        )
        if as_json:
            print(json.dumps(as_rows(found.candidates, told), indent=2, ensure_ascii=False))
            return
        for candidate, one in zip_longest(found.candidates, told):
            origin = ", ".join(filter(None, (candidate.source, candidate.licence)))
            fields = ", ".join(f"{key} {value}" for key, value in candidate.fields.items())
            sure = "" if candidate.sure is None else f"{candidate.sure:.0%}"
            look = candidate.look if reasons else ""
            parts = (f"{candidate.score:.3f}", sure, candidate.file, candidate.name, fields, origin, look)
            print("  ".join(filter(None, parts)))
            if one is not None:
                print(f"       {one.reason}{' (from its fields)' if one.plain else ''}")
        for remark in filter(None, (found.reason, found.note)):
            say(remark)


@app.command()
def remove(
    name: Name,
    files: Annotated[
        list[str] | None, typer.Argument(help="Files as search prints them; none removes the library itself.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first; a script has to say so.")] = False,
) -> None:
    """Take pictures out of a library, or delete it; neither can be undone here."""
    with plain_errors(), _copy_offered(name):
        librarian = _librarian()
        if not files:
            librarian.require_own(name)
            require_yes(yes, f"Delete the library {name!r} with the pictures in its folder?")
            librarian.delete(name)
            return
        librarian.library(name).require_own()
        require_yes(yes, f"Take {_files_in_words(files)} out of {name!r} and delete its copies?")
        removed = librarian.remove(name, files)
        if not removed:
            raise LibraryError(f"The library {name!r} has none of these files.")
        print(f"{removed} removed")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """The libraries and how many pictures each has."""
    with plain_errors():
        librarian = _librarian()
        stats = [librarian.stats(name) for name in librarian.names()]
        if as_json:
            print(json.dumps(stats, indent=2, ensure_ascii=False))
            return
        for one in stats:
            print(f"{one['name']}  {one['images']} images  {one['engine']}")


@app.command()
def stats(name: Name, as_json: AsJson = False) -> None:
    """What a library holds, where from, and what was skipped."""
    with plain_errors():
        found = _librarian().stats(name)
        if as_json:
            print(json.dumps(found, indent=2, ensure_ascii=False))
            return
        for key, value in found.items():
            print(f"{key}: {_in_words(value)}")


@app.command()
def export(
    name: Name,
    out: Annotated[Path, typer.Argument(help="Folder for the shards; it is made if need be.")],
    profile: Profile = "pocket",
) -> None:
    """Write ids, metadata and embeddings as Parquet shards, which `add` takes back."""
    with plain_errors():
        for path in _librarian(profile).export(name, out):
            print(path)


def _files_in_words(files: list[str]) -> str:
    return repr(shortened(clean_line(files[0]))) if len(files) == 1 else f"{len(files):,} pictures"


@contextmanager
def _copy_offered(name: str) -> Iterator[None]:
    """Where a library that comes with the app would be changed, say how to get one that can be."""
    from imgrag.library.base import ReadOnly

    try:
        yield
    except ReadOnly as error:
        raise LibraryError(f"{error} To make one: python -m imgrag library copy {name!r} NEW") from None


def _picture(path: Path) -> Any:
    from imgrag.library.intake.pictures import UnreadablePicture, read_picture

    try:
        return read_picture(path)
    except UnreadablePicture as error:
        raise LibraryError(f"The picture {path.name!r} cannot be used: {error}.") from error


def _followed(events: Any) -> Any:
    """Show progress on a terminal; returns the report."""
    from imgrag.library.intake.adding import Report

    with progress() as bars, closing(events):
        task = bars.add_task("looking", total=None)
        for event in events:
            if isinstance(event, Report):
                return event
            bars.update(task, description=event.what, completed=event.done, total=event.total)
    raise Cancelled("Adding was stopped.")


def _told(explanations: Iterable[Explanation], total: int) -> list[Explanation]:
    """Show on a terminal how far it is; returns all of them."""
    with progress() as bars:
        return list(bars.track(explanations, total=total, description="explaining"))


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {number:,}" for key, number in value.items() if number is not None)
    if not isinstance(value, list):
        return str(value)
    texts = (
        f"{shortened(item['file'])} ({item['reason']})" if isinstance(item, dict) else str(item)
        for item in value
    )
    return ", ".join(texts) or "none"
