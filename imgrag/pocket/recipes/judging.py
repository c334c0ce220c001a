"""Questions and answers the pocket VLM learns from: pictures, what is in them, what is missing.

A sample draws a prompt, then a scene in which each prompted object is there, replaced by another
icon, smeared (as the generator smears words it does not know) or left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F

from imgrag.engine import prompts
from imgrag.pocket.recipes.inventions import invent
from imgrag.pocket.world import world
from imgrag.pocket.world.pixels import soften
from imgrag.pocket.world.styles import restyle
from imgrag.pocket.world.subwords import SOMETHING
from imgrag.pocket.world.twists import draw_twist
from imgrag.pocket.world.words import ABSTRACT, nonce_word
from imgrag.runs.values import verdict_reply

VIEW = 112  # px, the side at which the VLM sees a picture
ALIKE = 6  # icons that look like another


@dataclass(frozen=True)
class Lesson:
    """A batch: pictures float [b, n, 3, 112, 112] in 0..1, questions and the replies to learn.

    `labels` has, for every 28 px token of the first picture, what stands there, [b][16]; None
    where nothing does. `places` says which pictures each question is about, `None` one after the other.
    """

    pictures: torch.Tensor
    questions: list[str]
    replies: list[str]
    labels: list[list[str | None]]
    places: list[int] | None = None


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


@dataclass(frozen=True)
class Copy:
    """A reference [4, 112, 112], and what it shows as it stands in a scene, [4, 32, 32]."""

    reference: torch.Tensor
    slot: torch.Tensor


class Studio:
    """Where the slots of a lesson come from: here, the icons themselves and made-up smears.

    `colour` is the background's place in `world.COLOURS`, for slots that come with theirs.
    """

    def pick(self, colour: int, rng: np.random.Generator) -> int:
        """An icon to show."""
        return int(rng.integers(len(world.names())))

    def copy(self, colour: int, rng: np.random.Generator) -> Copy | None:
        """A reference that somebody drew from, `None` where there is none."""
        return None

    def icon(self, icon: int, colour: int, rng: np.random.Generator) -> torch.Tensor:
        """The slot of an icon, [4, 32, 32]."""
        return world.icon_slots()[icon]

    def odd(self, colour: int, rng: np.random.Generator) -> torch.Tensor:
        """A slot [4, 32, 32] with something clear that has no name."""
        return to_slot(oddity(rng))

    def smear(self, colour: int, rng: np.random.Generator) -> torch.Tensor:
        """A slot [4, 32, 32] such as a generator draws for a word it does not know."""
        slots = world.icon_slots()
        mixed = slots[rng.integers(len(slots), size=int(rng.integers(3, 8)))].mean(0)
        return soften(mixed[None] * float(rng.uniform(0.6, 1.0)), rng, 0.5, 2.0)[0]


class Styled(Studio):
    """The icons in other hands' styles."""

    def icon(self, icon: int, colour: int, rng: np.random.Generator) -> torch.Tensor:
        return restyle(super().icon(icon, colour, rng)[None], rng, swapped=0.1)[0]


def oddity(rng: np.random.Generator) -> torch.Tensor:
    """A picture [4, 112, 112] of something without a name: an icon twisted and restyled, or an invention."""
    if rng.random() < 0.25:
        return F.interpolate(invent(1, rng), (VIEW, VIEW), mode="bilinear")[0]
    icons = world.icon_slots(VIEW)
    return restyle(draw_twist(rng)(icons[rng.integers(len(icons))])[None], rng)[0]


@cache
def look_alikes() -> tuple[tuple[int, ...], ...]:
    """For every icon those that look most like it, and those whose names share a word with its name."""
    pictures = F.avg_pool2d(world.over(world.icon_slots(), torch.full((1, 3), 0.6)) - 0.6, 2).flatten(1)
    cosines = F.normalize(pictures, dim=1) @ F.normalize(pictures, dim=1).T
    words = [set(name.split()) for name in world.names()]
    near = cosines.fill_diagonal_(-1).topk(ALIKE).indices.tolist()
    return tuple(
        (*near[i], *(j for j, other in enumerate(words) if j != i and other & words[i]))
        for i in range(len(words))
    )


@dataclass(frozen=True)
class Thing:
    """An object of a prompt: its name, what its slot holds, and what an honest eye calls that.

    `slot` is [4, 32, 32], or `None` where the object was left out; `reference` [4, 112, 112], and `alike`
    its similarity to the name where that is all that speaks for it.
    """

    name: str
    slot: torch.Tensor | None
    seen: str
    reference: torch.Tensor | None = None
    alike: float | None = None

    @property
    def present(self) -> bool:
        return self.slot is not None and self.seen == self.name

    @property
    def portrait(self) -> torch.Tensor:
        """Its reference. Raises ValueError: it has none."""
        if self.reference is None:
            raise ValueError(f"The {self.name} has no reference.")
        return self.reference

    @property
    def introduced(self) -> prompts.Introduced:
        """How a judge is told of its reference."""
        return prompts.Introduced(self.name, self.alike)


