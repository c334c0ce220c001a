"""`python -m imgrag knowledge create | copy | add | search | remove | list`.

With --json results go to stdout as JSON and nothing else does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from imgrag.commands.terminal import plain_errors, require_yes, say, typed
from imgrag.errors import LibraryError
from imgrag.texts import clean_line, shortened

app = typer.Typer(
    no_args_is_help=True, help="Knowledge: short texts that prompts are looked up in. Add, search, list.",
)  # fmt: skip

Name = Annotated[str, typer.Argument(help="The knowledge base's name.", parser=typed, metavar="name")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the results to stdout as JSON.")]


def _shelf() -> Any:
    from imgrag.knowledge import KnowledgeShelf

    return KnowledgeShelf()


def _embedder(profile: str) -> Any:
    from imgrag.engine.borrowing import BorrowedEmbedder
    from imgrag.engine.pipeline import ImageRAGPipeline

    return BorrowedEmbedder(ImageRAGPipeline(profile))


@app.command()
def create(name: Name) -> None:
    """Make an empty knowledge base."""
    with plain_errors():
        _shelf().create(name)
        say(
            f"The knowledge base {name!r} is there. Add texts with: python -m imgrag knowledge add {name!r} FILE"
        )


@app.command()
def copy(
    name: Name, new: Annotated[str, typer.Argument(help="The copy's name.", parser=typed, metavar="new")]
) -> None:
    """Make a knowledge base with the texts of another one, to change it."""
    with plain_errors():
        _shelf().copy(name, new)
        say(f"The knowledge base {new!r} is there, with the texts of {name!r}.")


@app.command()
def add(
    name: Name,
    paths: Annotated[
        list[Path],
        typer.Argument(help="CSV, TSV, JSON lines, JSON, Parquet, Markdown, or folders and zips of them."),
    ],
    as_json: AsJson = False,
) -> None:
    """Add texts: rows with a term and a text, or Markdown with a heading above each. All of a call, or none."""
    with plain_errors(), _copy_offered(name):
        report = _shelf().open(name).add(*paths)
        if as_json:
            print(json.dumps(asdict(report), indent=2, ensure_ascii=False))
            return
        print(f"{report.added:,} added, {report.unchanged:,} unchanged, {report.broken:,} left out")
        for example in report.examples:
            print(f"left out: {example}")
        for problem in report.problems:
            print(f"not read {problem.shown}: {problem.reason}")


@app.command()
def search(
    name: Name,
    text: Annotated[str, typer.Argument(help="What to look for, such as a whole prompt.")],
    k: Annotated[int, typer.Option("-k", help="How many texts.")] = 5,
    words: Annotated[bool, typer.Option("--words", help="By words alone; no model is loaded.")] = False,
    profile: Annotated[str, typer.Option(help="The profile whose CLIP looks.")] = "pocket",
    as_json: AsJson = False,
) -> None:
    """Search by words and by CLIP's vectors as one ranking; best first."""
    with plain_errors():
        base = _shelf().open(name)
        found = base.search(typed(text), k, None if words else _embedder(profile))
        if as_json:
            print(json.dumps([asdict(fact) for fact in found], indent=2, ensure_ascii=False))
            return
        for fact in found:
            origin = ", ".join(filter(None, (fact.source, fact.licence)))
            score = "" if words else f"{fact.score:.3f}"
            print("  ".join(filter(None, (score, fact.term, fact.text, origin))))


@app.command()
def remove(
    name: Name,
    terms: Annotated[
        list[str] | None,
        typer.Argument(help="What the texts are about; none removes the knowledge base itself."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first; a script has to say so.")] = False,
) -> None:
    """Take the texts of terms out, or delete a knowledge base; neither can be undone."""
    with plain_errors(), _copy_offered(name):
        shelf = _shelf()
        base = shelf.open(name)
        base.require_own()
        if not terms:
            require_yes(yes, f"Delete the knowledge base {name!r} with its {base.count():,} texts?")
            shelf.delete(name)
            return
        require_yes(yes, f"Take the texts about {_in_words(terms)} out of {name!r}?")
        print(f"{sum(base.remove(typed(term)) for term in terms)} removed")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """The knowledge bases and how many texts each has."""
    with plain_errors():
        shelf = _shelf()
        bases = [shelf.open(name) for name in shelf.names()]
        if as_json:
            rows = [{"name": b.name, "texts": b.count(), "read_only": b.read_only} for b in bases]
            print(json.dumps(rows, indent=2, ensure_ascii=False))
            return
        for base in bases:
            aside = ", ".join(shelf.damaged(base.name))
            print(
                f"{base.name}  {base.count():,} texts"
                + (f"  made anew, the damaged one is kept: {aside}" if aside else "")
            )


def _in_words(terms: list[str]) -> str:
    return repr(shortened(clean_line(terms[0]))) if len(terms) == 1 else f"{len(terms):,} terms"


@contextmanager
def _copy_offered(name: str) -> Iterator[None]:
    """Where one that comes with the app would be changed, say how to get one that can be."""
    from imgrag.knowledge.base import ComesWithTheApp

    try:
        yield
    except ComesWithTheApp as error:
        raise LibraryError(f"{error} To make one: python -m imgrag knowledge copy {name!r} NEW") from None
