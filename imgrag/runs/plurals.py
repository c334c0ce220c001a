"""English names of things, in the plural."""

from __future__ import annotations

IRREGULAR = {
    "mouse": "mice",
    "goose": "geese",
    "fish": "fish",
    "sheep": "sheep",
    "deer": "deer",
    "ox": "oxen",
}
UNCHANGED = ("s", "bison", "moose", "squid", "shrimp", "sushi", "dice")
VES = {"knife": "knives", "leaf": "leaves", "wolf": "wolves", "scarf": "scarves"}


def english_plural(name: str) -> str:
    """Several of a thing: "dogs", "polar bears", "mice", "knives", "scissors"; what is no English word stays."""
    head, _, last = name.rpartition(" ")
    if not last[-1:].isascii():
        return name
    if last in IRREGULAR or last in VES:
        last = {**IRREGULAR, **VES}[last]
    elif last.endswith(("ss", "sh", "ch", "x", "us")):
        last += "es"
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        last = f"{last[:-1]}ies"
    elif not last.endswith(UNCHANGED):
        last += "s"
    return f"{head} {last}".strip()
