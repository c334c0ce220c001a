"""One value over another: the requests of a grid, whose rows and columns each vary one setting."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from imgrag.commands.prompt_files import parse_styles
from imgrag.errors import RequestError
from imgrag.runs.values import Request, in_brief

WHOLE = ("seed", "steps", "rounds", "max_concepts")
SHARES = ("guidance_scale", "adapter_scale", "guided_share", "similarity_floor")
NAMES = ("styles", "library")
SETTINGS = (*WHOLE, *SHARES, *NAMES)
MOST_VALUES = 12  # of a side
LONGEST = 2_000  # characters of a side
LONGEST_VALUE = 60  # characters of a value: it stands above a column
NOTHING = "none"  # of a side of styles: no style at all
_RANGE = re.compile(r"(\d{1,10})\s*-\s*(\d{1,10})")


@dataclass(frozen=True)
class Side:
    """A setting and the values that it has along a side of a grid, as they were typed and as a request has them."""

    setting: str
    typed: tuple[str, ...]
    values: tuple[Any, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """What stands beside each row or above each column: "adapter scale 0.6"."""
        name = self.setting.replace("_", " ")
        return tuple(f"{name} {value}" for value in self.typed)


def side(setting: str, text: str, library: Callable[[str], str | None] = lambda name: name) -> Side:
    """Read a side: values with commas between, whole numbers also as "1-4".

    Args:
        library: what a request takes for a library's name.

    Raises:
        RequestError: the setting cannot be varied, a value is none of it, or the text or a value is too long.
    """
    if setting not in SETTINGS:
        raise RequestError(
            f"The setting {in_brief(setting)!r} cannot vary in a grid. Choose one of: {', '.join(SETTINGS)}."
        )
    if len(text) > LONGEST:
        raise RequestError(f"A side of a grid has more than {LONGEST:,} characters. Give fewer values.")
    typed = _spread(setting, text)
    if not 1 <= len(typed) <= MOST_VALUES:
        raise RequestError(
            f"A side of a grid has {len(typed)} values; give from 1 to {MOST_VALUES}, with commas between."
        )
    return Side(setting, typed, tuple(_value(setting, value, library) for value in typed))


def sides(text: str) -> Side:
    """Read "adapter_scale=0.3,0.6,1", as the command line has it. Raises as `side` does."""
    setting, equals, values = text.partition("=")
    if not equals:
        raise RequestError(
            f"A side of a grid looks like seed=1-4 or adapter_scale=0.3,0.6, not {in_brief(text)!r}."
        )
    return side(setting.strip().replace("-", "_"), values)


def grid_requests(base: Request, across: Side | None, down: Side | None) -> list[Request]:
    """The requests, row by row: every value across with every value down.

    Raises:
        RequestError: a value is out of its range, or both sides vary the same setting.
    """
    if across is not None and down is not None and across.setting == down.setting:
        raise RequestError(
            "Both sides of the grid vary the same setting. Choose another one for one of them."
        )
    return [
        replace(base, **_set(across, column), **_set(down, row))
        for row in range(len(down.values) if down else 1)
        for column in range(len(across.values) if across else 1)
    ]


@dataclass(frozen=True)
class Grid:
    """What varies across and down."""

    across: Side | None = None
    down: Side | None = None


def laid_out(requests: Sequence[Request], grid: Grid | None, seeds: int = 1) -> list[Request]:
    """The requests of a batch: each with so many seeds, or those of a grid of the one prompt there is.

    Raises:
        RequestError: a grid is asked for of several prompts, or with several seeds each; and as `grid_requests` does.
    """
    if grid is None:
        return seeds_each(requests, seeds)
    if len(requests) != 1 or seeds != 1:
        raise RequestError("A grid is of one prompt. Give one; its seeds can be a side, such as seed=1-4.")
    return grid_requests(requests[0], grid.across, grid.down)


def _set(one: Side | None, place: int) -> dict[str, Any]:
    return {} if one is None else {one.setting: one.values[place]}


def _spread(setting: str, text: str) -> tuple[str, ...]:
    """The values, each once; of more than a side may have, only so many that it is seen."""
    found: dict[str, None] = {}
    for part in filter(None, (part.strip() for part in re.split(r"[,，]", text))):
        if len(part) > LONGEST_VALUE:
            raise RequestError(
                f"The value {in_brief(part)!r} is longer than {LONGEST_VALUE} characters. Shorten it."
            )
        ends = _RANGE.fullmatch(part) if setting in WHOLE else None
        found.update(dict.fromkeys([part] if ends is None else _range(part, int(ends[1]), int(ends[2]))))
        if len(found) > MOST_VALUES:
            break
    return tuple(found)[: MOST_VALUES + 1]


def _range(text: str, first: int, last: int) -> list[str]:
    if last < first:
        raise RequestError(f"The range {text!r} begins above its end. Turn it round: {last}-{first}.")
    return [str(value) for value in range(first, min(last, first + MOST_VALUES) + 1)]


def _value(setting: str, text: str, library: Callable[[str], str | None]) -> Any:
    if setting == "styles":
        return () if text.casefold() == NOTHING else parse_styles(text)
    if setting == "library":
        return library(text)
    try:
        return int(text) if setting in WHOLE else float(text)
    except ValueError:
        kind = "whole number" if setting in WHOLE else "number"
        raise RequestError(
            f"The value {in_brief(text)!r} of {setting.replace('_', ' ')} is no {kind}."
        ) from None


def seeds_each(requests: Sequence[Request], seeds: int) -> list[Request]:
    """Each request `seeds` times, with seeds one after the other, from its own."""
    return [replace(request, seed=request.seed + more) for request in requests for more in range(seeds)]