def captions(rng: np.random.Generator, count: int, studio: Studio) -> Lesson:
    """Naming alone: scenes (3 of 4) and single full-frame pictures, with no question asked."""
    names = world.names()
    if rng.random() < 0.25:
        chosen = rng.integers(len(names), size=count)
        pictures = torch.stack([on_plain(world.icon_slots(VIEW)[i], rng) for i in chosen])
        replies = [_seen_line([names[i]]) for i in chosen]
        return Lesson(wear(pictures, rng)[:, None], [""] * count, replies, [[names[i]] * 16 for i in chosen])
    colours = rng.integers(len(world.COLOURS), size=count)
    rows = []
    for colour in colours:
        scribe = Scribe(studio, int(colour), rng)
        things = [
            scribe.clear(int(i)) if rng.random() < 0.9 else scribe.smeared(names[i])
            for i in rng.integers(len(names), size=2)
        ]
        rows.append(things[: 1 + (rng.random() < 0.8)])
    replies = [_seen_line([thing.seen for thing in row]) for row in rows]
    pictures = view(wear(scenes(rows, colours), rng))[:, None]
    return Lesson(pictures, [""] * count, replies, [token_labels(row) for row in rows])


def verdicts(
    rng: np.random.Generator, count: int, references: int, studio: Studio, words: Sequence[str] = ()
) -> Lesson:
    """Judging a picture against its prompt, with 0, 1 or 2 reference pictures beside it.

    `words` are a scribe's: with them come bare names, and references that are only the nearest.
    """
    rows, questions, replies, shown = [], [], [], []
    colours = rng.integers(len(world.COLOURS), size=count)
    for colour in colours:
        things, referred = _prompted(references, Scribe(studio, int(colour), rng, words))
        rows.append(things)
        questions.append(_question(things, referred, rng, bare=0.15 if words else 0.0))
        replies.append(
            verdict_reply(
                [thing.seen for thing in things if thing.slot is not None],
                [thing.name for thing in things if not thing.present],
            )
        )
        shown.append([on_plain(thing.portrait, rng) for thing in referred])
    pictures = view(wear(scenes(rows, colours), rng))[:, None]
    if references:
        pictures = torch.cat([pictures, torch.stack([torch.stack(row) for row in shown])], dim=1)
    return Lesson(pictures, questions, replies, [token_labels(row) for row in rows])


def token_labels(things: list[Thing]) -> list[str | None]:
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


def _question(things: list[Thing], referred: list[Thing], rng: np.random.Generator, bare: float) -> str:
    colours = list(world.COLOURS)
    colour = colours[rng.integers(len(colours))] if rng.random() < 0.3 else None
    names = tuple(thing.name for thing in things)
    prompt = ", ".join(names) if bare and rng.random() < bare else world.sentence(names, colour, rng)
    if referred:
        return prompts.second_verdict_question(prompt, [thing.introduced for thing in referred])
    return prompts.verdict_question(prompt)


