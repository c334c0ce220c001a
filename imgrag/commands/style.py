"""`python -m imgrag style list | show | search | add | remove`.

With --json results go to stdout as JSON and nothing else does.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from imgrag.commands.terminal import plain_errors, require_yes, say, typed

app = typer.Typer(
    no_args_is_help=True, help="Styles: what a prompt is drawn in. List, search, add.",
)  # fmt: skip

Name = Annotated[str, typer.Argument(help="The style's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the results to stdout as JSON.")]
ProfileName = Annotated[str, typer.Option(help="The profile whose styles they are.")]


def _shelf(profile: str) -> Any:
    from imgrag.models.profile import load_profile
    from imgrag.styles import StyleShelf

    return StyleShelf(load_profile(profile).name)


def _embedder(profile: str) -> Any:
    from imgrag.engine.librarian import BorrowedEmbedder
    from imgrag.engine.pipeline import ImageRAGPipeline

    return BorrowedEmbedder(ImageRAGPipeline(profile))


@app.command("list")
def list_(profile: ProfileName = "pocket", as_json: AsJson = False) -> None:
    """The styles of a profile; what is wrong with one that cannot be used goes to stderr."""
    with plain_errors():
        shelf = _shelf(profile)
        styles = shelf.styles()
        if as_json:
            print(json.dumps([_row(style) for style in styles], indent=2, ensure_ascii=False))
        else:
            for style in styles:
                print("  ".join(filter(None, (style.name, style.title, ", ".join(style.words)))))
        for problem in shelf.problems():
            say(problem)


@app.command()
def show(name: Name, profile: ProfileName = "pocket", as_json: AsJson = False) -> None:
    """All that a style says of itself, with what its LoRA wants to be said and its SHA-256."""
    with plain_errors():
        shelf = _shelf(profile)
        style = shelf.get(typed(name))
        row = {**_row(style), "drawn_as": shelf.styling(style).template, "sha256": shelf.styling(style).lora}
        if as_json:
            print(json.dumps(row, indent=2, ensure_ascii=False))
            return
        for key, value in row.items():
            print(f"{key}: {', '.join(value) if isinstance(value, list) else value}")


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="What to look for.")] = "",
    image: Annotated[Path | None, typer.Option(help="A picture in the style that is looked for.")] = None,
    words: Annotated[bool, typer.Option("--words", help="By words alone; no model is loaded.")] = False,
    profile: ProfileName = "pocket",
    as_json: AsJson = False,
) -> None:
    """Search by words, and by CLIP on the previews; best first."""
    with plain_errors():
        from imgrag.styles.taking import picture_of

        picture = None if image is None else picture_of(image)
        shelf = _shelf(profile)
        embedder = None if words and picture is None else _embedder(profile)
        found = shelf.search(typed(text), picture, embedder)
        if as_json:
            rows = [{"score": round(score, 4), **_row(style)} for style, score in found]
            print(json.dumps(rows, indent=2, ensure_ascii=False))
            return
        for style, score in found:
            print(f"{score:.3f}  {style.name}  {style.title}")


@app.command()
def add(
    source: Annotated[Path, typer.Argument(help="A style's folder, or the file of a LoRA (.safetensors).")],
    name: Annotated[str, typer.Option(help="Its name. [default: the folder's or the file's]")] = "",
    title: Annotated[str, typer.Option(help="What people call it.")] = "",
    words: Annotated[str, typer.Option(help="What calls it in a prompt, with commas between.")] = "",
    template: Annotated[
        str, typer.Option(help='The generator\'s prompt, such as "{prompt}, ink wash".')
    ] = "",
    negative: Annotated[str, typer.Option(help="What is to be kept out.")] = "",
    scale: Annotated[float | None, typer.Option(help="Of the LoRA, 0 to 2.")] = None,
    licence: Annotated[
        str, typer.Option(help="Under which it may be passed on, where it does not say.")
    ] = "",
    origin: Annotated[str, typer.Option("--source", help="Where it was taken from.")] = "",
    profile: ProfileName = "pocket",
) -> None:
    """Copy a style, or a LoRA in diffusers' or kohya's format, into your own styles of a profile."""
    with plain_errors():
        called = tuple(word.strip() for word in typed(words).split(",") if word.strip())
        style = _shelf(profile).add(
            source, typed(name), title=typed(title), words=called, template=typed(template),
            negative=typed(negative), scale=scale, licence=typed(licence), source=typed(origin),
        )  # fmt: skip
        say(
            f"The style {style.name!r} is there. Draw in it with: python -m imgrag run PROMPT --style {style.name!r}"
        )


@app.command()
def remove(
    name: Name,
    profile: ProfileName = "pocket",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first; a script has to say so.")] = False,
) -> None:
    """Delete a style of your own; it cannot be undone."""
    with plain_errors():
        shelf = _shelf(profile)
        shelf.require_own(typed(name))
        require_yes(yes, f"Delete the style {name!r} with its files?")
        shelf.remove(typed(name))


def _row(style: Any) -> dict[str, Any]:
    """A style without paths of this machine."""
    row = {**asdict(style), "lora": style.lora is not None, "previews": len(style.previews)}
    return {**row, "words": list(style.words)}
