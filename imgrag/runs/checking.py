"""Values as a person may have typed them: whether they are in range, and how a sentence holds them."""

from __future__ import annotations

import math
from typing import Any

from imgrag.errors import RequestError
from imgrag.texts import clean_line

MAX_DIGITS = 30  # of a number in a sentence
MAX_SHOWN = 60  # characters of any value in a sentence


def check_number(what: str, value: float | None, low: float, high: float, whole: bool = False) -> None:
    """Raises RequestError, which calls the value `what`: it is no number of this range. `None` is left open."""
    if value is None:
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not low <= value <= high or (whole and value != int(value)):  # NaN is in no range
        kind = "a whole number" if whole else "a number"
        raise RequestError(f"The {what} is {in_brief(value)}; it must be {kind} from {low} to {high}.")


def in_brief(value: Any) -> str:
    """A value as a sentence may hold it, whatever it is: Python does not even print a number of 5,000 digits."""
    if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        return f"{'-' if value < 0 else ''}1e{math.floor(math.log10(abs(value)))}"
    text = clean_line(str(value))
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
