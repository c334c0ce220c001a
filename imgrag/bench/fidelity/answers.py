"""What came of a wording: what the result shows by the judge, against what was asked and what the run says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from imgrag.bench.fidelity.asking import Asked, Wording
from imgrag.pocket.world import world
from imgrag.runs.values import Reference, Run

FITS = 2  # things in a scene
PLURAL = 2  # the least that a plural asks for


@dataclass(frozen=True)
class Answer:
    """A wording, its run, and what the judge finds in the result.

    Attributes:
        run: `None` where it ended with an error.
        slots: the name that each slot shows, "" where it shows none: left, right, middle.
        ground: the colour of the background.
    """

    case: Wording
    run: Run | None
    slots: tuple[str, ...] = ("", "", "")
    ground: str = ""

    def count(self, thing: Asked) -> int:
        """How many of it there are, by any of its names."""
        left, right, middle = (slot in thing.names for slot in self.slots)
        return max(left + right, int(middle))

    @property
    def fits(self) -> bool:
        """Whether a scene can hold all that is asked for."""
        return sum(max(1, thing.number) for thing in self.case.things) <= FITS

    @property
    def right(self) -> bool:
        """All that is asked for and can be drawn is there, in its number where that fits; nothing unwanted is.

        Of more things than fit, as many as do are there, those that the generator knows first.
        """
        things = self.case.things
        if not things or self._unwanted or (self.case.ground and self.ground != self.case.ground):
            return False
        there = [thing for thing in things if self.count(thing)]
        if self.fits:
            return all(self.count(thing) >= max(1, thing.number) for thing in things)
        known = [thing for thing in things if thing.known]
        return len(there) >= min(FITS, len(things)) and (len(known) > FITS or all(map(self.count, known)))

    @property
    def claims(self) -> bool:
        """Whether the kept image's verdict says that everything is there."""
        verdict = None if self.run is None else self.run.verdict
        return verdict is not None and verdict.matches

    @property
    def claims_falsely(self) -> bool:
        """It does, though something that was asked for is not there, or nobody has it."""
        asked = bool(self.case.things) and not self.unknown
        return self.claims and (not asked or bool(self.lacking) or self._unwanted)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What nobody has and no text told of: a scene that was looked up is there where its ground is."""
        reading = None if self.run is None else self.run.reading
        told = None if reading is None else reading.augmentation
        if reading is None or told is None or told.reason or self.ground != reading.background:
            return self.case.nobody
        texts = " ".join(f"{fact.term} {fact.text}" for fact in told.facts).casefold()
        return tuple(word for word in self.case.nobody if not _mentions(texts, {word}))

    @property
    def lacking(self) -> tuple[Asked, ...]:
        """The things of which there are not as many as were asked for."""
        return tuple(thing for thing in self.case.things if self.count(thing) < (thing.number or PLURAL))

    @property
    def to_decline(self) -> bool:
        """Whether something is left that can only be declined."""
        return bool(self.unknown) or not self.right

    @property
    def honest(self) -> bool:
        """It claims nothing, names all that is lacking or unknown, and kept no wrong picture."""
        if self.run is None or self.claims or (self.run.kept and self.wrong_references):
            return False
        words = [{thing.said, *thing.names} for thing in self.case.things if thing in self.lacking]
        return all(map(self._tells, [*words, *({word} for word in self.unknown)]))

    @property
    def tells_before(self) -> bool:
        """Whether what is lacking was said when the prompt was read, before anything was drawn."""
        report = None if self.run is None else self.run.report("reading", 1)
        said = " ".join(report.notes).casefold() if report is not None else ""
        return all(_mentions(said, {thing.said, *thing.names}) for thing in self.lacking)

    @property
    def tells_left_out(self) -> bool:
        """Whether it says of what need not be drawn that it is left out."""
        return all(self._tells({words}) for words in self.case.declinable)

    @property
    def wrong_references(self) -> list[Reference]:
        """References for what nobody has, or other pictures than the thing's own."""
        rounds = () if self.run is None else self.run.rounds
        return [r for round_ in rounds for r in round_.references or () if self._wrong(r)]

    @property
    def _unwanted(self) -> bool:
        return any(name in self.slots for name in self.case.unwanted)

    def _wrong(self, reference: Reference) -> bool:
        concept = reference.concept.casefold()
        meant = [t for t in self.case.things if concept in {t.said.casefold(), *t.names}]
        if not meant and any(_mentions(concept, {word}) for word in self.case.nobody):
            return True
        return reference.chosen.file not in {
            file for thing in meant or self.case.things for name in thing.names for file in _files(name)
        }

    def _tells(self, words: set[str]) -> bool:
        assert self.run is not None
        return _mentions(" ".join(_told(self.run)).casefold(), words)


def _files(name: str) -> Iterator[str]:
    return (icon.file_name for icon in world.icons() if icon.name == name)


def _told(run: Run) -> Iterator[str]:
    """All that a run says of what it leaves out, does not know or does not find."""
    yield from run.notes
    if run.reading is not None:
        for left_out in run.reading.left_out:
            yield f"{left_out.words}: {left_out.reason}"
    for round_ in run.rounds:
        for rejection in (*round_.rejected, *round_.unfound):
            yield f"{rejection.name}: {rejection.reason}"
    if run.verdict is not None:
        yield from run.verdict.missing
        for sight in run.verdict.sights:
            if sight.outcome != "there":
                yield f"{sight.name}: {sight.reason}"


def _mentions(text: str, names: set[str]) -> bool:
    """Whether a text, in lower case, holds a word of any of these names."""
    words = {word for name in names for word in re.findall(r"\w+|[^\w\s]+", name.casefold())}
    return any(
        re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) if word.isascii() else word in text
        for word in words
    )
