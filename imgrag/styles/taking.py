"""A style that somebody brings along: its folder, or a LoRA's file alone, looked at before anything is copied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from imgrag.errors import StyleError
from imgrag.library.intake.pictures import UnreadablePicture, read_picture
from imgrag.library.intake.taking import kind_of
from imgrag.models.lora import lora_metadata, refuse_file
from imgrag.models.soundness import UnsoundFile
from imgrag.styles.style import KEYS, LENGTHS, LORA, Style, read_style, style_from
from imgrag.texts import clean_line

MAX_PREVIEW = 20_000_000  # bytes of a file
_SAID = {
    "title": ("modelspec.title", "ss_output_name"),
    "source": ("modelspec.author",),
    "licence": ("modelspec.license",),
    "base": ("ss_sd_model_name", "modelspec.architecture", "ss_base_model_version"),
}
"""Where trainers write down what a style wants to know."""


def taken(source: Path, name: str, given: Mapping[str, Any]) -> Style:
    """What a folder or a LoRA's file says of itself, with what is given in its place.

    Raises:
        StyleError: it is neither, or a file in it cannot be used, or it names no licence.
    """
    kind = kind_of(source)
    if kind == "folder":
        style = read_style(source)
        said: dict[str, Any] = {key: getattr(style, key) for key in KEYS}
        lora, previews = style.lora, style.previews
    elif kind == "file":
        lora, previews = source, ()
        said = {"title": name, **_described(source, name)}
    else:
        raise StyleError(
            f"There is no style at {clean_line(source.name)[:100]!r}: it is no folder and no file."
        )
    try:
        made = replace(style_from(name, {**said, **given}), lora=lora, previews=previews)
    except ValueError as error:
        raise StyleError(f"The style {name!r} cannot be used: {error}.") from error
    _look_at(made)
    return made


def picture_of(file: Path) -> Image.Image:
    """A picture to search styles by. Raises StyleError: it is none that can be read."""
    try:
        return read_picture(file)
    except UnreadablePicture as error:
        raise StyleError(f"The picture {clean_line(file.name)[:100]!r} cannot be used: {error}.") from error


def files_of(style: Style) -> Iterator[tuple[Path, str]]:
    """Its files, and what each is called in a style's folder."""
    if style.lora is not None:
        yield style.lora, LORA
    for file in style.previews:
        yield file, file.name


@contextmanager
def about_lora(name: str) -> Iterator[None]:
    """What is wrong with the LoRA of the style of this name, in a sentence without a path."""
    try:
        yield
    except UnsoundFile as error:
        raise StyleError(f"The LoRA of the style {name!r} {error.what}. Give it another file.") from error


def _look_at(style: Style) -> None:
    """See that its files can be used."""
    if style.lora is not None:
        with about_lora(style.name):
            refuse_file(style.lora)
    for file in style.previews:
        try:
            if file.stat().st_size > MAX_PREVIEW:
                raise UnreadablePicture(f"it is larger than {MAX_PREVIEW // 10**6} MB")
            read_picture(file)
        except UnreadablePicture as error:
            shown = clean_line(file.name)[:100]
            raise StyleError(
                f"The picture {shown!r} of the style {style.name!r} cannot be used: {error}."
            ) from error


def _described(lora: Path, name: str) -> dict[str, str]:
    with about_lora(name):
        refuse_file(lora)
        metadata = lora_metadata(lora)
    found = {key: next((metadata[m] for m in marks if metadata.get(m)), "") for key, marks in _SAID.items()}
    return {key: text[: LENGTHS[key]] for key, text in found.items() if text}
