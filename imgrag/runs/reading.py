"""How a prompt was read: its things, its background, its style, and what was left out. Pure values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from imgrag.runs.knowledge import Augmentation
from imgrag.runs.plurals import english_plural
from imgrag.runs.styles import Styling

How = Literal["name", "slip", "synonym", "emoji", "knowledge", "nobody"]
"""By its name, by a spelling close to it, by another word for it, by an emoji character, by a text that was looked up
for what the prompt says, or not at all."""
Knower = Literal["generator", "judge", "library"]
Outcome = Literal["there", "absent", "not sure"]
MOST = 99  # of one thing
MOST_THINGS = 240  # in a prompt
LONGEST_NAME = 200  # characters of what a thing is called


@dataclass(frozen=True)
class Thing:
    """Something that a prompt asks to see.

    Attributes:
        spelling: as the prompt, or its translation, has it.
        name: what the models and the library call one of it.
        number: how many are asked for.
        drawn: how many of them the generator is asked for; 0 where it was left out.
        describing: the words that describe it.
        how: how its name was found.
        known: who knows the name. Where a generator's vocabulary has no end, it and its judge are taken to.
    """

    spelling: str
    name: str
    number: int = 1
    drawn: int = 1
    describing: tuple[str, ...] = ()
    how: How = "name"
    known: tuple[Knower, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """A part of a prompt that is not worked on, as it stands there, and why.

    `seen` tells that it would have been seen in the image, unlike syntax and praise.
    """

    words: str
    reason: str
    seen: bool = False


@dataclass(frozen=True)
class Reading:
    """What the rest of a run works on.

    Attributes:
        prompt: what the models are asked for, in the generator's language and wording.
        negative: what a prompt brought along as its negative block.
        language: the prompt's own, where it had to be translated; `translation` is what came of it.
        augmentation: what was looked up for it, `None` where nothing was wanted or found.
        styles: those that it is drawn in, picked or called by its words. `style` is what it says of others.
    """

    prompt: str
    things: tuple[Thing, ...] = ()
    background: str = ""
    style: str = ""
    negative: str = ""
    left_out: tuple[LeftOut, ...] = ()
    language: str = ""
    translation: str = ""
    augmentation: Augmentation | None = None
    styles: tuple[Styling, ...] = ()

    @property
    def drawn(self) -> tuple[Thing, ...]:
        """The things that the generator is asked for."""
        return tuple(thing for thing in self.things if thing.drawn)

    @property
    def curtailed(self) -> bool:
        """Whether something is left out that would have been seen."""
        return any(left.seen for left in self.left_out)

    def named(self, name: str) -> Thing | None:
        """The thing of this name, however its letters are cased."""
        return next((thing for thing in self.things if thing.name.casefold() == name.casefold()), None)


SEEN = "the judge sees it"
"""Why it is not sure that something is absent which is not to be there."""

_FEWER = re.compile(r"([0-9]{1,2}) drawn for ([0-9]{1,2})")


@dataclass(frozen=True)
class Sight:
    """What a judge makes of one thing.

    Attributes:
        sureness: the likelihood of "yes" against "no", 0 to 1, to whether the image shows it; `None` where
            it was not asked.
        reason: why it is no plain answer.
    """

    name: str
    outcome: Outcome
    sureness: float | None = None
    reason: str = ""

    @property
    def fewer(self) -> tuple[str, str] | None:
        """Where it is there, only fewer than asked for: what is there and what is not, "2 of 3 cats" and "1 of 3 cats"."""
        found = _FEWER.fullmatch(self.reason) if self.outcome == "absent" else None
        if found is None:
            return None
        there, number, several = int(found[1]), int(found[2]), english_plural(self.name)
        return f"{there} of {number} {several}", f"{number - there} of {number} {several}"

    @property
    def unwanted(self) -> str:
        """What is not to be there, and seen all the same; "" of a thing that is asked for."""
        return self.name.removeprefix("no ") if self.reason == SEEN else ""
