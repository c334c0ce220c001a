"""The structure that a person asks for: the picture's file and its settings become a request's value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from imgrag.errors import RequestError
from imgrag.library.intake.pictures import UnreadablePicture, read_still
from imgrag.runs.structure import Structured

OPTIONS = ("control", "control_kind", "control_scale", "control_share", "control_initial", "control_similar")
"""What each is called by a command, an endpoint and a list of prompts: `structure_from`'s arguments."""


def read_control(path: Path) -> Image.Image:
    """The picture in a file, upright.

    Raises:
        RequestError: it is no picture that can be used.
    """
    try:
        return read_still(path)
    except UnreadablePicture as error:
        raise RequestError(
            f"The picture of the structure cannot be used: {error}. Choose another one."
        ) from error


def structure_from(
    control: Image.Image | None = None,
    control_kind: str | None = None,
    control_scale: float | None = None,
    control_share: float | None = None,
    control_initial: bool = False,
    control_similar: str | None = None,
) -> Structured | None:
    """What these values ask for; `None` where none is given.

    Args:
        control: the picture.
        control_initial: the initial image's own structure in its place.

    Raises:
        RequestError: a value is out of its range, or has nothing to be about.
    """
    if control is not None and control_initial:
        raise RequestError("Give a picture for the structure, or take the initial image's own, not both.")
    if control is None and not control_initial:
        if any(value is not None for value in (control_kind, control_scale, control_share, control_similar)):
            raise RequestError(
                "There is no picture to make a structure of. Give one, or take the initial image's own."
            )
        return None
    kind: Any = control_kind or "sketch"  # whatever was typed: the value checks it
    similar: Any = control_similar
    return Structured(control, kind, control_scale, control_share, similar)


def structure_in(row: Mapping[str, Any], usual: Structured | None) -> Structured | None:
    """What the columns of a row ask for, with the usual picture where they name none.

    Raises:
        RequestError: as `structure_from`, or a value cannot be read as what it should be.
    """
    values = {name: row[name] for name in OPTIONS if row.get(name) not in (None, "")}
    for name in ("control_scale", "control_share"):
        values |= {name: _number(name, values[name])} if name in values else {}
    if "control_initial" in values:
        values["control_initial"] = str(values["control_initial"]).casefold() in ("1", "true", "yes")
    picture = read_control(Path(str(values["control"]))) if "control" in values else None
    if picture is None and usual is not None and not values.get("control_initial"):
        named = {
            name.removeprefix("control_"): value
            for name, value in values.items()
            if name != "control_initial"
        }
        return replace(usual, **named)
    return structure_from(**{**values, "control": picture})


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        what = name.removeprefix("control_")
        raise RequestError(
            f"The {what} of the structure is {str(value)[:40]!r}, which is no number."
        ) from None
