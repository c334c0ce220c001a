"""How a prompt was read -> HTML, in the language in force: in its panel, and while somebody types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from imgrag.engine.reading.vocabulary import Vocabulary
from imgrag.runs.reading import LeftOut, Reading, Thing
from imgrag.runs.styles import Styling
from imgrag.ui.create import knowledge
from imgrag.ui.create.markup import icon, long_list
from imgrag.ui.create.styles import drawn_in
from imgrag.ui.language import say, told

SHOWN_LEFT_OUT = 12  # parts that are named one by one


def reading(read: Reading, pictures: Mapping[str, str]) -> str:
    """What the panel shows: the things, what stands around them, what was left out, what is asked for.

    Args:
        pictures: the library's picture of a thing, as a data URI by its name.
    """
    rows = [
        *knowledge.rows(read),
        (say("The models are asked for"), escape(read.prompt)),
        (_translated(read.language), escape(read.translation)) if read.translation else ("", ""),
        (say("Background"), knowledge.ground(read)),
        (say("Style"), drawn_in(read.styles) + escape(_taken(read))),
        (say("Not wanted"), escape(read.negative)),
        (say("Left out"), _left_out(read.left_out)),
    ]
    listed = "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in rows if value)
    return f'{things(read.things, pictures)}<dl class="ir-read">{listed}</dl>'


def _taken(read: Reading) -> str:
    """The style that the generator is told in words; one that is left out is said there."""
    return "" if any(part.words == read.style for part in read.left_out) else read.style


def things(found: Sequence[Thing], pictures: Mapping[str, str]) -> str:
    """A chip a thing; a sentence if there is none."""
    if not found:
        return (
            f'<p class="ir-reason">{escape(say("No thing was found in it; it is drawn as it stands."))}</p>'
        )
    chips = "".join(_thing(thing, pictures.get(thing.name, "")) for thing in found)
    return f'<ul class="ir-things">{chips}</ul>'


def styled(styles: Sequence[Styling]) -> str:
    """What a prompt that is being typed will be drawn in; "" without any."""
    return f'<p class="ir-reason">{escape(say("Style"))}: {drawn_in(styles)}</p>' if styles else ""


def left_out(read: Reading) -> str:
    """A quiet chip for each part that is left out, and why, the last says how many more there are; "" without any."""
    chips = "".join(
        f'<li class="ir-left"><s>{escape(part.words)}</s><small>{escape(told(part.reason))}</small></li>'
        for part in read.left_out[:SHOWN_LEFT_OUT]
    )
    more = len(read.left_out) - SHOWN_LEFT_OUT
    if more > 0:
        chips += f'<li class="ir-left">{escape(say("and {count:,} more", count=more))}</li>'
    return (
        f'<ul class="ir-things ir-lefts" aria-label="{escape(say("Left out"))}">{chips}</ul>' if chips else ""
    )


def foreign(language: str, read: bool, prompt: str = "") -> str:
    """What is said of a prompt in another language than the generator's.

    Args:
        read: whether the models translate from it.
        prompt: what they are asked for, where that is known already.
    """
    words = (
        told(f"It is translated from {language}.") if read else told(f"These models do not read {language}.")
    )
    asked = f" {say('Read as: {prompt}', prompt=prompt)}" if prompt else ""
    return f'<p class="ir-reason">{escape(words + asked)}</p>'


def names_list(names: Sequence[tuple[str, int]], typed: str) -> str:
    """Names that complete what was typed, as options of a list box; "" without any.

    Args:
        names: each with how many characters before the caret it takes the place of.
        typed: the characters before the caret that they belong to.
    """
    if not names:
        return ""
    options = "".join(
        f'<li role="option" id="ir-name-{number}" aria-selected="false" data-name="{escape(name)}" '
        f'data-length="{length}">{escape(name)}</li>'
        for number, (name, length) in enumerate(names)
    )
    heading = escape(say("Names that begin like this"))
    return f'<ul role="listbox" id="ir-names-list" aria-label="{heading}" data-typed="{escape(typed)}">{options}</ul>'


def drawable(draws: str, vocabulary: Vocabulary | None) -> str:
    """In one line what the profile draws, and where its names have an end, all of them to unfold."""
    line = f"<p>{escape(told(draws))}</p>" if draws else ""
    if vocabulary is None:
        return line
    count = say("{count:,} names", count=len(vocabulary.names))
    names = sorted(vocabulary.names.values(), key=str.casefold)
    return f"{line}<details><summary>{escape(count)}</summary>{_groups(names, vocabulary)}</details>"


def _groups(names: Sequence[str], vocabulary: Vocabulary) -> str:
    groups = (
        (say("Drawn by itself"), [name for name in names if name in vocabulary.drawn]),
        (say("Needs a reference"), [name for name in names if name not in vocabulary.drawn]),
    )
    parts = "".join(
        f'<p class="ir-label">{escape(heading)} ({len(group)})</p><p>{escape(", ".join(group))}</p>'
        for heading, group in groups
        if group
    )
    label = escape(say("Names that these models know"))
    return f'<div class="ir-vocabulary" role="region" aria-label="{label}" tabindex="0">{parts}</div>'


def _thing(thing: Thing, picture: str) -> str:
    alt = escape(say("{name} in the library", name=thing.name))
    shown = f'<img src="{picture}" alt="{alt}">' if picture else icon("done" if thing.known else "unsure")
    number = f" ×{thing.number}" if thing.number > 1 else ""
    words = "".join(f"<small>{escape(part)}</small>" for part in _said_of(thing))
    known = "known" if thing.known else "unknown"
    return (
        f'<li class="ir-thing" data-thing="{escape(thing.name)}" data-known="{known}">{shown}'
        f"<span><strong>{escape(thing.name)}{number}</strong>{words}</span></li>"
    )


def _said_of(thing: Thing) -> list[str]:
    """How it was read, and who knows it."""
    taken = thing.how in ("slip", "synonym", "emoji")
    parts = [
        say("taken for {name}, typed as {spelling}", name=thing.name, spelling=thing.spelling)
        if taken
        else "",
        say("from “{phrase}”", phrase=thing.spelling) if thing.how == "knowledge" else "",
        ", ".join(thing.describing),
        _knowers(thing),
        _share(thing),
    ]
    return [part for part in parts if part]


def _knowers(thing: Thing) -> str:
    by_itself, owned = "generator" in thing.known, "library" in thing.known
    if by_itself and owned:
        return say("the generator draws it; also in the library")
    if by_itself:
        return say("the generator draws it")
    if owned:
        return say("in the library")
    return say("known by name only, there is no picture") if thing.known else say("known to nobody")


def _share(thing: Thing) -> str:
    """How many of it are drawn, where that is not all."""
    if thing.drawn >= thing.number:
        return ""
    return (
        say("{drawn} of {number} drawn", drawn=thing.drawn, number=thing.number)
        if thing.drawn
        else say("not drawn")
    )


def _translated(language: str) -> str:
    return told(f"Translated from {language}")


def _left_out(parts: Sequence[LeftOut]) -> str:
    items = [f"<li>“{escape(part.words)}”<small>{escape(told(part.reason))}</small></li>" for part in parts]
    return long_list(items, SHOWN_LEFT_OUT)
