"""`python -m imgrag enlarge IMAGE...`: pictures larger and cleaner, by the profile's upscaler."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgrag.commands.terminal import plain_errors, progress
from imgrag.errors import RequestError
from imgrag.texts import clean_line

if TYPE_CHECKING:
    from PIL import Image


def enlarge(
    images: Annotated[list[Path], typer.Argument(help="Pictures.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the larger ones. [default: beside each, NAME-larger.png]")
    ] = None,
    profile: Annotated[str, typer.Option(help="The profile whose upscaler it is.")] = "pocket",
) -> None:
    """Make pictures larger and cleaner; prints where they are."""
    with plain_errors():
        from imgrag.engine.pipeline import ImageRAGPipeline

        pipeline = ImageRAGPipeline(profile)
        targets = [(out or path.parent) / f"{path.stem}-larger.png" for path in images]
        if len(set(targets)) < len(targets):
            raise RequestError(
                "Two of the pictures would have one name. Make them larger one after the other."
            )
        for path in images:
            still(path)  # one that is none is told before any is made
        with progress() as bars:
            for path, target in bars.track([*zip(images, targets, strict=True)], description="pictures"):
                print(_written(pipeline.enlarge(still(path)), target))


def still(path: Path) -> Image.Image:
    """The picture in a file. Raises RequestError: it is none that can be used."""
    from imgrag.library.intake.pictures import UnreadablePicture, read_still

    try:
        return read_still(path)
    except UnreadablePicture as error:
        raise RequestError(
            f"{clean_line(path.name)} cannot be used: {error}. Choose another picture."
        ) from error


def _written(picture: Image.Image, target: Path) -> Path:
    partial = target.with_name(f".{os.getpid()}.{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        picture.save(partial, format="PNG")
        partial.replace(target)
    except OSError as error:
        reason = error.strerror or "no reason given"
        raise RequestError(
            f"{clean_line(target.name)} cannot be written ({reason}). Choose another folder with --out."
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return target
