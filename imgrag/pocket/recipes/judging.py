"""Questions and answers the pocket VLM learns from: pictures, what is in them, what is missing.

A sample draws a prompt, then a scene in which each prompted object is there, replaced by another
icon, smeared (as the generator smears words it does not know) or left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from imgrag.engine import prompts
from imgrag.pocket.world import world
from imgrag.pocket.world.pixels import soften
from imgrag.pocket.world.styles import restyle
from imgrag.pocket.world.subwords import SOMETHING
from imgrag.pocket.world.twists import draw_twist
from imgrag.pocket.world.words import ABSTRACT, nonce_word
from imgrag.runs.values import verdict_reply

VIEW = 112  # px, the side at which the VLM sees a picture


@dataclass(frozen=True)
class Lesson:
    """A batch: pictures float [b, n, 3, 112, 112] in 0..1, questions and the replies to learn.

    `labels` has, for every 28 px token of the first picture, what stands there, [b][16]; None
    where nothing does.
    """

    pictures: torch.Tensor
    questions: list[str]
    replies: list[str]
    labels: list[list[str | None]]


def wear(scenes: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Scenes as a generator would give them: a little soft, shaded and noisy."""
    worn = soften(scenes, rng, 0.0, 0.7)
    shade = torch.from_numpy(rng.normal(0, 0.02, (len(scenes), 3, 1, 1)).astype(np.float32))
    noise = torch.from_numpy(rng.standard_normal(scenes.shape, dtype=np.float32)) * rng.uniform(0, 0.03)
    return (worn + shade + noise).clamp(0, 1)


