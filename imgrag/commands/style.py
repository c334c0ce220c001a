"""`python -m imgrag style list | show | search | add | train | remove`.

With --json results go to stdout as JSON and nothing else does.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from imgrag.commands.terminal import plain_errors, require_yes, say, typed
from imgrag.errors import StyleError

app = typer.Typer(
    no_args_is_help=True, help="Styles: what a prompt is drawn in. List, search, add, train.",
)  # fmt: skip

Name = Annotated[str, typer.Argument(help="The style's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the results to stdout as JSON.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same weights.")]
ProfileName = Annotated[str, typer.Option(help="The profile whose styles they are.")]


def _shelf(profile: str) -> Any:
    from imgrag.models.profile import load_profile
    from imgrag.styles import StyleShelf

    return StyleShelf(load_profile(profile).name)


def _embedder(profile: str) -> Any:
    from imgrag.engine.borrowing import BorrowedEmbedder
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
        style = _shelf(profile).add(
            source, typed(name), title=typed(title), words=_called(words), template=typed(template),
            negative=typed(negative), scale=scale, licence=typed(licence), source=typed(origin),
        )  # fmt: skip
        say(
            f"The style {style.name!r} is there. Draw in it with: python -m imgrag run PROMPT --style {style.name!r}"
        )


@app.command()
def train(
    name: Name,
    pictures: Annotated[list[Path], typer.Argument(help="Pictures in the style, or folders of them.")],
    licence: Annotated[
        str, typer.Option(help="Under which the style may be passed on; asked for if left out.")
    ] = "",
    title: Annotated[str, typer.Option(help="What people call it. [default: the name]")] = "",
    words: Annotated[str, typer.Option(help="What calls it in a prompt, with commas between.")] = "",
    template: Annotated[
        str, typer.Option(help='The generator\'s prompt, such as "{prompt}, ink wash".')
    ] = "{prompt}",
    scale: Annotated[float, typer.Option(min=0, max=2, help="Of the LoRA when it draws.")] = 1.0,
    origin: Annotated[str, typer.Option("--source", help="Where the pictures were taken from.")] = "",
    profile: ProfileName = "pocket",
    rank: Annotated[int, typer.Option(help="Of the LoRA; its size grows with it.")] = 8,
    alpha: Annotated[int, typer.Option(help="Its strength while it learns; 0 is the rank.")] = 0,
    steps: Annotated[int, typer.Option(help="How long it learns.")] = 600,
    rate: Annotated[float, typer.Option(help="How fast it learns.")] = 1e-3,
    resolution: Annotated[int, typer.Option(help="Px that pictures are brought to; 0 is the profile's.")] = 0,
    batch: Annotated[int, typer.Option(help="Pictures in a step.")] = 8,
    convolutions: Annotated[
        bool, typer.Option("--convolutions", help="The layers between the attentions learn as well.")
    ] = False,
    every: Annotated[int, typer.Option(help="Steps from one sample sheet to the next.")] = 200,
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help='"cpu", "cuda", "mps" or "auto".')] = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder of the style. [default: among your own]")] = None,
) -> None:
    """Train a style from pictures; a stopped training goes on where it was."""
    with plain_errors():
        from imgrag.models.profile import load_profile
        from imgrag.styles.lessons import read_examples
        from imgrag.styles.style import Style
        from imgrag.styles.training import Lesson, train_style

        lesson = Lesson(rank, alpha, steps, rate, resolution, seed, batch, convolutions, every)
        cast, name = load_profile(profile), typed(name)
        folder = out or _shelf(profile).place_for(name)
        style = Style(
            name, typed(title) or name, typed(licence) or _asked_licence(), _called(words) or (name,), typed(template),
            scale=scale, base=cast.generator.checkpoint.label, source=typed(origin),
        )  # fmt: skip
        train_style(style, read_examples(pictures, style.words[0]), folder, cast, lesson, device, say)
        say(f"The style {name!r} is there. Draw in it with: python -m imgrag run PROMPT --style {name!r}")


def _asked_licence() -> str:
    """By a question on a terminal. Raises StyleError: nobody is there to answer."""
    if not sys.stdin.isatty():
        raise StyleError("A style needs a licence under which it may be passed on. Say it with --licence.")
    return typed(typer.prompt("Under which licence may the style be passed on?"))


def _called(words: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in typed(words).split(",") if word.strip())


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