@dataclass(frozen=True)
class Scribe:
    """Writes the things of one row: one background, one source of slots, one stream of luck.

    `words` are nouns that the world has not. With some, it writes what people ask and generators draw:
    those words, look-alikes, odd things, drawn copies of references; without, what the first terms teach.
    """

    studio: Studio
    colour: int
    rng: np.random.Generator
    words: Sequence[str] = ()

    def pick(self) -> int:
        return self.studio.pick(self.colour, self.rng) if self.words else self._any()

    def strange(self) -> str:
        """A name of nothing in the world."""
        if not self.words or self.rng.random() < 0.5:
            return invented_name(self.rng)
        word = self.words[int(self.rng.integers(len(self.words)))]
        return f"{world.names()[self._any()]} {word}" if self.rng.random() < 0.12 else word

    def clear(self, icon: int) -> Thing:
        name = world.names()[icon]
        return Thing(name, self.studio.icon(icon, self.colour, self.rng), name)

    def smeared(self, name: str) -> Thing:
        return Thing(name, self.studio.smear(self.colour, self.rng), SOMETHING)

    def odd(self, name: str) -> Thing:
        return Thing(name, self.studio.odd(self.colour, self.rng), SOMETHING)

    def replaced(self, name: str, icon: int) -> Thing:
        """Another icon than this one stands where `name` was asked for."""
        other = self._any()
        if self.words and self.rng.random() < 0.5:
            alike = look_alikes()[icon]
            other = alike[self.rng.integers(len(alike))]
        return replace(self.clear(other), name=name)

    def unreferred(self) -> Thing:
        icon, luck = self.pick(), self.rng.random()
        name = world.names()[icon]
        if self.rng.random() < 0.25:  # nobody can tell what an invented thing looks like
            name = self.strange()
            return self.smeared(name) if luck < 0.6 else self._other(name, icon)
        if luck < 0.62:
            return self.clear(icon)
        return self.smeared(name) if luck < 0.85 else self._other(name, icon)

    def referred(self) -> Thing:
        """A thing with a reference, often in another style: found again in the picture, or not."""
        icon, rng = self.pick(), self.rng
        invented = rng.random() < 0.55
        name = self.strange() if invented else world.names()[icon]
        luck = rng.random()
        if not invented and luck < 0.04 and not self.words:  # picture and reference show another thing
            other = self.replaced(name, icon)
            return replace(other, reference=world.icon_slots(VIEW)[world.names().index(other.seen)])
        shown = self._copy(icon, invented)
        if luck < 0.55:
            return Thing(name, shown.slot, name, shown.reference)
        missed = self.smeared(name) if luck < 0.8 else self._other(name, icon)
        return replace(missed, reference=shown.reference)

    def nearest(self) -> Thing:
        """A thing with a picture that is only alike: the name decides, whatever that picture shows."""
        rng, alike = self.rng, float(self.rng.uniform(0.2, 0.95))
        near, luck = self.pick(), rng.random()
        shown = self._copy(near, bent=False)
        if rng.random() < 0.3:
            return replace(self._unnamed(near), reference=shown.reference, alike=alike)
        icon = near if rng.random() < 0.5 else self.pick()
        thing = self.clear(icon)
        if luck >= 0.7:
            missed = self.smeared(thing.name) if luck < 0.82 else self._other(thing.name, icon)
            thing = missed if luck < 0.92 or icon == near else replace(self.clear(near), name=thing.name)
        return replace(thing, reference=shown.reference, alike=alike)

    def _any(self) -> int:
        return int(self.rng.integers(len(world.names())))

    def _other(self, name: str, icon: int) -> Thing:
        """Something clear in the place of an icon."""
        return self.odd(name) if self.words and self.rng.random() < 0.35 else self.replaced(name, icon)

    def _unnamed(self, near: int) -> Thing:
        """What a generator makes of a name nobody knows: mostly the nearest picture it was given."""
        name, luck = self.strange(), self.rng.random()
        if luck < 0.65:
            return replace(self.clear(near), name=name)
        return self.smeared(name) if luck < 0.85 else self._other(name, near)

    def _copy(self, icon: int, bent: bool) -> Copy:
        """A reference of an icon and how it stands in a picture; `bent` ones may show anything."""
        rng, reference = self.rng, world.icon_slots(VIEW)[icon]
        drawn = self.studio.copy(self.colour, rng) if self.words and bent else None
        if drawn is not None:
            return drawn
        if rng.random() >= 0.6:
            return Copy(reference, self.studio.icon(icon, self.colour, rng))
        if bent and self.words and rng.random() < 0.2:
            reference = oddity(rng)
        else:
            reference = restyle(draw_twist(rng)(reference)[None] if bent else reference[None], rng)[0]
        if self.words and not bent and rng.random() < 0.5:
            return Copy(reference, self.studio.icon(icon, self.colour, rng))
        return Copy(reference, to_slot(reference))


def to_slot(picture: torch.Tensor) -> torch.Tensor:
    """A reference [4, 112, 112] as it stands in a scene, [4, 32, 32]."""
    return F.interpolate(picture[None], (world.SLOT, world.SLOT), mode="area")[0]


def _prompted(references: int, scribe: Scribe) -> tuple[list[Thing], list[Thing]]:
    """The things of a prompt from left to right, and those of them with a reference."""
    rng = scribe.rng
    count = 2 if references == 2 or rng.random() < 0.82 else 1
    with_reference = set(rng.permutation(count)[:references].tolist())
    things = [_introduced(scribe) if i in with_reference else scribe.unreferred() for i in range(count)]
    if rng.random() < (0.12 if count == 2 else 0.04):  # one was left out
        gone = int(rng.integers(count))
        things[gone] = replace(things[gone], slot=None)
    return things, [things[i] for i in sorted(with_reference)]


def _introduced(scribe: Scribe) -> Thing:
    return scribe.nearest() if scribe.words and scribe.rng.random() < 0.35 else scribe.referred()


def scenes(rows: list[list[Thing]], colours: np.ndarray) -> torch.Tensor:
    """Scenes [b, 3, 64, 64] of the things that were not left out."""
    kept = [[thing.slot for thing in row if thing.slot is not None] for row in rows]
    empty = torch.zeros(4, world.SLOT, world.SLOT)
    left = torch.stack([row[0] if row else empty for row in kept])
    right = torch.stack([row[-1] if row else empty for row in kept])
    two = torch.tensor([len(row) == 2 for row in kept])
    return world.compose(left, right, two, world.colour_values()[colours])


def on_plain(picture: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A reference [3, 112, 112]: on white, or sometimes on another plain colour."""
    plain = (
        torch.ones(1, 3) if rng.random() < 0.75 else torch.from_numpy(rng.random((1, 3), dtype=np.float32))
    )
    return world.over(picture[None], plain)[0]