def view(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures [b, 3, h, w] at the size the VLM sees, float [b, 3, 112, 112]."""
    return F.interpolate(pictures, (VIEW, VIEW), mode="bicubic", antialias=True).clamp(0, 1)


def invented_name(rng: np.random.Generator) -> str:
    """A name the world does not have: mostly nonsense, sometimes an abstract noun."""
    if rng.random() < 0.25:
        return ABSTRACT[rng.integers(len(ABSTRACT))]
    word = nonce_word(rng)
    if rng.random() < 0.2:
        word = f"{word} {nonce_word(rng)}"
    return word.capitalize() if rng.random() < 0.15 else word


class Studio:
    """Where the slots of a lesson come from: here, the icons themselves and made-up smears.

    `colour` is the background's place in `world.COLOURS`, for slots that come with theirs.
    """

    def icon(self, icon: int, colour: int, rng: np.random.Generator) -> torch.Tensor:
        """The slot of an icon, [4, 32, 32]."""
        return world.icon_slots()[icon]

    def smear(self, colour: int, rng: np.random.Generator) -> torch.Tensor:
        """A slot [4, 32, 32] such as a generator draws for a word it does not know."""
        slots = world.icon_slots()
        mixed = slots[rng.integers(len(slots), size=int(rng.integers(3, 8)))].mean(0)
        return soften(mixed[None] * float(rng.uniform(0.6, 1.0)), rng, 0.5, 2.0)[0]


@dataclass(frozen=True)
class Thing:
    """An object of a prompt: its name, what its slot holds, and what an honest eye calls that.

    `slot` is [4, 32, 32], or `None` where the object was left out; `reference` [4, 112, 112].
    """

    name: str
    slot: torch.Tensor | None
    seen: str
    reference: torch.Tensor | None = None

    @property
    def present(self) -> bool:
        return self.slot is not None and self.seen == self.name


def captions(rng: np.random.Generator, count: int, studio: Studio) -> Lesson:
    """Naming alone: scenes (3 of 4) and single full-frame pictures, with no question asked."""
    names = world.names()
    if rng.random() < 0.25:
        chosen = rng.integers(len(names), size=count)
        pictures = torch.stack([_on_plain(world.icon_slots(VIEW)[i], rng) for i in chosen])
        replies = [_seen_line([names[i]]) for i in chosen]
        return Lesson(wear(pictures, rng)[:, None], [""] * count, replies, [[names[i]] * 16 for i in chosen])
    colours = rng.integers(len(world.COLOURS), size=count)
    rows = []
    for colour in colours:
        scribe = _Scribe(studio, int(colour), rng)
        things = [
            scribe.clear(int(i)) if rng.random() < 0.9 else scribe.smeared(names[i])
            for i in rng.integers(len(names), size=2)
        ]
        rows.append(things[: 1 + (rng.random() < 0.8)])
    replies = [_seen_line([thing.seen for thing in row]) for row in rows]
    pictures = view(wear(_scenes(rows, colours), rng))[:, None]
    return Lesson(pictures, [""] * count, replies, [_token_labels(row) for row in rows])


def verdicts(rng: np.random.Generator, count: int, references: int, studio: Studio) -> Lesson:
    """Judging a picture against its prompt, with 0, 1 or 2 reference pictures beside it."""
    rows, questions, replies, shown = [], [], [], []
    colours = rng.integers(len(world.COLOURS), size=count)
    for colour in colours:
        things, referred = _prompted(references, _Scribe(studio, int(colour), rng))
        rows.append(things)
        questions.append(_question(things, referred, rng))
        replies.append(
            verdict_reply(
                [thing.seen for thing in things if thing.slot is not None],
                [thing.name for thing in things if not thing.present],
            )
        )
        shown.append([_on_plain(thing.reference, rng) for thing in referred if thing.reference is not None])
    pictures = view(wear(_scenes(rows, colours), rng))[:, None]
    if references:
        pictures = torch.cat([pictures, torch.stack([torch.stack(row) for row in shown])], dim=1)
    return Lesson(pictures, questions, replies, [_token_labels(row) for row in rows])


def _token_labels(things: list[Thing]) -> list[str | None]:
    """What the 4x4 tokens of a scene show: its slots cover two by two of them."""
    kept = [thing.seen for thing in things if thing.slot is not None]
    columns: list[str | None] = [None] * 4
    if len(kept) == 1:
        columns[1:3] = kept * 2
    elif kept:
        columns = [kept[0], kept[0], kept[1], kept[1]]
    empty: list[str | None] = [None] * 4
    return [*empty, *columns, *columns, *empty]


def _seen_line(seen: list[str]) -> str:
    return verdict_reply(seen, []).split("\n")[0]


def _question(things: list[Thing], referred: list[Thing], rng: np.random.Generator) -> str:
    colours = list(world.COLOURS)
    colour = colours[rng.integers(len(colours))] if rng.random() < 0.3 else None
    prompt = world.sentence(tuple(thing.name for thing in things), colour, rng)
    if referred:
        return prompts.second_verdict_question(prompt, [prompts.Introduced(thing.name) for thing in referred])
    return prompts.verdict_question(prompt)


@dataclass(frozen=True)
class _Scribe:
    """Writes the things of one row: one background, one source of slots, one stream of luck."""

    studio: Studio
    colour: int
    rng: np.random.Generator

    def clear(self, icon: int) -> Thing:
        name = world.names()[icon]
        return Thing(name, self.studio.icon(icon, self.colour, self.rng), name)

    def smeared(self, name: str) -> Thing:
        return Thing(name, self.studio.smear(self.colour, self.rng), SOMETHING)

    def replaced(self, name: str) -> Thing:
        """Another icon stands where `name` was asked for."""
        return replace(self.clear(int(self.rng.integers(len(world.names())))), name=name)

    def unreferred(self) -> Thing:
        icon, luck = int(self.rng.integers(len(world.names()))), self.rng.random()
        name = world.names()[icon]
        if self.rng.random() < 0.25:  # nobody can tell what an invented thing looks like
            name = invented_name(self.rng)
            return self.smeared(name) if luck < 0.6 else self.replaced(name)
        if luck < 0.62:
            return self.clear(icon)
        return self.smeared(name) if luck < 0.85 else self.replaced(name)

    def referred(self) -> Thing:
        """A thing with a reference, often in another style: found again in the picture, or not."""
        icon, rng = int(self.rng.integers(len(world.names()))), self.rng
        invented = rng.random() < 0.55
        name = invented_name(rng) if invented else world.names()[icon]
        luck = rng.random()
        if not invented and luck < 0.04:  # the reference shows another thing, and so does the picture
            other = self.replaced(name)
            return replace(other, reference=world.icon_slots(VIEW)[world.names().index(other.seen)])
        reference = world.icon_slots(VIEW)[icon]
        styled = rng.random() < 0.6
        if styled:
            reference = restyle(draw_twist(rng)(reference)[None] if invented else reference[None], rng)[0]
        if luck < 0.55:
            slot = to_slot(reference) if styled else self.clear(icon).slot
            return Thing(name, slot, name, reference)
        missed = self.smeared(name) if luck < 0.8 else self.replaced(name)
        return replace(missed, reference=reference)


def to_slot(picture: torch.Tensor) -> torch.Tensor:
    """A reference [4, 112, 112] as it stands in a scene, [4, 32, 32]."""
    return F.interpolate(picture[None], (world.SLOT, world.SLOT), mode="area")[0]


def _prompted(references: int, scribe: _Scribe) -> tuple[list[Thing], list[Thing]]:
    """The things of a prompt from left to right, and those of them with a reference."""
    rng = scribe.rng
    count = 2 if references == 2 or rng.random() < 0.82 else 1
    with_reference = set(rng.permutation(count)[:references].tolist())
    things = [scribe.referred() if i in with_reference else scribe.unreferred() for i in range(count)]
    if rng.random() < (0.12 if count == 2 else 0.04):  # one was left out
        gone = int(rng.integers(count))
        things[gone] = replace(things[gone], slot=None)
    return things, [things[i] for i in sorted(with_reference)]


def _scenes(rows: list[list[Thing]], colours: np.ndarray) -> torch.Tensor:
    """Scenes [b, 3, 64, 64] of the things that were not left out."""
    kept = [[thing.slot for thing in row if thing.slot is not None] for row in rows]
    empty = torch.zeros(4, world.SLOT, world.SLOT)
    left = torch.stack([row[0] if row else empty for row in kept])
    right = torch.stack([row[-1] if row else empty for row in kept])
    two = torch.tensor([len(row) == 2 for row in kept])
    return world.compose(left, right, two, world.colour_values()[colours])


def _on_plain(picture: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A reference [3, 112, 112]: on white, or sometimes on another plain colour."""
    plain = (
        torch.ones(1, 3) if rng.random() < 0.75 else torch.from_numpy(rng.random((1, 3), dtype=np.float32))
    )
    return world.over(picture[None], plain)[0]
