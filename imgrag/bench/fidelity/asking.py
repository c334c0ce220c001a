"""A prompt that somebody might type, and the truth about it. Values of the bench."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from imgrag.pocket.world import world


@dataclass(frozen=True)
class Asked:
    """A thing of the world that a prompt asks for.

    Attributes:
        names: the world's name for it, then others that serve as well.
        number: how many are asked for; 0 of a plural that says no number.
        said: what the prompt calls it.
    """

    names: tuple[str, ...]
    number: int = 1
    said: str = ""

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def known(self) -> bool:
        """Whether the generator draws it without a reference."""
        return world_set(self.name) == "known"


@dataclass(frozen=True)
class Wording:
    """A prompt of a kind, and the truth about it.

    Attributes:
        things: what of the world it asks for.
        nobody: words for things that nobody has a picture of.
        declinable: what need not be drawn, as long as it is said: styles, adjectives.
        unwanted: names of the world that it does not want to see.
        ground: the colour of the background, if it says one.
    """

    prompt: str
    things: tuple[Asked, ...] = ()
    nobody: tuple[str, ...] = ()
    declinable: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()
    ground: str = ""
    kind: str = ""
    seed: int = 0


@cache
def world_set(name: str) -> str:
    """The set of a name of the world: "known", "shown" or "unseen"."""
    return next(icon.set for icon in world.icons() if icon.name == name)


def asked(name: str, number: int = 1, said: str = "") -> Asked:
    """A thing by its names, parted by "|"."""
    names = tuple(name.split("|"))
    return Asked(names, number, said or names[0])
